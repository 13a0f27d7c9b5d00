"""What runs inside the sandbox. Imports nothing of ours, and as little as it can of anything else.

    node ⇄ frames (frames.py) ⇄ instance.py ⇄ one way of serving ⇄ user code

python.py, runtime.py   the zygote's interpreter; a Python instance to its end (life.py); load.py finds the code
snapshot.py             loaded once, copied for each: fresh.py what copies must not share, touched.py their pages
serving                 blocking.py one at a time · threads.py side by side · coroutines.py `async def`
around a request        context.py · web.py · output.py and logs.py what it prints · fault.py · heap.py
node.cjs                the same for Node.js; rehearsal.cjs warms it · execute.py: a process that is another program
custom.py               the supervisor of a program (child.py) on loop.py: speakers.py asks it over backend.py,
                        messages.py and tunnel.py, or it asks runtime_api.py; facts.py, health.py, listening.py
"""
