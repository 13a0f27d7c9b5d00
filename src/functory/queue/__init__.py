"""Durable work: put, leased, ended, and never lost in between. The seam is `queue.base`.

    put ─→ row in line ─→ lease ─→ handler ─→ move ─→ settle        every change a compare-and-set on state and epoch

base.py, rules.py    the seam, and what all back ends refuse alike: memory.py, sqlite/
news.py, steady.py   what those who wait are told; a clock that never steps back
pump.py              one lane's loop: fair.py plans who is next, flights.py holds what is leased and settles it,
                     sweeper.py finds what is due, too old or lost (timers.py), handler.py is what the work is
"""
