"""The composition root: the one place that names back ends and puts the parts together.

run.py           the process: folder, spawner, loop, signals
compose.py       builds every part and hands each its collaborators
identity.py      the first account and key, credentials.json
folder.py        the data folder: layout, modes, one node at a time
housekeeping.py  what has to be done once in a while
"""

from functory.node.run import run

__all__ = ["run"]
