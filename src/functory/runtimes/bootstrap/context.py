"""The `context` a handler gets. What is the same for all requests of an instance stands in the class, made once."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from typing import Any


class Part:
    """A group of constant fields: `context.function.name`."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(sorted(self.__dict__))})"

    def to_dict(self) -> dict[str, object]:
        """The fields, for those who serialise a context."""
        return dict(self.__dict__)


class Credentials(Part):
    """`access_key_id`, `access_key_secret`, `security_token`."""


class FunctionMeta(Part):
    """`name`, `handler`, `memory` (MB), `timeout` (seconds), `version_id`, `qualifier`."""


class ServiceMeta(Part):
    """`name`, `log_project`, `log_store`, `qualifier`, `version_id`: empty where the API has no services any more."""


class Tracing(Part):
    """`span_context` (W3C traceparent), `span_baggages`, `jaeger_endpoint`."""

    def parse_span_context(self) -> str:
        """The span context, under its official name."""
        return str(self.__dict__["span_context"])


class _Facts:
    """Where constant fields come from: the spec's `context`, then the official environment."""

    def __init__(self) -> None:
        self.spec: dict[str, Any] = {"handler": "", "memory_mb": 0}
        self.note: Callable[[object], None] = lambda _: None

    def get(self, name: str, variable: str = "", default: str = "") -> str:
        """A fact by its API name or by its official variable."""
        return str(self.spec.get("context", {}).get(name) or os.environ.get(variable) or default)


_facts = _Facts()


class _constant:
    """A field that is made when it is first asked for, and kept for all requests: most functions ask for none."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, context: object, owner: type) -> Any:
        value = self._make()
        setattr(owner, self._name, value)
        return value


def _credentials() -> Credentials:
    return Credentials(
        access_key_id=_facts.get("accessKeyId", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        access_key_secret=_facts.get("accessKeySecret", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        security_token=_facts.get("securityToken", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    )


def _function() -> FunctionMeta:
    return FunctionMeta(
        name=_facts.get("functionName", "FC_FUNCTION_NAME"),
        handler=_facts.get("handler", "FC_FUNCTION_HANDLER", _facts.spec["handler"]),
        memory=_number(_facts.get("memory", "FC_FUNCTION_MEMORY_SIZE"), _facts.spec["memory_mb"]),
        timeout=_number(_facts.get("timeout", "FC_TIMEOUT"), 0),
        version_id=_version(),
        qualifier=_qualifier(),
    )


def _service() -> ServiceMeta:
    return ServiceMeta(
        name=_facts.get("serviceName", "FC_SERVICE_NAME"),
        log_project=_facts.get("logProject"),
        log_store=_facts.get("logStore"),
        qualifier=_qualifier(),
        version_id=_version(),
    )


def _version() -> str:
    return _facts.get("versionId")


def _qualifier() -> str:
    return _facts.get("qualifier", "FC_QUALIFIER", "LATEST")


def _account() -> str:
    return _facts.get("accountId", "FC_ACCOUNT_ID")


class Context:
    """What the platform tells a handler. `request_id` is set for each request, `retry_count` if it is not 0."""

    request_id = ""
    retry_count = 0
    credentials = _constant(_credentials)
    function = _constant(_function)
    service = _constant(_service)
    account_id = _constant(_account)
    accountId = _constant(_account)
    region = _constant(lambda: _facts.get("region", "FC_REGION"))
    log_project = _constant(lambda: _facts.get("logProject"))
    log_store = _constant(lambda: _facts.get("logStore"))
    tracing = _constant(lambda: Tracing(span_context="", span_baggages={}, jaeger_endpoint=""))

    @property
    def requestId(self) -> str:
        """The official second name."""
        return self.request_id

    @property
    def logger(self) -> logging.Logger:
        """The root logger; its lines carry the request id."""
        import logging

        return logging.getLogger()

    def progress(self, value: object) -> None:
        """Tells whoever looks at this task how far it is: anything that is JSON, at most 4 KB; the last word counts.

        Ours; does nothing in a call that is not a task. ValueError for what is not JSON or too long.
        """
        _facts.note(value)

    def to_json(self) -> str:
        """All fields but the secrets, as the official runtime has it."""
        shown = {name: getattr(self, name) for name in ("request_id", "region", "account_id", "retry_count")}
        return json.dumps({**shown, "function": self.function.to_dict(), "service": self.service.to_dict()})


def set_facts(spec: dict[str, Any], note: Callable[[object], None]) -> None:
    """The instance's facts, from which the constant fields are made, and who takes what `progress` says."""
    _facts.spec = spec
    _facts.note = note


def take_over(spec: dict[str, Any], note: Callable[[object], None]) -> None:
    """The same in a copy of a template, whose credentials are its own, also where loading has read the template's."""
    set_facts(spec, note)
    if not isinstance(Context.__dict__["credentials"], _constant):
        setattr(Context, "credentials", _credentials())  # noqa: B010 - as in `renew`


def renew(payload: bytes) -> None:
    """Other credentials count from now on: for contexts that are made, and for what reads the environment."""
    told: dict[str, str] = json.loads(payload)
    if _facts.get("accessKeyId"):
        _facts.spec["context"].update(told)
        setattr(Context, "credentials", _credentials())  # noqa: B010 - a descriptor until it is first read
    for name, variable in _VARIABLES.items():
        if variable in os.environ:
            os.environ[variable] = told[name]


_VARIABLES = {
    "accessKeyId": "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "accessKeySecret": "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "securityToken": "ALIBABA_CLOUD_SECURITY_TOKEN",
}


def _number(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def describe(context: Context, request_id: str, facts: dict[str, object]) -> None:
    """Sets what only some requests carry."""
    context.request_id = request_id
    attempt = facts.get("attempt")
    context.retry_count = max(0, attempt - 1) if isinstance(attempt, int) else 0
    trace_parent = facts.get("traceParent")
    if trace_parent:
        context.tracing = Tracing(span_context=trace_parent, span_baggages={}, jaeger_endpoint="")
