"""The management APIs: the official ones and Functory's own, as one ASGI application (`app.create_app`).

    door.py ─→ app.py ─→ call.py ─→ a room ─→ the store ─→ the node is told ─→ answer

door.py        every request passes it once: signature, body (bodies.py), ids; on the way out the audit event
app.py         all routes, and the errors for what has none
call.py        a request as a handler sees it, typed; how a handler becomes a route with its scope
fc/            the official API, a file per noun (a room) · functory/: what the official one lacks
parts.py       what rooms work with, handed over by the node
commit.py      what is committed is also told, even if the caller hangs up in between
objects.py     the object store's door, where deploy tools put code: uploads.py
"""
