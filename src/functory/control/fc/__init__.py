"""The official Function Compute API, version 2023-03-30: a file per noun."""
