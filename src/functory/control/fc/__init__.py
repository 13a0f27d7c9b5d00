"""The official Function Compute API, version 2023-03-30: a file per noun.

A room has `routes(parts)` and a handler per operation: input (a `shapes.Shape`) → rules → the store → answer.

functions.py              inputs.py what may come · revisions.py the next revision, by rules.py, sizes.py and
                          qualifiers.py · archive.py its code · passing.py its role · listing.py · outputs.py its answer
around a function         versions.py · aliases.py · triggers.py · tags.py · instances.py · code.py · vpc.py
                          invocation_switch.py · async_tasks.py
its configurations        configs.py what all share: concurrency.py · async_config.py · and over standing.py and
                          schedules.py: provision.py · scaling.py
beside functions          layers.py · domains.py (certificates.py) · regions.py · upload_token.py
for all rooms             shapes.py nested structures · paging.py · operations.py every operation there is
"""
