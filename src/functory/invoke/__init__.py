"""The waist: one call path for everything.

    a caller ─→ route ─→ admit ─→ record ⟨ run ⟩        run: `instances.pools.Pools.submit`
    answer ←──────── slot free ←── fact written ←── outcome

route.py     name and qualifier → the function revision they mean now, from tables in memory
admit.py     now, wait (bounded) or 429: the limits of account and function, reserved places
record.py    the one fact that an invocation leaves; batches to the store, apart from all calls
pipeline.py  wraps the steps round each other: `build` makes the node's one `Invoke`

A step is an `Invoke`: it takes an invocation, hands it to the next one, and answers its `Pending`, to which it adds
what has to happen on the way out. No step awaits: callbacks carry an outcome back.
"""
