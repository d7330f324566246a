"""Ports for servers that tests start in processes of their own."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from io import FileIO
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SPAN = 16_000
_LOWEST = 5_000
_random = random.SystemRandom()


def free_port() -> int:
    """A port nobody listens on, and that nobody else is given while this process runs.

    The system gives the ports of its own range to whoever connects or asks for any port: within the moment between
    asking here and listening there, one of those could be taken. So the ports are taken from below that range. And a
    server that is killed and started again listens in between on nothing: so whoever has a port keeps it by a mark
    that all processes of tests look at, and that ends with its process.
    """
    first = int(_EPHEMERAL.read_text().split()[0])
    below = range(max(_LOWEST, first - _SPAN), first)
    for _ in range(100):
        port = _random.choice(below) if len(below) > 1_000 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
        if _taken(found):
            return found
    raise OSError("found no free port")


_own: set[int] = set()
"""Locks of one process don't stand in its own way."""


def _taken(port: int) -> bool:
    """Whether the port is this process's from now on: one byte of a file stands for each."""
    if port in _own:
        return False
    try:
        fcntl.lockf(_marks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _own.add(port)
    return True


@cache
def _marks() -> FileIO:
    """Open as long as the process: closing it anywhere would end the marks. Each user has a file of his own."""
    path = Path(tempfile.gettempdir()) / f"whatsync-tests-{os.getuid()}.ports"
    return open(path, "ab", buffering=0)
