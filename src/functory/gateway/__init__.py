"""The data plane: one port for calls, and for everything else as ASGI.

connection.py   bytes in: one request at a time, bounded in size and time
head.py         one request head, checked once, remembered per connection
body.py         a request body: in memory while small, in a file when large
calls.py        InvokeFunction: who, what, run, answer
answer.py       outcomes and errors as HTTP bytes
asgi.py         every other request, handed to the Starlette app
server.py       listens, keeps time, stops gracefully
"""
