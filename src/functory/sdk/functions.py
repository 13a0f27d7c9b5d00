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

    def create(self, name: str, fields: Mapping[str, Any], code: bytes) -> answers.Function:
        """A new function. `fields`: those of CreateFunction but name and code; `code`: the zip."""
        content = {"functionName": name, **fields, "code": _code(code)}
        return self._transport.json(answers.Function, "CreateFunction", "POST", PREFIX, content=content)

    def update(self, name: str, fields: Mapping[str, Any], code: bytes | None = None) -> answers.Function:
        """The function after `fields`, and the code if given, were changed. What is not named stays as it is."""
        content = {**fields, **({"code": _code(code)} if code is not None else {})}
        return self._transport.json(answers.Function, "UpdateFunction", "PUT", path_of(name), content=content)

    def get(self, name: str, qualifier: str = "") -> answers.Function:
        """`ApiError` with code `FunctionNotFound` if there is none."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(answers.Function, "GetFunction", "GET", path_of(name), query=query)

    def code(self, name: str) -> answers.FunctionCode:
        """A link to the zip, valid for a while."""
        return self._transport.json(answers.FunctionCode, "GetFunctionCode", "GET", f"{path_of(name)}/code")

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
