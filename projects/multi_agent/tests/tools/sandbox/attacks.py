"""Hostile programs. An attempt must fail with an exception; a bomb must end with a status.

The attempts use `data`: ports, addresses, a file, and the id of another process.
"""

ATTEMPTS = {
    # Processes
    "fork": "import os; os.fork() or os._exit(0)",
    "forkpty": "import os; os.forkpty()[0] or os._exit(0)",
    "posix_spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "exec": "import os; os.stat('/bin/true'); os.execv('/bin/true', ['true'])",
    "multiprocessing": "import multiprocessing as m; m.get_context('fork').Process().start()",
    "fork by number": "system_call(57, 220) or os._exit(0)",
    "vfork by number": "system_call(58, None) or os._exit(0)",
    "clone3 by number": "system_call(435, 435)",
    # Network
    "tcp": "import socket; socket.create_connection(('127.0.0.1', data['tcp']), 1)",
    "udp": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX).connect(data['unix'])",
    "abstract socket": "import socket; socket.socket(socket.AF_UNIX).connect(data['abstract'])",
    "raw socket": "import socket; socket.socket(type=socket.SOCK_RAW)",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK)",
    "name lookup": "import socket; socket.getaddrinfo('example.org', 80)",
    "listen": "import socket; socket.create_server(('', 0))",
    # Files
    "read /etc/passwd": "open('/etc/passwd').read()",
    "read a file of the project": "open(data['file']).read()",
    "read through /proc/self/root": "open('/proc/self/root/etc/passwd').read()",
    "read through ..": "open('../../../../../../etc/passwd').read()",
    "write the file of the project": "open(data['file'], 'a').write('x')",
    "symlink": "import os; os.symlink('/etc/passwd', 'link'); open('link').read()",
    "hard link": "import os; os.link(data['file'], 'link')",
    "chmod": "import os; os.chmod(data['file'], 0o777); os.stat(data['file'])",
    "delete": "import os; os.remove(data['file'])",
    "pipe file": "import os; os.mkfifo('/tmp/fifo')",
    "device": "import os; os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))",
    **{
        f"write to {folder}": f"open('{folder}/sandbox-escape', 'w').write('x')"
        for folder in (".", "/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/run", "/usr/lib", "/etc")
    },
    "write to the interpreter": "import json; open(json.__file__, 'a').write('x')",
    "write to the input": "import os; os.write(0, b'x')",
    "other open files": "import os; any(map(readable, range(3, 1024))) or fail()",
    # Other processes
    "environment of another process": "open(f'/proc/{data['pid']}/environ').read()",
    "memory of another process": "open(f'/proc/{data['pid']}/mem', 'r+b')",
    "environment of this process": "import os; set(os.environ) - {'PWD', 'LC_CTYPE'} or fail()",
    "kill another process": "import os; os.kill(data['pid'], 9)",
    "kill all": "import os; os.kill(-1, 9)",
    "kill the parent": "import os; os.kill(os.getppid(), 9)",
    "ptrace": "system_call(101, 117, 16, data['pid'], 0, 0)",
    "process_vm_readv": "system_call(310, 270, data['pid'], 0, 0, 0, 0, 0)",
    "pidfd_open": "system_call(434, 434, data['pid'], 0)",
    # Memory that no limit of a process counts
    "memfd": "import os; os.memfd_create('x')",
    "memfd by number": "system_call(319, 279, b'x', 0)",
    "shared memory": "import mmap; mmap.mmap(-1, 1 << 20)",
    "System V shared memory": "system_call(29, 194, 0, 1 << 20, 0o1600)",
    "POSIX shared memory": "from multiprocessing import shared_memory as s; "
    "s.SharedMemory(create=True, size=1 << 20)",
    "memory that grows down": "import mmap; mmap.mmap(-1, 1 << 29, flags=0x102)",
    # The kernel
    "root": "import os; os.setuid(0)",
    "more memory": "import resource as r; r.setrlimit(r.RLIMIT_DATA, (-1, -1))",
    "unshare": "system_call(272, 97, 0x10000000)",
    "mount": "system_call(165, 40, b'none', b'/', b'tmpfs', 0, 0)",
    "chroot": "import os; os.chroot('/')",
    "io_uring": "system_call(425, 425, 1, bytes(120))",
    "bpf": "system_call(321, 280, 0, bytes(64), 64)",
    "userfaultfd": "system_call(323, 282, 1)",
    "perf_event_open": "system_call(298, 241, bytes(120), 0, -1, -1, 0)",
    "keyring": "system_call(250, 219, 0, -3, 1)",
}

HARNESS = """
import os, platform

def system_call(x86, arm, *arguments):
    import ctypes
    number = x86 if platform.machine() == "x86_64" else arm
    result = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result == -1:
        raise OSError(ctypes.get_errno())
    return result

def readable(number):
    try:
        return os.read(number, 1) is not None
    except OSError:
        return False

def fail():
    raise OSError

for name, code in data["attempts"].items():
    try:
        exec(code)
    except (Exception, SystemExit):
        continue
    print(name)
print("end")
"""

BOMBS = {
    # name: (program, status)
    "fork bomb": (
        "import os\nfor _ in range(50):\n    try: os.fork()\n    except Exception: fails = True\n"
        "fails",
        "ok",
    ),
    "thread bomb": (
        "import threading, time\nfor _ in range(5000):\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "error",
    ),
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 20))", "error"),
    "one large block": ("len(b'x' * (1 << 30))", "error"),
    "giant integer": ("9**9**9", "stopped"),
    "giant repetition": ("x = 'x' * 10**10", "error"),
    "loop": ("while True: pass", "stopped"),
    "loop that ignores signals": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        "stopped",
    ),
    "loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "stopped",
    ),
    "regular expression": ("import re; re.match('(a|a)*b', 'a' * 60)", "stopped"),
    "sleep": ("import time; time.sleep(100)", "stopped"),
    "input": ("input()", "error"),
    "output flood": ("while True: print('x' * 1000)", "stopped"),
    "error flood": ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "stopped"),
    "one long line": ("print('x' * 10_000_000)", "stopped"),
    "closed pipes": ("import os; os.close(1); os.close(2)\nwhile True: pass", "stopped"),
    "recursion": ("def f(): f()\nf()", "error"),
    "deep recursion": (
        "import sys; sys.setrecursionlimit(10**9)\nf = lambda n: [f(n + 1)]\nf(0)",
        ("error", "stopped"),
    ),
    "deep parentheses": ("(" * 20_000, ("error", "stopped")),
    "deep unary operators": ("-" * 50_000 + "1", "error"),
    "deep nesting at run time": (
        "x = ()\nfor _ in range(10**6): x = (x,)\nhash(x)",
        ("error", "stopped"),
    ),
    "wild pointer": ("import ctypes; ctypes.string_at(1)", "error"),
    "abort": ("import os; os.abort()", "error"),
    "exit status": ("raise SystemExit(3)", "error"),
    "exit at once": ("import os; os._exit(7)", "error"),
    "null byte": ("x = '\0'", "error"),
    "lone surrogate": ("print('\ud800')", "error"),
}
