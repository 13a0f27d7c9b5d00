"""Prices: from a rate card and a function's size to the cost of one invocation, and of instances that stand ready.

The official scheme: everything becomes compute units (CU): per invocation, per vCPU second, per GB second of memory and
of disk beyond the free 512 MB. Made on demand, an instance costs while it runs something. Kept ready, it has a rate of
its own, from ready to gone: memory and disk always, its processors at the idle rate; a call on it pays what active
processors cost more than idle ones, unless they are allocated always and so paid for already. Costs are whole
thousand-millionths of a US dollar (nano-USD), so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable

from functory.model.function import Function
from functory.model.usage import Mode, RateCard

FREE_DISK_MB = 512
_KNOWN_MAX = 100_000

Price = Callable[[Function, int, Mode], int]
"""(function, billed ms, whose the instance was) to nano-USD."""


def nano_usd_per_ms(card: RateCard, *, cpu: float, memory_mb: int, disk_mb: int) -> float:
    """The price of one millisecond of a function of this size, on demand."""
    units_per_s = (
        cpu * card.cu_per_vcpu_s
        + memory_mb / 1024 * card.cu_per_gb_s
        + max(0, disk_mb - FREE_DISK_MB) / 1024 * card.cu_per_disk_gb_s
    )
    return _nano_usd_per_ms(card, units_per_s)


def active_nano_usd_per_ms(card: RateCard, *, cpu: float) -> float:
    """What one millisecond of a call costs more, on an instance that is kept ready."""
    dearer = max(0.0, card.provisioned_cu_per_vcpu_s - card.provisioned_cu_per_idle_vcpu_s)
    return _nano_usd_per_ms(card, cpu * dearer)


def standing_nano_usd_per_ms(card: RateCard, function: Function, *, always: bool) -> float:
    """The price of one millisecond of an instance that is kept ready; `always`: with its processors."""
    per_vcpu = card.provisioned_cu_per_vcpu_s if always else card.provisioned_cu_per_idle_vcpu_s
    units_per_s = (
        function.cpu * per_vcpu
        + function.memory_mb / 1024 * card.provisioned_cu_per_gb_s
        + max(0, function.disk_mb - FREE_DISK_MB) / 1024 * card.provisioned_cu_per_disk_gb_s
    )
    return _nano_usd_per_ms(card, units_per_s)


def pricer(card: RateCard) -> Price:
    """Prices calls. Rates are worked out once per revision."""
    per_call = card.cu_per_invocation * card.usd_per_cu * 1e9
    known: dict[str, tuple[int, tuple[float, float, float]]] = {}

    def price(function: Function, billed_ms: int, mode: Mode) -> int:
        found = known.get(function.pool_id)
        if found is None or found[0] != function.epoch:
            if len(known) > _KNOWN_MAX:
                known.clear()
            demand = nano_usd_per_ms(card, cpu=function.cpu, memory_mb=function.memory_mb, disk_mb=function.disk_mb)
            rates = (demand, active_nano_usd_per_ms(card, cpu=function.cpu), 0.0)  # in the order of Mode
            found = known[function.pool_id] = (function.epoch, rates)
        return round(per_call + found[1][mode] * billed_ms)

    return price


def _nano_usd_per_ms(card: RateCard, units_per_s: float) -> float:
    return units_per_s * card.usd_per_cu * 1e9 / 1000
