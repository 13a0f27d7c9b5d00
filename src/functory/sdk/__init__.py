"""Functory's client: the same public API that every other client uses.

    from functory import sdk

    with sdk.connect() as client:
        answer = client.invoke("hello", b"world")
        print(answer.payload, answer.duration_ms)
        print(client.submit("hello", b"later").result(wait_s=30))

`connect` finds the endpoint and the keys as the command line does; `Client(credentials)` takes them as given. All calls
are blocking; a client may be used by one thread at a time. From asynchronous code, calls and tasks go through its twin:

    async with sdk.connect_async() as client:
        print(await client.submit("hello", b"later").result(wait_s=30))
        print(await asyncio.gather(*(client.submit("hello", one).result() for one in payloads)))

How the folder is laid out:

    client.py, async_client.py   what users hold; beside them a file per noun: its calls and their answers
    wire.py                      a call before and after the wire; transport.py and async_transport.py carry it,
                                 signer.py signs it, credentials.py finds the keys, errors.py is what can be raised
    task_asks, _answers, _waits  what `tasks.py` and its asynchronous twin share; pages.py: lists, page by page
    stack.py                     a deploy file, found and read (yaml_file.py, variables.py): functory_yaml.py (its
                                 fields: functory_fields.py, domain_fields.py), serverless_yaml.py and project.py
                                 make the same wishes of it, units.py
    steps.py                     wishes become steps that look, tell (differ.py) and are taken: deploy.py,
                                 surroundings.py, sites.py, removal.py; package.py packs code
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functory.sdk.answers import Invoked
    from functory.sdk.async_client import AsyncClient, connect_async
    from functory.sdk.async_tasks import AsyncSubmitted
    from functory.sdk.client import Client, connect
    from functory.sdk.credentials import Credentials
    from functory.sdk.errors import ApiError, ConnectionFailed, CredentialsNotFound, SdkError
    from functory.sdk.task_answers import AsyncTask
    from functory.sdk.task_waits import TaskExpired, TaskFailed, TaskNotEnded, TaskStopped
    from functory.sdk.tasks import Submitted

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncSubmitted",
    "AsyncTask",
    "Client",
    "ConnectionFailed",
    "Credentials",
    "CredentialsNotFound",
    "Invoked",
    "SdkError",
    "Submitted",
    "TaskExpired",
    "TaskFailed",
    "TaskNotEnded",
    "TaskStopped",
    "connect",
    "connect_async",
]

_PLACES = {
    "Invoked": "answers",
    "AsyncClient": "async_client",
    "connect_async": "async_client",
    "AsyncSubmitted": "async_tasks",
    "Client": "client",
    "connect": "client",
    "Credentials": "credentials",
    "ApiError": "errors",
    "ConnectionFailed": "errors",
    "CredentialsNotFound": "errors",
    "SdkError": "errors",
    "AsyncTask": "task_answers",
    "TaskExpired": "task_waits",
    "TaskFailed": "task_waits",
    "TaskNotEnded": "task_waits",
    "TaskStopped": "task_waits",
    "Submitted": "tasks",
}
"""The module of each name: read when it is first used, since a program that only submits needs no blocking client."""


def __getattr__(name: str) -> Any:
    """A name of this page, imported at its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
