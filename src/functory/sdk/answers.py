"""What the node answers, as typed values. Fields that a newer node adds are ignored; lists are never None."""

from __future__ import annotations

from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object of the API: `code_size` here is `codeSize` there."""

    def to_json(self) -> bytes:
        """As the API writes it."""
        return msgspec.json.encode(self)


class Layer(Answer, frozen=True, kw_only=True):
    """A layer of a function."""

    arn: str
    size: int = 0


class Hook(Answer, frozen=True, kw_only=True):
    """A life cycle hook."""

    handler: str = ""
    timeout: int | None = None
    """Seconds."""


class Lifecycle(Answer, frozen=True, kw_only=True):
    """The hooks of a function."""

    initializer: Hook | None = None
    pre_stop: Hook | None = None


class CustomRuntime(Answer, frozen=True, kw_only=True):
    """How a function of a custom runtime is started."""

    command: list[str] | None = None
    args: list[str] | None = None
    port: int | None = None


class Function(Answer, frozen=True, kw_only=True):
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
    state: str | None = None
    state_reason: str | None = None
    """What the owner should know about how it runs on this node."""


class Instance(Answer, frozen=True, kw_only=True):
    """One instance of a function."""

    instance_id: str
    status: str = ""
    created_time_ms: int = 0
    qualifier: str = ""
    version_id: str = ""


class InstancePage(Answer, frozen=True, kw_only=True):
    """The instances of a function."""

    instances: list[Instance] = []


class FunctionPage(Answer, frozen=True, kw_only=True):
    """One page of functions."""

    functions: list[Function] = []
    next_token: str | None = None


class FunctionCode(Answer, frozen=True, kw_only=True):
    """Where the code of a function lies."""

    url: str
    checksum: str = ""


class Cold(Answer, frozen=True, kw_only=True):
    """The parts of a cold start, in microseconds."""

    fork_us: int = 0
    import_us: int = 0
    init_us: int = 0
    template_us: int = 0

    @property
    def total_us(self) -> int:
        return self.fork_us + self.import_us + self.init_us + self.template_us


class Template(Answer, frozen=True, kw_only=True):
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


class Request(Answer, frozen=True, kw_only=True):
    """What is kept of one invocation."""

    request_id: str
    function_name: str = ""
    qualifier: str = ""
    revision: int = 0
    kind: str = ""
    started_at_ms: int = 0
    status: str = ""
    error_type: str = ""
    instance_id: str = ""
    queued_us: int = 0
    duration_us: int = 0
    billed_ms: int = 0
    memory_limit_mb: int = 0
    memory_peak_bytes: int = 0
    cpu_us: int = 0
    cold: Cold | None = None
    """None for a warm call."""
    cost_nano_usd: int = 0
    payload_bytes: int = 0
    reply_bytes: int = 0
    trace_parent: str = ""
    resource_mode: str = "OnDemand"
    """Or `Provisioned`: it ran on an instance that is kept ready."""
    oom_kills: int = 0
    """Processes of the function that were killed for want of memory while it ran; the main one may have lived on."""
    network_in_bytes: int = 0
    """What came through the node's relay."""
    network_out_bytes: int = 0

    @property
    def waited_us(self) -> int:
        """How long it waited before an instance was made or taken: `queued_us` without the parts of a cold start."""
        return max(0, self.queued_us - (self.cold.total_us if self.cold else 0))


class RequestPage(Answer, frozen=True, kw_only=True):
    """One page of requests, newest first."""

    requests: list[Request] = []
    next_before: str = ""


class CostLine(Answer, frozen=True, kw_only=True):
    """What one function has cost on one line of the statement."""

    function_name: str
    line: str
    """`onDemand`, `provisioned` (calls on instances that are kept ready) or `standing` (their time)."""
    calls: int = 0
    failed: int = 0
    billed_ms: int = 0
    cpu_ms: int = 0
    instance_ms: int = 0
    """Of `standing`: milliseconds times instances."""
    cost_nano_usd: int = 0


class CostPage(Answer, frozen=True, kw_only=True):
    """The lines of some functions."""

    from_ms: int
    until_ms: int
    lines: list[CostLine] = []
    cost_nano_usd: int = 0
    """Of these lines."""
    next_after: str = ""


class RequestLogs(Answer, frozen=True, kw_only=True):
    """What one invocation printed."""

    request_id: str
    text: str = ""


class LogEntry(Answer, frozen=True, kw_only=True):
    """What one invocation of a function printed."""

    request_id: str
    at_ms: int
    text: str


class LogPage(Answer, frozen=True, kw_only=True):
    """Log entries, oldest first."""

    entries: list[LogEntry] = []


