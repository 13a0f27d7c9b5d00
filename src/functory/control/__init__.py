"""The management APIs: the official ones and Functory's own, as one ASGI application (`app.create_app`)."""
