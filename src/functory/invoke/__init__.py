"""The waist: one call path for everything.

    route → admit → record ⟨ run ⟩

`pipeline.build` wraps the steps round each other; each file is one step. A step is an `Invoke`: it takes an
invocation, hands it to the next one, and adds to the `Pending` what has to happen on the way out.
"""
