"""The privileged helper: makes instances in boxes and hands the node their pipes."""
