"""What every test shares: long tests first, Hypothesis without time limits, and no way out to the network.
It knows nothing of WhatsSync itself; fixtures about one room stand in that room's own conftest."""

import gc
import ipaddress
import os
import shutil
import socket
import sys
from pathlib import Path

import hypothesis
import pytest

_TESTS_BETWEEN_LOOKS = 100
_finished: list[str] = []
ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    print_blob=True,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def refuse_strangers(event: str, arguments: tuple[object, ...]) -> None:
    """Stop any connection, datagram or listener of this process that is not on the loopback interface."""
    if event not in {"socket.connect", "socket.sendto", "socket.bind"}:
        return
    opened, address = arguments
    if not isinstance(opened, socket.socket) or opened.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    host = address[0] if isinstance(address, tuple) else None
    if host == "localhost" or (event == "socket.bind" and opened.type & socket.SOCK_DGRAM):
        return
    try:
        local = ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        local = False
    if not local:
        raise PermissionError(f"tests stay on the loopback interface: {event} {address!r}")


sys.addaudithook(refuse_strangers)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of single rooms, which pytest takes only from here."""
    parser.addoption("--screenshots", metavar="FOLDER", help="keep pictures of the dashboard's pages here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the slow tests first, so that at the end no core waits for the last of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Let the remains of stopped servers go from time to time: each had put all that there was out of further looks."""
    _finished.append(nodeid)
    if len(_finished) >= _TESTS_BETWEEN_LOOKS:
        _finished.clear()
        gc.unfreeze()
        gc.collect()


@pytest.fixture(scope="session")
def node() -> str:
    """Path of a Node.js that is new enough: the one `make setup-dev` chose, else the one on the PATH."""
    chosen = ROOT / ".venv" / "bin" / "node"
    found = str(chosen) if chosen.exists() else shutil.which("node")
    assert found, "Node.js is missing: run `make setup-dev`"
    return found
