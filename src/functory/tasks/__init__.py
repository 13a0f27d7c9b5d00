"""Asynchronous invocations that are never lost.

    accept (commit: only then 202) ⋯ queue ⋯ dispatch → Invoke → settle + delivery (one commit) ⋯ deliver → sinks

`service.TaskService` puts the parts together; `tasks.Tasks` is what people look at and steer.
"""