class BuiltLayer(Answer, frozen=True, kw_only=True):
    """A layer of dependencies."""

    arn: str
    digest: str = ""
    size_bytes: int = 0
    built: bool = False
    """It was installed by this call; false = it was there already."""
    seconds: float = 0


class Token(Answer, frozen=True, kw_only=True):
    """A call token: sent as `Authorization: Bearer TOKEN`."""

    token: str
    expires_at_ms: int


class Key(Answer, frozen=True, kw_only=True):
    """An access key."""

    access_key_id: str
    account_id: str
    scope: str
    active: bool
    label: str = ""
    created_at_ms: int = 0
    access_key_secret: str = ""
    """Told once, when the key is made; empty in lists."""


class KeyPage(Answer, frozen=True, kw_only=True):
    """The keys of an account."""

    keys: list[Key] = []


class Role(Answer, frozen=True, kw_only=True):
    """What functions with this role may do."""

    name: str
    arn: str
    """What the field `role` of a function says."""
    scopes: list[str]
    functions: list[str] | None = None
    """The only functions it may touch; None = all."""
    description: str = ""
    role_id: str = ""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class RolePage(Answer, frozen=True, kw_only=True):
    """The roles of the account."""

    roles: list[Role] = []


class AuditEvent(Answer, frozen=True, kw_only=True):
    """One management call: who, what, when, and what came of it."""

    request_id: str
    at_ms: int
    access_key_id: str = ""
    method: str = ""
    path: str = ""
    operation: str = ""
    status: int = 0
    code: str = ""


class AuditPage(Answer, frozen=True, kw_only=True):
    """A page of events, newest first."""

    events: list[AuditEvent] = []
    next_before: int = 0
    """To be given as `before` for the next page; 0 = there is none."""


class Tier(Answer, frozen=True, kw_only=True):
    """How strong the isolation of instances is."""

    name: str = ""
    summary: str = ""
    missing: list[str] = []


class Health(Answer, frozen=True, kw_only=True):
    """What `/healthz` answers, without a signature."""

    status: str = ""
    version: str = ""
    tier: Tier = Tier()
    at_s: int = 0
    """The node's clock, in seconds since 1970, as the answer's request id says; 0 if it had none."""


class Runtime(Answer, frozen=True, kw_only=True):
    """A language runtime of the node."""

    name: str
    interpreter: str = ""
    version: str = ""
    note: str = ""
    """What is special about it, or why it cannot be used."""


class Counts(Answer, frozen=True, kw_only=True):
    """Instances on the node now."""

    alive: int = 0
    busy: int = 0
    starting: int = 0
    parked: int = 0
    standby: int = 0
    """Frozen; among the alive."""
    paged_out: int = 0
    """Of those, in swap."""
    held_bytes: int = 0
    """Memory of all."""


class Templates(Answer, frozen=True, kw_only=True):
    """What functions that are loaded once and copied hold."""

    ready: int = 0
    memory_bytes: int = 0


class Vpc(Answer, frozen=True, kw_only=True):
    """What functions may reach that name it."""

    vpc_id: str
    description: str = ""
    names: list[str] = []
    cidrs: list[str] = []
    ports: list[str] = []
    """`443` or `8000-8010`; none = all."""
    protocols: list[str] = []
    hosts: dict[str, str] = {}
    functions: list[str] = []
    """Who names it, `name` or `name@version`; only told of one VPC at a time."""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class VpcPage(Answer, frozen=True, kw_only=True):
    """All VPCs of the account."""

    vpcs: list[Vpc] = []


class NetworkCounts(Answer, frozen=True, kw_only=True):
    """What the relay has done since the node's start."""

    instances: int = 0
    """Attached now."""
    bytes_in: int = 0
    bytes_out: int = 0
    denied: int = 0
    """Destinations refused."""


class Node(Answer, frozen=True, kw_only=True):
    """The node."""

    version: str = ""
    region: str = ""
    account_id: str = ""
    tier: Tier = Tier()
    uptime_s: float = 0
    instances: Counts = Counts()
    templates: Templates = Templates()
    network: NetworkCounts = NetworkCounts()
    paging_out: str = ""
    """`on`, or why frozen instances are not moved to swap."""
    runtimes: list[Runtime] = []
    limits: dict[str, Any] = {}


class Invoked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one call. A function that failed is an answer too: `error_type` is set then."""

    status: int
    """HTTP status."""
    payload: bytes
    request_id: str = ""
    duration_ms: float = 0
    memory_mb: float = 0
    """The instance's peak memory, in MB."""
    error_type: str = ""
    """Empty if the function succeeded."""
    log_tail: bytes = b""
    """The last 4 KB of what it printed, if asked for."""
    instance_id: str = ""

    @property
    def failed(self) -> bool:
        """The function itself failed."""
        return bool(self.error_type)
