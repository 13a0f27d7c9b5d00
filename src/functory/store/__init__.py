"""Records that change together or not at all. The seam is `store.base`.

base.py, parts.py   the seam: functions, keys, records; and what belongs to functions and accounts, with rules.py and
                    queries.py (sql/, migrations in sql/) under both back ends: memory*.py, sqlite/
by noun             accounts · aliases · versions · layer_versions · configs · roles · audit · bindings · vpcs
                    spending:
                    each as it is stored, and what may be asked of it
bodies.py           a function as JSON; sealing.py and cipher.py: what of it is secret at rest
chunks.py           records and logs, packed into rows
"""
