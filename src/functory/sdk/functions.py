"""Functions, by name: the management half of the official API."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from functory.sdk import answers, signer
from functory.sdk.transport import Transport

PREFIX = f"/{signer.API_VERSION}/functions"


def path_of(name: str) -> str:
    """The path of one function."""
    return f"{PREFIX}/{signer.percent_encode(name)}"


class Layer(answers.Answer, frozen=True, kw_only=True):
    """A layer of a function."""

    arn: str
    size: int = 0


class Hook(answers.Answer, frozen=True, kw_only=True):
    """A life cycle hook."""

    handler: str = ""
    timeout: int | None = None
    """Seconds."""


class Lifecycle(answers.Answer, frozen=True, kw_only=True):
    """The hooks of a function."""

    initializer: Hook | None = None
    pre_stop: Hook | None = None


class CustomRuntime(answers.Answer, frozen=True, kw_only=True):
    """How a function of a custom runtime is started."""

    command: list[str] | None = None
    args: list[str] | None = None
    port: int | None = None


class Function(answers.Answer, frozen=True, kw_only=True):
    """A function as GetFunction answers it."""

    function_name: str
    runtime: str = ""
    handler: str = ""
    memory_size: int = 0
    """MB."""
    cpu: float = 0
    disk_size: int = 0
    """MB."""
    timeout: int = 0
    """Seconds."""
    instance_concurrency: int | None = None
    idle_timeout: int | None = None
    """Seconds."""
    description: str | None = None
    environment_variables: dict[str, str] | None = None
    layers: list[Layer] | None = None
    instance_lifecycle_config: Lifecycle | None = None
    custom_runtime_config: CustomRuntime | None = None
    code_checksum: str = ""
    """CRC-64 of the zip, a decimal number."""
    code_size: int = 0
    """Bytes."""
    created_time: str = ""
    last_modified_time: str = ""
    function_arn: str = ""
    function_id: str = ""
    role: str = ""
    """ARN of the role that its credentials come from."""
    state: str | None = None
    state_reason: str | None = None
    """What the owner should know about how it runs on this node."""
    last_update_status: str | None = None
    """`InProgress` while the image of a change is brought here, `Failed` if it cannot be had."""
    last_update_status_reason: str | None = None


class Instance(answers.Answer, frozen=True, kw_only=True):
    """One instance of a function."""

    instance_id: str
    status: str = ""
    created_time_ms: int = 0
    qualifier: str = ""
    version_id: str = ""


class InstancePage(answers.Answer, frozen=True, kw_only=True):
    """The instances of a function."""

    instances: list[Instance] = msgspec.field(default_factory=list)


class FunctionPage(answers.Answer, frozen=True, kw_only=True):
    """One page of functions."""

    functions: list[Function] = msgspec.field(default_factory=list)
    next_token: str | None = None


class FunctionCode(answers.Answer, frozen=True, kw_only=True):
    """Where the code of a function lies."""

    url: str
    checksum: str = ""


class Template(answers.Answer, frozen=True, kw_only=True):
    """Whether a function is loaded once and copied for each instance."""

    state: str = ""
    """`none`, `making`, `ready`, `refused` or `off`."""
    reason: str = ""
    instance_id: str = ""
    import_us: int = 0
    init_us: int = 0
    memory_bytes: int = 0
    forks: int = 0
    children: int = 0
    log: str = ""


class Functions:
    """`client.functions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, fields: Mapping[str, Any], code: bytes | None) -> Function:
        """A new function. `fields`: those of CreateFunction but name and code; `code`: the zip, None for an image."""
        content = {"functionName": name, **fields, **({"code": _code(code)} if code is not None else {})}
        return self._transport.json(Function, "CreateFunction", "POST", PREFIX, content=content)

    def update(self, name: str, fields: Mapping[str, Any], code: bytes | None = None) -> Function:
        """The function after `fields`, and the code if given, were changed. What is not named stays as it is."""
        content = {**fields, **({"code": _code(code)} if code is not None else {})}
        return self._transport.json(Function, "UpdateFunction", "PUT", path_of(name), content=content)

    def get(self, name: str, qualifier: str = "") -> Function:
        """`ApiError` with code `FunctionNotFound` if there is none."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(Function, "GetFunction", "GET", path_of(name), query=query)

    def official(self, name: str, qualifier: str = "") -> dict[str, Any]:
        """As `get`, with every field that the API answers, under its official name."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(dict[str, Any], "GetFunction", "GET", path_of(name), query=query)

    def instances(self, name: str, qualifier: str = "") -> list[Instance]:
        """What runs of it now."""
        query = {"qualifier": qualifier or None}
        path = f"{path_of(name)}/instances"
        return self._transport.json(InstancePage, "ListInstances", "GET", path, query=query).instances

    def disable(self, name: str, reason: str = "", *, abort: bool = False) -> None:
        """Calls are refused from now on. `abort`: also end what runs."""
        content = {"reason": reason, "abortOngoingRequest": abort}
        path = f"{path_of(name)}/invoke/disable"
        self._transport.json(dict[str, Any], "DisableFunctionInvocation", "POST", path, content=content)

    def enable(self, name: str) -> None:
        """Calls are taken again."""
        path = f"{path_of(name)}/invoke/enable"
        self._transport.json(dict[str, Any], "EnableFunctionInvocation", "POST", path, content={})

    def code(self, name: str, qualifier: str = "") -> FunctionCode:
        """A link to the zip, valid for a while."""
        query = {"qualifier": qualifier or None}
        return self._transport.json(FunctionCode, "GetFunctionCode", "GET", f"{path_of(name)}/code", query=query)

    def archive(self, name: str, qualifier: str = "") -> bytes:
        """The zip itself."""
        return self._transport.fetch(self.code(name, qualifier).url)

    def template(self, name: str, qualifier: str = "") -> Template:
        """Whether it is loaded once and copied, and if not, why."""
        path = f"/functory/v1/functions/{signer.percent_encode(name)}/template"
        query = {"qualifier": qualifier or None}
        return self._transport.json(Template, "GetTemplate", "GET", path, query=query)

    def delete(self, name: str) -> None:
        """Its instances finish what they run and go."""
        self._transport.call("DeleteFunction", "DELETE", path_of(name))

    def list(self, prefix: str = "", *, page_size: int = 100) -> Iterator[Function]:
        """All functions in order of name, fetched page by page."""
        token: str | None = None
        while True:
            query = {"prefix": prefix or None, "limit": page_size, "nextToken": token}
            page = self._transport.json(FunctionPage, "ListFunctions", "GET", PREFIX, query=query)
            yield from page.functions
            token = page.next_token
            if not token:
                return


def _code(code: bytes) -> dict[str, str]:
    return {"zipFile": base64.b64encode(code).decode("ascii")}
