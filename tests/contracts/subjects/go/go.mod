module subject

go 1.21

require github.com/aliyun/fc-runtime-go-sdk v0.2.7
