"""`python -m functory.network` is started by the node, never by people."""

import sys

from functory.network.relay import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
