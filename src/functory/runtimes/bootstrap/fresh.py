"""What copies of one memory must not share: chance, names that are drawn, clocks that began earlier."""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def draw_anew() -> None:
    """Gives this process its own chance. Only what is loaded is touched: each import would cost every instance.

    `os.urandom`, and with it `secrets`, `uuid4` and `random.SystemRandom`, need nothing: the kernel draws. Objects
    like `random.Random(7)` or `numpy.random.default_rng()` are the function's own; `after_restore` may renew them.
    """
    modules: dict[str, Any] = sys.modules
    random = modules.get("random")
    if random is not None:
        random.seed()
    ssl = modules.get("ssl") or modules.get("_ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)


def of_a_copy() -> None:
    """The same for a copy of a process that has run a function's own code."""
    draw_anew()
    modules: dict[str, Any] = sys.modules
    numpy_random = modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()  # from the kernel's chance; the generator behind numpy.random.rand and its like
    tempfile = modules.get("tempfile")
    if tempfile is not None:
        tempfile._name_sequence = None
    uuid = modules.get("uuid")
    if uuid is not None:
        uuid._last_timestamp = None
    logging = modules.get("logging")
    if logging is not None:  # %(relativeCreated)d counts from here
        began: float | int = logging._startTime
        logging._startTime = time.time() if isinstance(began, float) else time.time_ns()
    signal = modules.get("signal")
    if signal is not None:
        signal.set_wakeup_fd(-1)
