"""Ports for servers that tests start in processes of their own."""

import random
import socket
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SPAN = 16_000
_LOWEST = 5_000
_random = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, and that nobody else will be given before a server has taken it.

    The system gives the ports of its own range to whoever connects or asks for any port: within the moment between
    asking here and listening there, one of those could be taken. So the ports are taken from below that range.
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
        if found not in _given:
            _given.add(found)
            return found
    raise OSError("found no free port")
