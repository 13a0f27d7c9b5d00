"""Records that change together or not at all: functions, keys, layers, and the facts of invocations."""
