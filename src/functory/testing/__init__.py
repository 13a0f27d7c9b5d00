"""What tests need, shipped: for Functory's own suite and for everyone who writes a back end or a client.

`clock.JumpingClock` is time that moves only when told.
"""
