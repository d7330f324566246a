"""The container image and the compose file, read as text: no engine is needed to see that they fit together.
The health check's own program is run for real against a small server."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from whatsync.model.limits import REQUEST_TIMEOUT_SECONDS_MAX

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages, each a list of instruction and arguments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest.strip()))
    return stages


def last_stage() -> dict[str, str]:
    return dict(instructions()[-1])


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in last_stage()["ENV"].split())


def service() -> dict[str, Any]:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert list(services) == ["whatsync"]
    only: dict[str, Any] = services["whatsync"]
    return only


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server whose /healthz answers ``status``; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_image_runs_as_nobody_in_particular_and_stops_on_sigterm() -> None:
    stage = last_stage()
    assert stage["USER"] == "whatsync"
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(stage["ENTRYPOINT"]) == ["whatsync"]
    assert json.loads(stage["CMD"]) == ["serve"]


def test_data_lies_on_the_volume_and_the_port_is_the_one_exposed() -> None:
    stage, environment = last_stage(), image_environment()
    assert environment["WHATSYNC_DATA_DIR"] == stage["VOLUME"] == "/data"
    assert environment["WHATSYNC_PORT"] == stage["EXPOSE"]
    assert service()["volumes"] == ["whatsync-data:/data"]
    assert service()["ports"] == [f"127.0.0.1:{stage['EXPOSE']}:{stage['EXPOSE']}"]


def test_everything_the_build_copies_exists_and_is_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for stage in instructions():
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert source in let_in, source


def test_packages_are_installed_by_hash_only() -> None:
    runs = " ".join(rest for stage in instructions() for word, rest in stage if word == "RUN")
    installs = re.findall(r"pip install ([^&]*)", runs)
    assert len(installs) == 4
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_well_from_ill(status: int, code: int) -> None:
    command = json.loads(last_stage()["HEALTHCHECK"].partition(" CMD ")[2])
    assert command[:2] == ["python", "-c"]
    with answering(status) as port:
        done = subprocess.run(
            [sys.executable, *command[1:]], env={"WHATSYNC_PORT": str(port)}, capture_output=True, timeout=30
        )
    assert done.returncode == code


def test_the_container_is_confined_and_given_time_to_finish() -> None:
    compose = service()
    assert compose["read_only"] is True
    assert compose["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in compose["security_opt"]
    assert seconds(compose["stop_grace_period"]) > REQUEST_TIMEOUT_SECONDS_MAX
    assert set(compose["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
