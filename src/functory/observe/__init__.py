"""Logs, metrics and traces: observers of what the other parts do."""
