"""Functions, by name: the management half of the official API."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PREFIX = f"/{signer.API_VERSION}/functions"


def path_of(name: str) -> str:
    """The path of one function."""
    return f"{PREFIX}/{signer.percent_encode(name)}"


class Functions:
    """`client.functions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, fields: Mapping[str, Any], code: bytes | None) -> answers.Function:
        """A new function. `fields`: those of CreateFunction but name and code; `code`: the zip, None for an image."""
        content = {"functionName": name, **fields, **({"code": _code(code)} if code is not None else {})}
        return self._transport.json(answers.Function, "CreateFunction", "POST", PREFIX, content=content)

    def update(self, name: str, fields: Mapping[str, Any], code: bytes | None = None) -> answers.Function:
        """The function after `fields`, and the code if given, were changed. What is not named stays as it is."""
        content = {**fields, **({"code": _code(code)} if code is not None else {})}
        return self._transport.json(answers.Function, "UpdateFunction", "PUT", path_of(name), content=content)

    def get(self, name: str, qualifier: str = "") -> answers.Function:
        """`ApiError` with code `FunctionNotFound` if there is none."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(answers.Function, "GetFunction", "GET", path_of(name), query=query)

    def official(self, name: str, qualifier: str = "") -> dict[str, Any]:
        """As `get`, with every field that the API answers, under its official name."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(dict[str, Any], "GetFunction", "GET", path_of(name), query=query)

    def instances(self, name: str, qualifier: str = "") -> list[answers.Instance]:
        """What runs of it now."""
        query = {"qualifier": qualifier or None}
        path = f"{path_of(name)}/instances"
        return self._transport.json(answers.InstancePage, "ListInstances", "GET", path, query=query).instances

    def disable(self, name: str, reason: str = "", *, abort: bool = False) -> None:
        """Calls are refused from now on. `abort`: also end what runs."""
        content = {"reason": reason, "abortOngoingRequest": abort}
        path = f"{path_of(name)}/invoke/disable"
        self._transport.json(dict[str, Any], "DisableFunctionInvocation", "POST", path, content=content)

    def enable(self, name: str) -> None:
        """Calls are taken again."""
        path = f"{path_of(name)}/invoke/enable"
        self._transport.json(dict[str, Any], "EnableFunctionInvocation", "POST", path, content={})

    def code(self, name: str, qualifier: str = "") -> answers.FunctionCode:
        """A link to the zip, valid for a while."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(
            answers.FunctionCode, "GetFunctionCode", "GET", f"{path_of(name)}/code", query=query
        )

    def archive(self, name: str, qualifier: str = "") -> bytes:
        """The zip itself."""
        return self._transport.fetch(self.code(name, qualifier).url)

    def template(self, name: str, qualifier: str = "") -> answers.Template:
        """Whether it is loaded once and copied, and if not, why."""
        path = f"/functory/v1/functions/{signer.percent_encode(name)}/template"
        query = {"qualifier": qualifier or None}
        return self._transport.json(answers.Template, "GetTemplate", "GET", path, query=query)

    def delete(self, name: str) -> None:
        """Its instances finish what they run and go."""
        self._transport.call("DeleteFunction", "DELETE", path_of(name))

    def list(self, prefix: str = "", *, page_size: int = 100) -> Iterator[answers.Function]:
        """All functions in order of name, fetched page by page."""
        token: str | None = None
        while True:
            query = {"prefix": prefix or None, "limit": page_size, "nextToken": token}
            page = self._transport.json(answers.FunctionPage, "ListFunctions", "GET", PREFIX, query=query)
            yield from page.functions
            token = page.next_token
            if not token:
                return


def _code(code: bytes) -> dict[str, str]:
    return {"zipFile": base64.b64encode(code).decode("ascii")}
