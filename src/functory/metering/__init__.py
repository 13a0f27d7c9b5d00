"""What things cost: reads the facts that `invoke.record` writes, never the calls themselves."""
