"""The fields of `functory.yaml`, typed. `docs/deploy.md` lists each of them; a test compares them.

A field that is not here is refused: a limit that was misspelt is a limit that is not there. None = nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the file."""


class Top(Fields, frozen=True):
    """What stands at its left margin."""

    functions: dict[str, Any] | None = None
    """Functions by name."""
    layers: dict[str, Any] | None = None
    """Layers by name."""
    domains: dict[str, Any] | None = None
    """Custom domains by name."""
    vars: dict[str, Any] | None = None
    """Values for `${vars.…}`."""


class Function(Fields, frozen=True):
    """One function."""

    code: str | None = None
    """Folder or single source file, from the file's folder. Default: the folder `NAME`, or the file's own."""
    runtime: str | None = None
    """Language and version. Default: python3."""
    handler: str | None = None
    """FILE.FUNCTION. Default: found, index.handler as a rule."""
    description: str | None = None
    """For people."""
    memory: int | None = None
    """MB. Default: 512."""
    cpu: float | None = None
    """vCPU. Default: 0.35, or what suits the memory."""
    disk: int | None = None
    """MB of /tmp: 512 or 10240."""
    timeout: int | None = None
    """Seconds. Default: 60."""
    concurrency: int | None = None
    """Calls that one instance runs at once. Default: 1."""
    env: dict[str, Any] | None = None
    """Environment variables. Numbers and truth values become text."""
    requirements: str | None = None
    """Requirements file for Python. Default: requirements.txt in the code, if it is there."""
    layers: list[str] | None = None
    """Layers by name (of this file or of the node; the newest version) or ARN. The first named wins."""
    initializer: str | None = None
    """FILE.FUNCTION that runs once per instance before the first call."""
    pre_stop: str | None = None
    """FILE.FUNCTION that runs before an instance goes."""
    command: list[str] | None = None
    """Custom runtimes and images: what is started."""
    args: list[str] | None = None
    """Custom runtimes: more words for the command."""
    port: int | None = None
    """Custom runtimes and images: where the program listens."""
    image: str | None = None
    """A container image instead of code; the runtime is custom-container then."""
    entrypoint: list[str] | None = None
    """Images: what is started instead of the image's own."""
    internet: bool | None = None
    """Whether its network is reached. Default: true."""
    role: str | None = None
    """ARN of the role that its credentials come from; functory role show NAME tells it."""
    official: dict[str, Any] | None = None
    """More fields of CreateFunction, as the API names them."""
    triggers: dict[str, Any] | None = None
    """Triggers by name."""
    publish: bool | str | None = None
    """Publish a version when something changed; a text is its description."""
    aliases: dict[str, Any] | None = None
    """Aliases by name."""
    reserved_concurrency: int | None = None
    """Places of the account that are kept for it; it gets no more."""
    async_: Async | None = msgspec.field(default=None, name="async")
    """How asynchronous calls are treated."""
    provision: int | Provision | None = None
    """Instances kept ready: a number, or a mapping."""
    scaling: Scaling | None = None
    """Bounds of the number of instances."""
    tags: dict[str, Any] | None = None
    """Labels."""


class Trigger(Fields, frozen=True):
    """One trigger."""

    type: str
    """http or timer."""
    qualifier: str | None = None
    """Version or alias that it calls. Default: LATEST."""
    description: str | None = None
    """For people."""
    auth: str | None = None
    """http: anonymous, function (the default: callers sign) or jwt."""
    methods: list[str] | None = None
    """http. Default: GET and POST."""
    cron: str | None = None
    """timer: six fields in UTC, or `@every 5m`, or `CRON_TZ=…` and six fields."""
    payload: str | None = None
    """timer: the text that the function gets."""
    enable: bool | None = None
    """timer: whether it fires."""
    role: str | None = None
    """invocationRole: kept and answered."""
    source: str | None = None
    """sourceArn, for kinds that listen to something."""
    config: dict[str, Any] | None = None
    """triggerConfig as the API has it; short words come over it."""


class Alias(Fields, frozen=True):
    """One alias. A text or number instead of a mapping is its version."""

    version: str | int = "latest"
    """A number, or latest: the newest version after this deployment."""
    weights: dict[str, float] | None = None
    """A second version (a number or latest) and its share of the calls, 0 to 1."""
    description: str | None = None
    """For people."""
    async_: Async | None = msgspec.field(default=None, name="async")
    """As of the function, for calls of this alias."""
    provision: int | Provision | None = None
    """As of the function, for this alias."""
    scaling: Scaling | None = None
    """As of the function, for this alias."""


class Async(Fields, frozen=True):
    """Asynchronous calls."""

    task: bool = False
    """Whether progress and history are kept as of a task."""
    retries: int = 3
    """After a failure of the function, 0 to 8."""
    max_age: int = 86400
    """Seconds after which a call is given up."""
    on_success: str | None = None
    """Who gets the answer: the ARN of a function, or a URL."""
    on_failure: str | None = None
    """Who is told of a failure."""


class Provision(Fields, frozen=True):
    """Instances that stand ready, whether called or not."""

    target: int = 0
    """How many."""
    always_cpu: bool = False
    """alwaysAllocateCPU: kept and answered."""
    schedule: list[Scheduled] = msgspec.field(default_factory=list)
    """Other numbers at other times."""
    tracking: list[Tracking] = msgspec.field(default_factory=list)
    """targetTrackingPolicies: kept and answered."""


class Scheduled(Fields, frozen=True):
    """A number of instances from a time on."""

    name: str
    """What it is called."""
    at: str
    """`cron(0 0 4 * * *)` or `at(2026-11-23T10:00:00Z)`."""
    target: int
    """How many."""
    start: str | None = None
    """When it begins to count."""
    end: str | None = None
    """When it stops to count."""
    zone: str | None = None
    """Time zone of `at`. Default: UTC."""


class Tracking(Fields, frozen=True):
    """A number of instances that follows a metric."""

    name: str
    """What it is called."""
    metric: str
    """ProvisionedConcurrencyUtilization or CPUUtilization."""
    goal: float
    """The metric's value that is aimed at."""
    min: int
    """The fewest instances."""
    max: int
    """The most instances."""
    start: str | None = None
    """When it begins to count."""
    end: str | None = None
    """When it stops to count."""
    zone: str | None = None
    """Time zone of start and end."""


class Scaling(Fields, frozen=True):
    """Bounds of the number of instances."""

    min: int = 0
    """How many stand ready, whether called or not."""
    schedule: list[Scheduled] = msgspec.field(default_factory=list)
    """scheduledPolicies: kept and answered."""
    official: dict[str, Any] | None = None
    """More fields of PutScalingConfig, as the API names them."""


class Layer(Fields, frozen=True):
    """One layer."""

    code: str
    """The folder that functions see below /opt."""
    runtimes: list[str] = msgspec.field(default_factory=list)
    """compatibleRuntime."""
    description: str = ""
    """For people."""
    license: str = ""
    """For people."""


KINDS: tuple[type[Fields], ...] = (Top, Function, Trigger, Alias, Async, Provision, Scheduled, Tracking, Scaling, Layer)
"""The mappings of this file, in the order of the page; those of domains stand in `domain_fields`."""


def renamed(said: Fields | None, words: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a mapping under the API's names: `words` gives those by ours."""
    return {} if said is None else {theirs: getattr(said, ours) for ours, theirs in words.items()}


def without_none(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of it."""
    return {key: value for key, value in whole.items() if value is not None}
