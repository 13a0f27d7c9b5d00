"""What tests need, shipped: for Functory's own suite and for everyone who writes a back end or a client.

clock.py, virtual.py   time that moves only when told; a loop that lives in such time
checks/                what every back end of a seam promises, one coroutine per promise
edge.py                the data plane in memory, on a real port, over the instances of instances.py
tasks.py               the service of tasks over any queue (queues.py), functions being plain Python
workshop.py            boxes without a node; conversation.py: talks to what runs in them
simulation/            seeded worlds in which everything that can go wrong with tasks does
"""
