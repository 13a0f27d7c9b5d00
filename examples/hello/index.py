"""The smallest function that uses what it is given."""

import logging

log = logging.getLogger()


def handler(event, context):
    """Greets whoever was sent; `event` is bytes, what is returned is the answer."""
    name = event.decode().strip() or "world"
    log.info("greeting %s", name)
    return f"Hello, {name}!"
