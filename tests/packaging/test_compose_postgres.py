"""The compose file of several nodes, read as text: what the nodes need of each other is there."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.test_container import seconds
from whatsync.config import read
from whatsync.model.limits import REQUEST_TIMEOUT_SECONDS_MAX

ROOT = Path(__file__).resolve().parents[2]
NODES = ("node1", "node2", "node3")
_FILLED = re.compile(r"\$\{(\w+):\?[^}]*\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file, as YAML."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.postgres.yaml").read_text("utf-8"))
    return found


def test_nodes_are_alike_but_for_the_volume_that_holds_their_name(compose: dict[str, Any]) -> None:
    nodes = [dict(compose["services"][name]) for name in NODES]
    volumes = [node.pop("volumes") for node in nodes]
    assert nodes[0] == nodes[1] == nodes[2]
    assert volumes == [[f"{name}-data:/data"] for name in NODES]
    assert {f"{name}-data" for name in NODES} | {"database"} == set(compose["volumes"])


def test_their_settings_are_read_by_the_server(compose: dict[str, Any]) -> None:
    values = {
        "POSTGRES_PASSWORD": "abc",
        "WHATSYNC_ENCRYPTION_KEY": "a secret of more than a few words",
        "WHATSYNC_MEDIA_STORE": "s3://bucket/media",
    }
    settings = {
        name: _FILLED.sub(lambda found: values[found[1]], value)
        for name, value in compose["services"]["node1"]["environment"].items()
    }
    config = read(settings)
    assert config.database_url == "postgresql://whatsync:abc@database/whatsync"
    assert (config.encryption_key, config.role) == (values["WHATSYNC_ENCRYPTION_KEY"], "all")
    assert compose["services"]["database"]["environment"]["POSTGRES_DB"] == "whatsync"


def test_nodes_are_confined_and_given_time_to_finish(compose: dict[str, Any]) -> None:
    node = compose["services"]["node1"]
    assert node["read_only"] is True
    assert node["cap_drop"] == ["ALL"]
    assert seconds(node["stop_grace_period"]) > REQUEST_TIMEOUT_SECONDS_MAX
    assert set(node["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert node["depends_on"]["database"]["condition"] == "service_healthy"
    assert "pg_isready" in compose["services"]["database"]["healthcheck"]["test"]


def test_the_proxys_own_program_takes_its_configuration(compose: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(compose["configs"]["proxy"]["content"])
    words = ["caddy", "validate", "--config", str(file), "--adapter", "caddyfile"]
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(words, capture_output=True, text=True, env=home, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr


def test_the_proxy_asks_all_nodes_whether_they_are_ready_and_alone_is_reached(compose: dict[str, Any]) -> None:
    text = compose["configs"]["proxy"]["content"]
    assert " ".join(f"{name}:8600" for name in NODES) in text
    assert "health_uri /readyz" in text
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert published == {"proxy": ["127.0.0.1:8600:8600"]}
