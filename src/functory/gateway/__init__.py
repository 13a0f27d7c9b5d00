"""The data plane: one port for calls, HTTP triggers and custom domains, and for everything else as ASGI.

A request goes down this list, its answer comes back up:

    server.py         listens, keeps time, stops gracefully
    connection.py     one request at a time, over line.py: bytes out, the end; host.py: what it needs of its server
    head.py           one request head, checked once, remembered per connection
    incoming.py       where its body ends · body.py: in memory while small, in a file when large
       │
       ├─ InvokeFunction ─→ calls.py          who, from where (callers.py), run (the waist), answer.py; submit.py: later
       ├─ a bound URL ────→ http_trigger.py   targets.py says whose; cors.py, event_json.py: the request as an event
       │                    http_answer.py    what came back, as an answer; peek.py: of a stream
       │                    streaming.py      from its first piece · tunnel.py: WebSockets, both ways
       └─ anything else ──→ asgi.py           the Starlette app of `control`
"""
