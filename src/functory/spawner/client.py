"""The node's side of the spawner: ask for instances, hear of their ends."""
