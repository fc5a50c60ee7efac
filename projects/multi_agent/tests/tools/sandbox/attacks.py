"""Hostile programs. An attempt must fail with an exception; a bomb must end with a status.

The attempts use `data`: ports, addresses, a file, and the id of another process.
"""

ATTEMPTS = {
    # Processes
    "fork": "import os; os.fork() or os._exit(0)",
    "subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "exec": "import os; os.stat('/bin/true'); os.execv('/bin/true', ['true'])",
    "fork by number": "system_call(57, 220) or os._exit(0)",
    # Network
    "tcp": "import socket; socket.create_connection(('127.0.0.1', data['tcp']), 1)",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX).connect(data['unix'])",
    "abstract socket": "import socket; socket.socket(socket.AF_UNIX).connect(data['abstract'])",
    "name lookup": "import socket; socket.getaddrinfo('example.org', 80)",
    # Files
    "read /etc/passwd": "open('/etc/passwd').read()",
    "read a file of the project": "open(data['file']).read()",
    "write the file of the project": "open(data['file'], 'a').write('x')",
    "symlink": "import os; os.symlink('/etc/passwd', 'link'); open('link').read()",
    "delete": "import os; os.remove(data['file'])",
    "device": "import os; os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))",
    **{
        f"write to {folder}": f"open('{folder}/sandbox-escape', 'w').write('x')"
        for folder in (".", "/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/run", "/usr/lib", "/etc")
    },
    "other open files": "import os; any(map(readable, range(3, 1024))) or fail()",
    # Other processes
    "environment of another process": "open(f'/proc/{data['pid']}/environ').read()",
    "memory of another process": "open(f'/proc/{data['pid']}/mem', 'r+b')",
    "environment of this process": "import os; set(os.environ) - {'PWD', 'LC_CTYPE'} or fail()",
    "kill another process": "import os; os.kill(data['pid'], 9)",
    "kill the parent": "import os; os.kill(os.getppid(), 9)",
    "pidfd_open": "system_call(434, 434, data['pid'], 0)",
    # Memory that no limit of a process counts
    "memfd": "import os; os.memfd_create('x')",
    # The kernel
    "root": "import os; os.setuid(0)",
    "more memory": "import resource as r; r.setrlimit(r.RLIMIT_DATA, (-1, -1))",
    "mount": "system_call(165, 40, b'none', b'/', b'tmpfs', 0, 0)",
    "io_uring": "system_call(425, 425, 1, bytes(120))",
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
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 20))", "error"),
    "giant integer": ("9**9**9", "stopped"),
    "loop": ("while True: pass", "stopped"),
    "loop that ignores signals": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        "stopped",
    ),
    "regular expression": ("import re; re.match('(a|a)*b', 'a' * 60)", "stopped"),
    "output flood": ("while True: print('x' * 1000)", "stopped"),
    "closed pipes": ("import os; os.close(1); os.close(2)\nwhile True: pass", "stopped"),
    "deep recursion": (
        "import sys; sys.setrecursionlimit(10**9)\nf = lambda n: [f(n + 1)]\nf(0)",
        ("error", "stopped"),
    ),
    "wild pointer": ("import ctypes; ctypes.string_at(1)", "error"),
    "abort": ("import os; os.abort()", "error"),
}
