"""Asynchronous invocations that are never lost.

    accept (commit: only then 202) ⋯ queue ⋯ dispatch → Invoke → settle + delivery (one commit) ⋯ deliver → sinks

accept.py                 refuses, stores large payloads (bodies.py), puts the row with its rules (head.py, configs.py)
dispatch.py               the handler of the task lane: a leased row runs; progress.py keeps what it says meanwhile
settle.py, retry.py       what an outcome means: the next attempt, or the end and the record of its destination
deliver.py                the handler of the delivery lane; letters.py and envelope.py: what a destination is told
tasks.py, redrive.py      what people look at and steer; ended work once more, with its payload edited (edit.py)
service.py                `TaskService`: all of it, put together over two pumps of `functory.queue`
"""
