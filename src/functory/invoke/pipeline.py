"""Builds the waist: route → admit → record ⟨ run ⟩."""

from __future__ import annotations

from functory.clock import Clock
from functory.instances.pools import Pools
from functory.invoke.admit import Admit, AdmitConfig
from functory.invoke.record import Price, Recorder, record
from functory.invoke.route import Routes, route
from functory.model.invocation import Invoke


def build(
    *, routes: Routes, pools: Pools, recorder: Recorder, price: Price, clock: Clock, config: AdmitConfig
) -> tuple[Invoke, Admit]:
    """The one `Invoke` of the node, and the step that counts (for its statistics).

    A refusal by `admit` is no fact of the function's: it is counted there and not recorded.
    """
    run = pools.submit
    recorded = record(recorder, price, pools.observe_run, run)
    admit = Admit(recorded, clock=clock, config=config)
    return route(routes, admit), admit
