"""What instances reach: policies, and the relay process that connects them to the world by name.

modes.py, policy.py    what a function may reach, and whether a destination is that: pure; kernel.py: the same as rules
spawner.py             an instance whose policy says so gets a relay: client.py, the node's side of it, and protocol.py
relay.py, cell.py      the process; one instance in it: names.py and dns.py what it asks, tcp.py and flows.py (UDP)
                       what it sends, packets.py where sockets do not serve
counters.py            what went in and out, read by calls without asking anybody
"""
