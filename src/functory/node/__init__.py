"""The composition root: the one place that names back ends and puts the parts together.

run.py           the process: folder, spawner, loop, signals
compose.py       builds every part and hands each its collaborators
configs.py       what the settings mean for parts that have a configuration of their own
identity.py      the first account and key, credentials.json · credentials.py: roles, and what functions get of them
folder.py        the data folder: layout, modes, one node at a time · machine.py: how much memory there is
runtimes.py      which languages this node has · tasks.py: all that asynchronous tasks need
housekeeping.py  what has to be done once in a while · keeper.py: instances that are kept ready

What is stored is put in force by: surroundings.py (versions, aliases, limits), bindings.py (triggers, domains) and
networks.py (VPCs).
"""

from functory.node.run import run

__all__ = ["run"]
