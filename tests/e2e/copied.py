"""Functions for `test_templates.py`: each is loaded slowly enough to be worth a template."""

from __future__ import annotations

_SLOW = """
import json, os, time
_until = time.perf_counter() + 0.08
while time.perf_counter() < _until:
    pass
IN_TEMPLATE = os.getpid() == 3
MARK = os.urandom(8).hex()
"""

CHANCE = (
    _SLOW
    + """
import random, ssl, tempfile, uuid, _uuid
ssl.RAND_bytes(8)
STATE = random.Random(7)
INITS = []

def start(context):
    INITS.append(os.environ["FC_INSTANCE_ID"])
    print("initialised")

def handler(event, context):
    time.sleep(0.3)
    drawn = {
        "random": random.random(), "ssl": ssl.RAND_bytes(8).hex(), "uuid4": str(uuid.uuid4()),
        "uuid1": str(uuid.uuid1()), "urandom": os.urandom(8).hex(), "file": tempfile.mktemp(),
    }
    print("served", context.request_id, os.environ["FC_INSTANCE_ID"])
    return {
        "mark": MARK, "drawn": drawn, "state": STATE.random(), "inits": INITS, "instance": os.environ["FC_INSTANCE_ID"],
        "request": context.request_id, "code": os.listdir("/code"), "tmp": os.listdir("/tmp"), "pid": os.getpid(),
        "status": dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines()),
        "descriptors": len(os.listdir("/proc/self/fd")), "processes": [p for p in os.listdir("/proc") if p.isdigit()],
    }
"""
)


def refused(what: str) -> str:
    """A function that does `what` while it is loaded."""
    return f"{_SLOW}\n{what}\n\ndef handler(event, context):\n    return MARK\n"


REFUSED = {
    "threads": "import threading\nE = threading.Event()\nthreading.Thread(target=E.wait, daemon=True).start()",
    "socket": "import socket\nS = socket.socket()",
    "open for writing": "F = open('/dev/null', 'w')",
    "pipe": "P = os.pipe()",
    "eventpoll": "import select\nE = select.epoll()",
    "child process": "import subprocess\nC = subprocess.Popen(['sleep', '1000'])",
    "shared between processes": "import mmap\nM = mmap.mmap(-1, 4096)",
    "files in /tmp": "open('/tmp/model', 'w').close()",
}

NO_NETWORK = (
    _SLOW
    + """
import errno, socket

def reach(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2):
            return "connected"
    except OSError as failure:
        return errno.errorcode.get(failure.errno, "?")

LOADING = reach(int(os.environ["PORT"]))

def handler(event, context):
    time.sleep(0.2)
    return {"mark": MARK, "loading": LOADING, "now": reach(int(os.environ["PORT"]))}
"""
)

HOOKS = (
    _SLOW
    + """
import socket
S = socket.socket()
TOLD = []

def before_snapshot(context):
    global S
    TOLD.append("before")
    S.close()
    S = None

def after_restore(context):
    global S
    TOLD.append("after")
    S = socket.socket()

def handler(event, context):
    time.sleep(0.2)
    return {"mark": MARK, "told": TOLD, "socket": S.fileno()}
"""
)

BEFORE_FAILS = (
    _SLOW
    + """
def before_snapshot(context):
    raise LookupError("no pool to close")

def handler(event, context):
    return MARK
"""
)

AFTER_FAILS = (
    _SLOW
    + """
def after_restore(context):
    raise ConnectionError("the database says no")

def handler(event, context):
    time.sleep(0.2)
    return {"mark": MARK}
"""
)

FILES = (
    _SLOW
    + """
F = open("/code/words.txt")
F.readline()

def handler(event, context):
    time.sleep(0.2)
    return {"mark": MARK, "line": F.readline()}
"""
)

BOMB = (
    _SLOW
    + """
import sys
def start(context):
    if IN_TEMPLATE:
        {bomb}

def handler(event, context):
    return "fine"
"""
)
FORK_BOMB = BOMB.replace(
    "{bomb}",
    """while True:
            try:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(1000)
            except OSError:
                pass""",
)
MEMORY_BOMB = BOMB.replace("{bomb}", "held = [bytearray(1 << 20) for _ in range(1 << 20)]")
LEAVING = BOMB.replace("{bomb}", "sys.exit(3)")

BURNING = (
    _SLOW
    + """
import signal
if IN_TEMPLATE:
    def burn(*_):
        until = time.perf_counter() + 60
        while time.perf_counter() < until:
            pass
    signal.signal(signal.SIGALRM, burn)
    signal.setitimer(signal.ITIMER_REAL, 0.5)

def handler(event, context):
    return "fine"
"""
)

LYING = (
    _SLOW
    + """
def before_snapshot(context):
    if IN_TEMPLATE:
        for fd in range(5, 32):
            try:
                os.write(fd, event_of("someone-else"))
            except OSError:
                pass

def event_of(name):
    return json.dumps({"op": "ended", "id": name, "status": 0, "killed": False}).encode()

def handler(event, context):
    return "fine"
"""
)

POWERS = (
    _SLOW
    + """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def ask(name, *arguments):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*arguments)
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
NEWUSER, NEWNET, NEWNS, BIND, MOVE = 0x10000000, 0x40000000, 0x20000, 4096, 8192
class Clone(ctypes.Structure):
    _fields_ = [(f"f{n}", ctypes.c_uint64) for n in range(11)]
def clone3(flags):
    made = Clone(f0=flags, f4=17)
    pid = libc.syscall(435, ctypes.byref(made), 88)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
        return "ok"
    return errno.errorcode[ctypes.get_errno()]
if IN_TEMPLATE:
    print(json.dumps({
        "unshare user": ask("unshare", NEWUSER), "unshare net": ask("unshare", NEWNET),
        "unshare mounts": ask("unshare", NEWNS), "clone3 user": clone3(NEWUSER), "clone3 net": clone3(NEWNET),
        "bind": ask("mount", b"/usr", b"/tmp", None, BIND, None),
        "move": ask("mount", b"/proc", b"/tmp", None, MOVE, None),
        "umount": ask("umount2", b"/proc", 2), "pivot": ask("syscall", 155, b".", b"."),
        "ptrace": ask("ptrace", 16, 1, 0, 0), "become root": ask("setuid", 0),
        "caps": [line for line in open("/proc/self/status") if line.startswith("Cap")],
        "shadow": os.path.exists("/etc/shadow"), "processes": [p for p in os.listdir("/proc") if p.isdigit()],
        "usr": os.access("/usr", os.W_OK), "code": os.access("/code", os.W_OK),
    }))

def handler(event, context):
    return "fine"
"""
)
