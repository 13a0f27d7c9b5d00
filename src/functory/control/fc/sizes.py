"""Processors and memory of a function: their steps, bounds and proportion.

Processors come in steps of 0.05 vCPU, memory in steps of 64 MB, and 1 vCPU goes with 1 to 4 GB. Where only one is
given, the other follows in the proportion of the official default, 0.35 vCPU with 512 MB.
"""

from __future__ import annotations

from functory.model import errors

DEFAULT_CPU = 0.35
DEFAULT_MEMORY_MB = 512

_CPU_PER_GB = 0.7
_STEPS_PER_CPU = 20
_EDGE = 1e-6
"""Tolerance of comparisons: 0.35 has no exact binary form."""


def sizes(cpu: float | None, memory_mb: int | None) -> tuple[float, int]:
    """Processors and memory where some or none are given; `InvalidArgument` says which rule is broken."""
    if cpu is not None:
        cpu = check_cpu(cpu)
    if memory_mb is not None:
        check_memory(memory_mb)
    if cpu is None:
        cpu = DEFAULT_CPU if memory_mb is None else _cpu_for(memory_mb)
    if memory_mb is None:
        memory_mb = _memory_for(cpu)
    check_ratio(cpu, memory_mb)
    return cpu, memory_mb


def check_cpu(cpu: float) -> float:
    """`cpu` in whole steps."""
    steps = round(cpu * _STEPS_PER_CPU) if 0 < cpu < 100 else 0
    if not 1 <= steps <= 16 * _STEPS_PER_CPU or abs(cpu * _STEPS_PER_CPU - steps) > _EDGE:
        raise errors.InvalidArgument(f"cpu {cpu} is not valid: a multiple of 0.05 from 0.05 to 16")
    return steps / _STEPS_PER_CPU


def check_memory(memory_mb: int) -> None:
    """A multiple of 64 from 128 to 32768."""
    if not 128 <= memory_mb <= 32768 or memory_mb % 64:
        raise errors.InvalidArgument(f"memorySize {memory_mb} is not valid: a multiple of 64 from 128 to 32768 (MB)")


def check_ratio(cpu: float, memory_mb: int) -> None:
    """Between 1 and 4 GB for each vCPU."""
    gb_per_cpu = memory_mb / 1024 / cpu
    if not 1 - _EDGE <= gb_per_cpu <= 4 + _EDGE:
        raise errors.InvalidArgument(
            f"cpu {cpu} with memorySize {memory_mb} is not valid: the ratio of cpu to memory (GB) must be between "
            f"1:1 and 1:4, and is 1:{gb_per_cpu:.3g}",
            hint=f"with {memory_mb} MB, give cpu {_cpu_for(memory_mb)}",
        )


def _cpu_for(memory_mb: int) -> float:
    steps = int(memory_mb / 1024 * _CPU_PER_GB * _STEPS_PER_CPU + _EDGE)
    return min(16 * _STEPS_PER_CPU, max(1, steps)) / _STEPS_PER_CPU


def _memory_for(cpu: float) -> int:
    return min(32768, max(128, round(cpu / _CPU_PER_GB * 1024 / 64) * 64))
