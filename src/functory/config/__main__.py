"""`python -m functory.config` prints `docs/settings.md`."""

import sys

from functory.config.document import document

if __name__ == "__main__":
    sys.stdout.write(document())
