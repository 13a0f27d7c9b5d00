"""`python -m functory.spawner` is started by the node, never by people."""

import sys

from functory.spawner.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
