"""What the control API works with, handed to it by the node."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from functory.clock import Clock
from functory.control.uploads import Uploads
from functory.model.account import AccessKey
from functory.model.audit import AuditEvent
from functory.model.domain import Domain
from functory.model.function import Function, LayerRef
from functory.model.instance import InstanceView
from functory.model.limits import Ready, Standing
from functory.model.template import TemplateState, TemplateView
from functory.model.trigger import Trigger
from functory.model.vpc import Vpc
from functory.store.base import Store
from functory.tasks.tasks import Tasks
from functory.web.links import Links
from functory.web.nonces import Nonces
from functory.web.signers import NO_SESSIONS, Sessions
from functory.web.tokens import CallTokens


class Code(Protocol):
    """What the code store says about an archive it holds."""

    @property
    def digest(self) -> str:
        """SHA-256 of the zip, in hex: its name."""

    @property
    def checksum(self) -> str:
        """CRC-64 of the zip as a decimal string."""

    @property
    def size_bytes(self) -> int:
        """Size of the zip."""


class CodeStore(Protocol):
    """Keeps uploaded archives."""

    async def add(self, zip_bytes: bytes, *, checksum: str | None = None) -> Code:
        """Checks the archive and returns once it is durable; `InvalidArgument` says what is wrong with it."""

    async def zip(self, digest: str) -> bytes:
        """The archive's bytes; `StorageCorrupt` if it is lost or damaged."""


class Built(Protocol):
    """A layer of dependencies that can be used."""

    @property
    def layer(self) -> LayerRef:
        """The layer."""

    @property
    def built(self) -> bool:
        """False if it stood already."""

    @property
    def seconds(self) -> float:
        """How long it took."""


class LayerBuilder(Protocol):
    """Installs requirements once per hash."""

    async def build(self, requirements: str, runtime: str, account_id: str) -> Built:
        """The account's layer with these requirements; `InvalidArgument` with the installer's words if it fails."""


ResolveRuntime = Callable[[str], tuple[str, str, str]]
"""Interpreter, version and a note for the owner, for a runtime's name; `InvalidArgument` if this node has none."""


Look = Callable[[str], Awaitable[None]]
"""Raises what speaks against a URL that the node is to reach."""


async def _anywhere(_url: str) -> None:
    """Every URL is fine."""


Blocker = Callable[[Function], Awaitable[None]]
"""Raises what speaks against deleting a function, `FunctionNotEmpty` for one."""


async def _nobody(_account_id: str, _name: str) -> None:
    """Nobody to tell."""


async def _nobody_of_vpc(_: Vpc) -> None:
    """Nobody to tell."""


def _unsealed(_secret: str, _account_id: str) -> str:
    """Where no secret can be kept, none is."""
    return ""


async def _nothing() -> None:
    """Nobody to tell."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of requests."""

    body_bytes: int = 1 << 20
    """The longest body of a call that carries no code."""
    code_body_bytes: int = 70 << 20
    """The longest body of CreateFunction and UpdateFunction: base64 makes 50 MB of code 67 MB."""
    code_link_s: int = 600
    """How long the link to a function's code can be used."""
    account_concurrency: int = 300
    """Calls of an account at once: functions can reserve no more than this together."""
    update_tries: int = 16
    """How often an update that lost a race is tried again."""


@dataclass(frozen=True, kw_only=True)
class ControlParts:
    """The collaborators of the control API. Callables are called on the loop's thread."""

    store: Store
    code: CodeStore
    layers: LayerBuilder
    runtimes: ResolveRuntime
    clock: Clock
    new_request_id: Callable[[], str]
    keys: Callable[[str], AccessKey | None]
    nonces: Nonces
    sessions: Sessions = NO_SESSIONS
    """Opens the security tokens of temporary credentials."""
    tokens: CallTokens
    links: Links
    region: str
    base_url: Callable[[], str]
    """`http://host:port` as clients reach this node, without a slash at the end."""
    instances: Callable[[str, str], Sequence[InstanceView]]
    """The instances of a function, by account and name."""
    node_info: Callable[[], dict[str, Any]]
    """What `/functory/v1/node` answers; `version` and `tier` are also told by `/healthz`."""
    on_function_changed: Callable[[Function], None]
    """Told after a revision is committed, before the answer. Two changes may be told in either order: look at epoch."""
    on_function_deleted: Callable[[Function], None]
    changed_around: Callable[[str, str], Awaitable[None]] = _nobody
    """Told, by account and function, after versions, aliases or configurations changed; in force when it returns."""
    ready: Callable[[Standing], Ready] = lambda config: Ready(config.number, 0, "")
    """How many instances a configuration wants to stand ready now, and how many of them do."""
    template: Callable[[Function], TemplateView] = lambda function: TemplateView(
        function=function, state=TemplateState.NONE
    )
    """How the template of a function's version stands."""
    abort: Callable[[str, str, str], None] = lambda _account, _name, _why: None
    """Ends all that runs of a function, by account and name, with a reason."""
    deletion_blockers: list[Blocker] = field(default_factory=list)
    """Asked before a function is deleted."""
    on_keys_changed: Callable[[], Awaitable[None]] = _nothing
    """Told after an access key was added, changed or removed; in force when it returns."""
    on_roles_changed: Callable[[], Awaitable[None]] = _nothing
    """Told after a role was added, changed or removed; in force when it returns."""
    owner_account: Callable[[], str] = str
    """The account that the node was made with: its admins manage all accounts. Empty = nobody may."""
    random: Callable[[int], bytes] = secrets.token_bytes
    """New keys are made of it."""
    on_trigger_changed: Callable[[Trigger], None] = lambda _: None
    """Told after a revision of a trigger is committed, before the answer."""
    on_trigger_deleted: Callable[[Trigger], None] = lambda _: None
    on_domain_changed: Callable[[Domain], None] = lambda _: None
    """Told after a revision of a custom domain is committed, with its private key."""
    on_domain_deleted: Callable[[Domain], None] = lambda _: None
    on_vpc_changed: Callable[[Vpc], Awaitable[None]] = _nobody_of_vpc
    """Told after a VPC's definition is committed; in force for new instances when it returns."""
    on_vpc_deleted: Callable[[Vpc], None] = lambda _: None
    on_bindings_changed: Callable[[str, str], Awaitable[None]] = _nobody
    """Told, by account and function, after a VPC binding was made or removed; in force when it returns."""
    is_own_host: Callable[[str], bool] = lambda _: False
    """Whether a host name is the node's: a custom domain of that name would take what is sent to others."""
    trigger_url: Callable[[Trigger], str] = lambda _: ""
    """Where an HTTP trigger is called."""
    uploads: Uploads | None = None
    """Where code waits that a deploy tool uploaded as an object; None = not here."""
    on_call: Callable[[AuditEvent], None] = lambda _: None
    """Told of every management call once it is answered."""
    tasks: Tasks | None = None
    """Asynchronous tasks; None = not on this node."""
    delivery_secret: Callable[[str], str] = lambda _: ""
    """What an account's deliveries by HTTP are signed with."""
    check_url: Look = _anywhere
    """Raises `InvalidArgument` for a URL that deliveries may not go to."""
    check_image: Callable[[str], None] = lambda _: None
    """Raises `InvalidArgument` for the name of an image that this node does not take."""
    seal: Callable[[str, str], str] = _unsealed
    """Makes a secret of an account unreadable: only the node opens it again."""
    limits: Limits = field(default_factory=Limits)
