"""What an invocation used, and what that costs."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Mode(IntEnum):
    """Whose an instance is while nobody calls it, and so what a call on it costs."""

    ON_DEMAND = 0  #: the platform's: its owner pays only while it runs something
    PROVISIONED = 1  #: kept ready: memory and disk are paid for all the time, processors while it runs something
    ALWAYS = 2  #: kept ready with its processors (`alwaysAllocateCPU`): all of it is paid for all the time


class ColdStart(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a cold start went, in microseconds. Measured by the node, but for import and init."""

    fork_us: int = 0
    """From the wish for an instance to its process running."""
    import_us: int = 0
    """Loading the user's module."""
    init_us: int = 0
    """The initializer hook."""
    template_us: int = 0
    """What a copy of a template took to become an instance of its own; loading and initialising took nothing then."""


class RateCard(msgspec.Struct, frozen=True, kw_only=True):
    """Prices, in USD. The defaults are the public list prices in compute units (CU) of the first tier."""

    usd_per_cu: float = 0.000020
    cu_per_invocation: float = 0.0075
    """75 CU per 10,000 invocations."""
    cu_per_vcpu_s: float = 1.0
    """Per vCPU and second of active use."""
    cu_per_gb_s: float = 0.15
    """Per GB of configured memory and second."""
    cu_per_disk_gb_s: float = 0.05
    """Per GB of configured disk over the free 512 MB, and second."""
    provisioned_cu_per_vcpu_s: float = 1.0
    """Of an instance that is kept ready: per vCPU and second, while it runs something or if it is allocated always."""
    provisioned_cu_per_idle_vcpu_s: float = 0.0
    """The same, while it runs nothing."""
    provisioned_cu_per_gb_s: float = 0.15
    provisioned_cu_per_disk_gb_s: float = 0.05
