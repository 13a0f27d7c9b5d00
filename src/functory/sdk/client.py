"""The client: one node, one key, blocking calls."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from functory.model import ids
from functory.sdk import answers, credentials, signer
from functory.sdk.functions import Functions, path_of
from functory.sdk.keys import Keys
from functory.sdk.requests import PREFIX, Requests
from functory.sdk.tasks import Submitted, Tasks
from functory.sdk.transport import Reply, Transport, decode
from functory.sdk.triggers import Triggers


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
        self.triggers = Triggers(self._transport)
        self.keys = Keys(self._transport)
        self.tasks = Tasks(self._transport)

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
        headers = {"content-type": "application/octet-stream"}
        if tail:
            headers["x-fc-log-type"] = "Tail"
        if trace_parent:
            headers["traceparent"] = trace_parent
        reply = self._transport.call(
            "InvokeFunction",
            "POST",
            f"{path_of(name)}/invocations",
            query={"qualifier": qualifier or None},
            headers=headers,
            body=payload.encode() if isinstance(payload, str) else payload,
            wait_s=wait_s,
        )
        return invoked(reply)

    def submit(
        self,
        name: str,
        payload: bytes | str = b"",
        *,
        task_id: str = "",
        delay_s: float = 0,
        priority: int | None = None,
        qualifier: str = "",
        trace_parent: str = "",
    ) -> Submitted:
        """Hand a task over to be run later; it is durable when this returns. See `Tasks.submit`."""
        return self.tasks.submit(
            name,
            payload,
            task_id=task_id,
            delay_s=delay_s,
            priority=priority,
            qualifier=qualifier,
            trace_parent=trace_parent,
        )

    def function_logs(
        self, name: str, *, after: str = "", before: str = "", limit: int = 100
    ) -> Sequence[answers.LogEntry]:
        """The newest `limit` log entries between two request ids, oldest first."""
        query = {"after": after or None, "before": before or None, "limit": limit}
        path = f"{PREFIX}/functions/{signer.percent_encode(name)}/logs"
        return self._transport.json(answers.LogPage, "ListFunctionLogs", "GET", path, query=query).entries

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


def invoked(reply: Reply) -> answers.Invoked:
    """The answer of a call, of its headers and body. What a header does not say rightly counts as not said."""
    headers = reply.headers
    return answers.Invoked(
        status=reply.status,
        payload=reply.body,
        request_id=headers.get("x-fc-request-id", ""),
        duration_ms=_number(headers.get("x-fc-invocation-duration", "")),
        memory_mb=_number(headers.get("x-fc-max-memory-usage", "")),
        error_type=headers.get("x-fc-error-type", ""),
        log_tail=_unpacked(headers.get("x-fc-log-result", "")),
        instance_id=headers.get("x-fc-instance-id", ""),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
