"""Called by a timer: says when it was due and what it was told."""

import json


def handler(event, context):
    """`event` is `{"triggerTime", "triggerName", "payload"}`."""
    timer = json.loads(event)
    line = f"{timer['triggerName']} was due at {timer['triggerTime']}: {timer['payload']}"
    print(line)
    return line
