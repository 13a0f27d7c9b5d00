module container

go 1.20
