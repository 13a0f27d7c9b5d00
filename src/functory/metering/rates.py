"""Prices: from a rate card and a function's size to the cost of one invocation.

The official scheme: everything becomes compute units (CU): per invocation, per vCPU second, per GB second of memory and
of disk beyond the free 512 MB, while a request runs. Costs are whole thousand-millionths of a US dollar (nano-USD), so
that sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable

from functory.model.function import Function
from functory.model.usage import RateCard

FREE_DISK_MB = 512


def nano_usd_per_ms(card: RateCard, *, cpu: float, memory_mb: int, disk_mb: int) -> float:
    """The price of one millisecond of a function of this size."""
    units_per_s = (
        cpu * card.cu_per_vcpu_s
        + memory_mb / 1024 * card.cu_per_gb_s
        + max(0, disk_mb - FREE_DISK_MB) / 1024 * card.cu_per_disk_gb_s
    )
    return units_per_s * card.usd_per_cu * 1e9 / 1000


def pricer(card: RateCard) -> Callable[[Function, int], int]:
    """A function from (function, billed ms) to nano-USD. Rates are worked out once per revision."""
    per_call = card.cu_per_invocation * card.usd_per_cu * 1e9
    rates: dict[str, tuple[int, float]] = {}

    def price(function: Function, billed_ms: int) -> int:
        known = rates.get(function.function_id)
        if known is None or known[0] != function.epoch:
            if len(rates) > 100_000:
                rates.clear()
            rate = nano_usd_per_ms(card, cpu=function.cpu, memory_mb=function.memory_mb, disk_mb=function.disk_mb)
            known = rates[function.function_id] = (function.epoch, rate)
        return round(per_call + known[1] * billed_ms)

    return price
