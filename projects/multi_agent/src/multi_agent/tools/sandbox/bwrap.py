"""The sandbox of this machine's Python in Linux namespaces: its packages (numpy), read-only.

    Sandbox("bwrap", bwrap_command()).run("import numpy; numpy.eye(3).sum()")

bubblewrap shows the program nothing but Python, without /dev/shm, /proc or a folder to write to,
in its own process and network namespaces. A seccomp filter leaves it the system calls of a
computation: threads but no processes, no sockets, no memfd. As root, root is given up first.
"""

import os
import platform
import shutil
import struct
import sys
import sysconfig
from pathlib import Path

from multi_agent.tools.sandbox.sandbox import Command
from seedbed.errors import ConfigError

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name:number on x86_64:number on aarch64; clone is for threads, mmap for private memory only. All
# others, such as execve, fork, socket, memfd_create, kill and ptrace, fail with ENOSYS.
_SYSTEM_CALLS = """ clone:56:220 mmap:9:222
    read:0:63 write:1:64 open:2: close:3:57 stat:4: fstat:5:80 lstat:6: lseek:8:62
    mprotect:10:226 munmap:11:215 brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135
    rt_sigreturn:15:139 ioctl:16:29 pread64:17:67 readv:19:65 writev:20:66 access:21:
    sched_yield:24:124 mremap:25:216 madvise:28:233 nanosleep:35:101 getpid:39:172 exit:60:93
    uname:63:160 fcntl:72:25 getcwd:79:17 readlink:89: gettimeofday:96:169 getrusage:98:165
    getuid:102:174 getgid:104:176 geteuid:107:175 getegid:108:177 sigaltstack:131:132
    gettid:186:178 time:201: futex:202:98 sched_getaffinity:204:123 getdents64:217:61
    restart_syscall:219:128 clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115
    exit_group:231:94 tgkill:234:131 openat:257:56 newfstatat:262:79 readlinkat:267:78
    faccessat:269:48 set_robust_list:273:99 getrandom:318:278 statx:332:291 rseq:334:293
"""


def bwrap_command() -> Command:
    """The command of a worker. Raises ConfigError if bubblewrap is missing."""
    bwrap = shutil.which("bwrap")
    if bwrap is None or platform.machine() not in _ARCHITECTURES:
        hint = "Run: apt-get install bubblewrap, or set AGENTS_SANDBOX=wasm."
        raise ConfigError("The sandbox needs bubblewrap, on x86-64 or ARM Linux.", hint=hint)
    python, site = str(Path(sys.executable).resolve()), sysconfig.get_path("platlib")
    # Root needs no user namespace, in which it could not give up being root.
    root = "--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID"
    namespaces = "--unshare-pid --unshare-net --unshare-ipc --unshare-uts "
    namespaces += root if os.geteuid() == 0 else "--unshare-user"
    command = [bwrap, *namespaces.split()]
    libraries = "/usr/lib /usr/lib64 /lib /lib64 /etc/ld.so.cache".split()
    for path in (sys.base_prefix, site, *libraries):
        for parent in list(Path(path).parents)[-2::-1]:  # readable without root, too
            command += ["--perms", "0755", "--dir", str(parent)]
        command += ["--ro-bind-try", path, path]
    command += "--dev-bind /dev/null /dev/null --remount-ro / --chdir /".split()
    command += "--die-with-parent --new-session --setenv OPENBLAS_NUM_THREADS 1".split()
    bootstrap = Path(__file__).with_name("bootstrap.py").read_text()
    command += ["--", python, "-I", "-S", "-B", "-X", "utf8", "-c", bootstrap]
    filter = seccomp_filter(platform.machine()).hex()
    return lambda _, memory_mb: [*command, str(memory_mb), filter, site]


def seccomp_filter(machine: str) -> bytes:
    """A BPF program, which allows the system calls above; see seccomp(2) for its lines."""
    load, equal, any_bit, end = 0x20, 0x15, 0x45, 0x06
    allow, not_implemented, kill = 0x7FFF0000, 0x00050026, 0x80000000
    clone_thread, map_shared_or_growsdown = 0x10000, 0x101
    column = 1 + list(_ARCHITECTURES).index(machine)
    clone, mmap, *others = [int(n) for c in _SYSTEM_CALLS.split() if (n := c.split(":")[column])]
    lines = [(load, 0, 0, 4), (equal, 1, 0, _ARCHITECTURES[machine]), (end, 0, 0, kill)]
    lines += [(load, 0, 0, 0), *((equal, len(others) + 6 - i, 0, n) for i, n in enumerate(others))]
    lines += [(equal, 0, 2, clone), (load, 0, 0, 16), (any_bit, 4, 3, clone_thread)]
    lines += [(equal, 0, 2, mmap), (load, 0, 0, 40), (any_bit, 0, 1, map_shared_or_growsdown)]
    lines += [(end, 0, 0, not_implemented), (end, 0, 0, allow)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
