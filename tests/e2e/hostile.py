"""What hostile functions try. Each is the source of a handler; what it returns says how far it got."""

from __future__ import annotations

HEAD = """
import ctypes, errno, json, os, resource, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*arguments)
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def number(nr, *arguments):
    return call("syscall", ctypes.c_long(nr), *map(ctypes.c_long, arguments))
def attempt(what):
    try:
        return what()
    except Exception as failure:
        code = getattr(failure, "errno", None)
        return errno.errorcode.get(code, type(failure).__name__) if code else type(failure).__name__
"""

REFUSED_CALLS = (
    HEAD
    + """
def handler(event, context):
    return {
        "mount tmpfs": call("mount", b"x", b"/tmp", b"tmpfs", 0, None),
        "remount the root": call("mount", b"", b"/", b"", 32 | 4096, None),
        "umount": call("umount2", b"/code", 2),
        "chroot": call("chroot", b"/tmp"),
        "pivot_root": number(155, 0, 0),
        "unshare user": call("unshare", 0x10000000),
        "unshare network": call("unshare", 0x40000000),
        "clone user": number(56, 0x10000000 | 17, 0, 0, 0, 0),
        "setns": call("setns", 3, 0),
        "ptrace": call("ptrace", 16, 1, 0, 0),
        "process_vm_readv": number(310, 1, 0, 0, 0, 0, 0),
        "keyctl": number(250, 0, -3, 1),
        "add_key": number(248, 0, 0, 0, 0, 0),
        "io_uring": number(425, 8, 0),
        "bpf": number(321, 0, 0, 0),
        "perf": number(298, 0, 0, 0, 0, 0),
        "userfaultfd": number(323, 0),
        "open_by_handle": number(304, 0, 0, 0),
        "kexec": number(246, 0, 0, 0, 0),
        "reboot": number(169, 0, 0, 0, 0),
        "mknod": number(133, 0, 0, 0),
        "sethostname": call("sethostname", b"x", 1),
        "settime": number(227, 0, 0),
        "become root": call("setuid", 0),
        "type into the terminal": call("ioctl", 0, 0x5412, b"x"),
        "quotactl": number(179, 0, 0, 0, 0),
        "memfd_secret": number(447, 0),
        "new mount": number(430, 0, 0),
    }
"""
)
OTHER_REFUSALS = (
    HEAD
    + """
def sock(*arguments):
    made = socket.socket(*arguments)
    made.close()
    return "ok"
def handler(event, context):
    return {
        "clone3": number(435, 0, 0),
        "raw socket": attempt(lambda: sock(socket.AF_INET, socket.SOCK_RAW, 1)),
        "packet socket": attempt(lambda: sock(17, socket.SOCK_RAW, 0)),
        "vsock": attempt(lambda: sock(40, socket.SOCK_STREAM, 0)),
        "kernel crypto": attempt(lambda: sock(38, socket.SOCK_SEQPACKET, 0)),
        "udp and tcp": attempt(lambda: sock(socket.AF_INET, socket.SOCK_DGRAM)) + attempt(lambda: sock(socket.AF_INET)),
    }
"""
)
FILES = (
    HEAD
    + """
def handler(event, context):
    def write(path):
        return attempt(lambda: open(path, "w").write("x"))
    seen = {path: attempt(lambda: open(path, "rb").read(100) and "ok") for path in json.loads(event)}
    return {
        "seen": seen,
        "written": {path: write(path) for path in ("/code/x", "/usr/x", "/etc/x", "/x", "/dev/x", "/opt/x")},
        "tmp": write("/tmp/mine"),
        "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "root": sorted(os.listdir("/")),
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,
        "status": dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line),
        "first": {name: attempt(lambda: os.readlink(f"/proc/1/{name}")) for name in ("root", "cwd", "exe")},
        "kernel": attempt(lambda: open("/proc/kcore", "rb").read(1)),
        "settings": attempt(lambda: open("/proc/sys/kernel/core_pattern", "w").write("x")),
    }
"""
)
NO_NETWORK = (
    HEAD
    + """
def handler(event, context):
    def udp(host="127.0.0.1"):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.connect((host, int(event)))
        made.send(b"x")
        made.settimeout(1)
        return made.recv(1)
    def tcp(host="127.0.0.1"):
        socket.create_connection((host, int(event)), timeout=1)
        return "connected"
    def name():
        return socket.gethostbyname("example.org")
    return {"udp": attempt(udp), "tcp": attempt(tcp), "udp out": attempt(lambda: udp("10.1.2.3")),
            "tcp out": attempt(lambda: tcp("10.1.2.3")), "tcp 6": attempt(lambda: tcp("2001:db8::1")),
            "name": attempt(name), "interfaces": [name for _, name in socket.if_nameindex()]}
"""
)
ABSTRACT = (
    HEAD
    + """
def handler(event, context):
    made = socket.socket(socket.AF_UNIX)
    return attempt(lambda: made.connect("\\0" + event.decode()) or "connected")
"""
)
FORK_BOMB = (
    HEAD
    + """
def handler(event, context):
    made = 0
    if event:
        open("/proc/self/comm", "wb").write(event)
    while True:
        try:
            pid = os.fork()
        except OSError as failure:
            break
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if made % 2:
                os.setsid()
            while True:
                signal.pause()
        made += 1
    print("made", made)
    if event:
        while True: pass
    return {"made": made}
"""
)
MEMORY_IN_CHILDREN = (
    HEAD
    + """
import mmap
piece = b"x" * (4 << 20)
def handler(event, context):
    for _ in range(10):
        if os.fork() == 0:
            kept = []
            while True:
                try:
                    kept.append(mmap.mmap(-1, len(piece), flags=mmap.MAP_PRIVATE))
                    kept[-1].write(piece)
                except (MemoryError, OSError):
                    signal.pause()
    while True:
        _, status = os.wait()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9:
            os.kill(os.getpid(), 9)
"""
)
MEMORY_OWN = (
    HEAD
    + """
def handler(event, context):
    kept = []
    while True:
        kept.append(bytearray(b"x") * (4 << 20))
"""
)
MEMORY_SHARED = (
    HEAD
    + """
import mmap
def handler(event, context):
    kept, piece = [], b"x" * (4 << 20)
    while True:
        kept.append(mmap.mmap(-1, len(piece)))  # shared: no limit of a single process counts it
        kept[-1].write(piece)
"""
)
TMP_FILLER = (
    HEAD
    + """
def handler(event, context):
    piece, size = b"x" * (1 << 20), 0
    def fill():
        nonlocal size
        number = 0
        while True:
            with open(f"/tmp/f{number}", "wb", buffering=0) as file:
                for _ in range(16):
                    size += file.write(piece)
            number += 1
    why = attempt(fill)
    for name in os.listdir("/tmp"):
        os.unlink("/tmp/" + name)
    many = 0
    def empty():
        nonlocal many
        while True:
            open(f"/tmp/e{many}", "w").close()
            many += 1
    return {"why": why, "mb": size >> 20, "why many": attempt(empty), "many": many}
"""
)
FD_LEAK = (
    HEAD
    + """
def handler(event, context):
    kept = []
    why = attempt(lambda: [kept.append(os.open("/dev/null", os.O_RDONLY)) for _ in iter(int, 1)])
    count = len(kept)
    for fd in kept: os.close(fd)
    return {"why": why, "count": count}
"""
)
ZOMBIES = (
    HEAD
    + """
def handler(event, context):
    for _ in range(50):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = [name for name in os.listdir("/proc") if name.isdigit()]
        if len(left) <= 2: break
    return {"left": len(left)}
"""
)
SPIN = """
import threading, time
def handler(event, context):
    begin, used = time.monotonic(), time.process_time()
    while time.monotonic() - begin < 1.5: pass
    return {"share": (time.process_time() - used) / (time.monotonic() - begin)}
"""
IDENTITY = """
import os, json
def handler(event, context):
    if event: open("/tmp/secret", "wb").write(event)
    try: others = open("/tmp/secret").read()
    except OSError: others = ""
    return {"uid": os.getuid(), "map": open("/proc/self/uid_map").read().split(), "tmp": others,
            "code": os.environ["FC_FUNC_CODE_PATH"], "file": __file__, "boxes": os.readlink("/proc/self/ns/mnt")}
"""
WRONG_FRAMES = """
import os, struct
def handler(event, context):
    os.write(4, struct.pack("<IIHBBI", *[int(word) for word in event.split()]))
    return b""
"""
IGNORES = """
def handler(event, context):
    for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)
"""
ESCAPES = """
def handler(event, context):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open("/proc/self/comm", "wb").write(event)
                while True:
                    time.sleep(1)
            os._exit(0)
    while True:
        time.sleep(1)
"""
MANY_ZOMBIES = """
def handler(event, context):
    while True:
        if os.fork() == 0:
            os._exit(0)
"""
FILLS_BYTES = """
def handler(event, context):
    piece, number = b"x" * (1 << 20), 0
    while True:
        with open(f"/tmp/f{number}", "wb", buffering=0) as file:
            for _ in range(16):
                if file.write(piece) < len(piece):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        number += 1
"""
FILLS_INODES = """
def handler(event, context):
    number = 0
    while True:
        open(f"/tmp/e{number}", "w").close()
        number += 1
"""
LISTENS = """
kept = []
def handler(event, context):
    made = socket.socket(socket.AF_UNIX)
    made.bind(b"\\0" + event)
    made.listen()
    kept.append(made)
    return b"listening"
"""
