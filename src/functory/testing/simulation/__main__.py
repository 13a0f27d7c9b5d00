"""`python -m functory.testing.simulation SEED [--count N] [--step K]`: live through worlds, say which are broken."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from functory.testing import simulation


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if no law was broken, else 1."""
    parser = argparse.ArgumentParser(prog="python -m functory.testing.simulation", description=simulation.__doc__)
    parser.add_argument("seed", type=int, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="look at the seeds from there to SEED + COUNT")
    parser.add_argument("--step", type=int, default=1, help="and of those at every STEPth")
    parser.add_argument("--log", action="store_true", help="show what the node logs")
    options = parser.parse_args(arguments)
    if not options.log:
        logging.disable(logging.CRITICAL)
    broken = 0
    for seed in range(options.seed, options.seed + options.count, options.step):
        try:
            simulation.run(seed)
        except simulation.Broken as law:
            broken += 1
            sys.stdout.write(f"{law}\n  python -m functory.testing.simulation {seed}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
