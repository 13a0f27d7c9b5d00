"""The client: one node, one key, blocking calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Unpack

import msgspec

from functory.model import ids
from functory.sdk import answers, calls, credentials, signer
from functory.sdk.configs import Configs, Kind
from functory.sdk.cost import Cost
from functory.sdk.domains import Domains
from functory.sdk.functions import Functions
from functory.sdk.keys import Keys
from functory.sdk.layers import Layers
from functory.sdk.requests import PREFIX, LogEntry, LogPage, Requests
from functory.sdk.roles import Roles
from functory.sdk.tags import Tags
from functory.sdk.task_asks import SubmitOptions
from functory.sdk.tasks import MAP_AT_ONCE, Submitted, Tasks
from functory.sdk.transport import Transport
from functory.sdk.triggers import Triggers
from functory.sdk.versions import Aliases, Versions
from functory.sdk.vpcs import Vpcs
from functory.sdk.wire import decode


class Client:
    """Calls to one node. Close it, or use it as a context manager.

    All methods raise `ApiError` when the node refuses and `ConnectionFailed` when it does not answer.
    """

    def __init__(self, found: credentials.Credentials, *, timeout_s: float = 60.0) -> None:
        """`timeout_s`: how long a management call may take. Calls of functions are limited by the function's own."""
        self.credentials = found
        self._transport = Transport(found, timeout_s=timeout_s)
        self.functions = Functions(self._transport)
        self.requests = Requests(self._transport)
        self.cost = Cost(self._transport)
        self.versions = Versions(self._transport)
        self.aliases = Aliases(self._transport)
        self.triggers = Triggers(self._transport)
        self.async_configs = Configs(self._transport, Kind.ASYNC)
        self.concurrency = Configs(self._transport, Kind.CONCURRENCY)
        self.provision = Configs(self._transport, Kind.PROVISION)
        self.scaling = Configs(self._transport, Kind.SCALING)
        self.domains = Domains(self._transport)
        self.layers = Layers(self._transport)
        self.tags = Tags(self._transport)
        self.keys = Keys(self._transport)
        self.roles = Roles(self._transport)
        self.tasks = Tasks(self._transport)
        self.vpcs = Vpcs(self._transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def invoke(
        self,
        name: str,
        payload: bytes | str = b"",
        *,
        qualifier: str = "",
        tail: bool = False,
        trace_parent: str = "",
        wait_s: float | None = None,
    ) -> answers.Invoked:
        """Run the function and wait for its answer. A function that fails is an answer with `error_type`.

        `tail`: also the last 4 KB of its log. `wait_s`: the longest wait for the answer; None = as long as the
        function's own time-out lets it run.
        """
        return self._transport.ask(
            calls.invoke(name, payload, qualifier=qualifier, tail=tail, trace_parent=trace_parent, wait_s=wait_s)
        )

    def submit(self, name: str, payload: bytes | str = b"", **options: Unpack[SubmitOptions]) -> Submitted:
        """Hand a task over to be run later; it is durable when this returns. See `Tasks.submit`."""
        return self.tasks.submit(name, payload, **options)

    def map(
        self,
        name: str,
        payloads: Iterable[bytes | str],
        *,
        at_once: int = MAP_AT_ONCE,
        wait_s: float | None = None,
        qualifier: str = "",
    ) -> Iterator[bytes]:
        """Run a task for each payload; their answers in the order of the payloads. See `Tasks.map`."""
        return self.tasks.map(name, payloads, at_once=at_once, wait_s=wait_s, qualifier=qualifier)

    def function_logs(self, name: str, *, after: str = "", before: str = "", limit: int = 100) -> Sequence[LogEntry]:
        """The newest `limit` log entries between two request ids, oldest first."""
        query = {"after": after or None, "before": before or None, "limit": limit}
        path = f"{PREFIX}/functions/{signer.percent_encode(name)}/logs"
        return self._transport.json(LogPage, "ListFunctionLogs", "GET", path, query=query).entries

    def build_layer(self, requirements: str, runtime: str) -> answers.BuiltLayer:
        """The layer with these requirements installed; they are installed once per content and runtime."""
        content = {"requirements": requirements, "runtime": runtime}
        return self._transport.json(
            answers.BuiltLayer, "BuildLayer", "POST", f"{PREFIX}/layers", content=content, wait_s=None
        )

    def create_token(self, functions: Sequence[str] | None = None, *, expires_in_s: int = 3600) -> answers.Token:
        """A token that may only call `functions` (None = all), to give to others."""
        content = {"functions": None if functions is None else list(functions), "expiresInSeconds": expires_in_s}
        return self._transport.json(answers.Token, "CreateToken", "POST", f"{PREFIX}/tokens", content=content)

    def node(self) -> answers.Node:
        """What the node is and how it stands."""
        return self._transport.json(answers.Node, "GetNode", "GET", f"{PREFIX}/node")

    def health(self) -> answers.Health:
        """What the node says without a signature."""
        reply = self._transport.call("Health", "GET", "/healthz", signed=False, wait_s=5)
        found = decode(answers.Health, "Health", reply.body)
        try:
            return msgspec.structs.replace(found, at_s=ids.request_time_s(reply.headers.get("x-fc-request-id", "")))
        except ValueError:
            return found


def connect(*, endpoint: str | None = None, folder: Path | None = None, timeout_s: float = 60.0) -> Client:
    """A client with the credentials that `credentials.find` finds."""
    return Client(credentials.find(endpoint=endpoint, folder=folder), timeout_s=timeout_s)
