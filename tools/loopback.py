"""Runs a command in a new network namespace, with the loopback interface up and no other.

    unshare -rn python -m tools.loopback COMMAND …

`unshare` creates the namespace with all interfaces down, and a program could not even reach its
own server on 127.0.0.1. Standard library only; Linux only.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

# From <linux/sockios.h> and <linux/if.h>.
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def main(command: list[str]) -> None:
    """Bring up `lo` and become the command."""
    with socket.socket() as any_socket:
        interface = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, interface))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
