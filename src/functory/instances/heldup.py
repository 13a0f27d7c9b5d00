"""What a node may judge after it was held up itself: pure policy.

POLICY: deadlines of calls go by the node's clock, and an instance that overruns is killed. But a node that stood still
(its process was stopped, the machine slept or gave it no processor) has not yet heard what its instances said
meanwhile: their answers lie in the pipes, and timers come before them. To judge now would kill instances that were in
time, and run finished work twice. So a look at the deadlines that comes much later than it was meant counts as news
that the node was held up, and nobody is judged until the node has had time to read what lies there. Who really overran
is ended that much later.
"""

from __future__ import annotations

LATE_NS = 100_000_000
"""How much later than meant a look at the deadlines may come on a busy machine."""
REPRIEVE_NS = 250_000_000
"""How long nobody is judged after that: enough to read what a pipe holds, and what an instance adds to it."""


def judge_from_ns(meant_ns: int, now_ns: int, before_ns: int) -> int:
    """From when on deadlines count, at a look that was meant for `meant_ns`; `before_ns` is what held until now."""
    return now_ns + REPRIEVE_NS if now_ns - meant_ns > LATE_NS else before_ns
