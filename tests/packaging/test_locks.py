"""The lock files: complete, hashed, in agreement with each other, and naming no registry.
Reads files only; whether they install is what `make setup` shows."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = (
    "requirements.lock",
    "requirements-build.lock",
    "requirements-compile.lock",
    "requirements-dev.lock",
    "requirements-node.lock",
)
PINNED = re.compile(r"^([a-z0-9.-]+)==(\S+)")


def blocks(lock: str) -> list[str]:
    """One text a package: its pin and the hashes that go with it."""
    lines = (ROOT / lock).read_text().replace(" \\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins(lock: str) -> dict[str, str]:
    found = {}
    for block in blocks(lock):
        match = PINNED.match(block)
        assert match, block
        found[match[1]] = match[2]
    return found


def wanted(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", requirement)[0].lower() for requirement in requirements}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_and_hashed_and_no_registry_named(lock: str) -> None:
    assert blocks(lock)
    for block in blocks(lock):
        assert PINNED.match(block)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "index-url" not in text


def test_the_locks_hold_all_that_is_asked_for() -> None:
    asked = project()
    dependencies = asked["project"]["dependencies"]
    telemetry = asked["project"]["optional-dependencies"]["telemetry"]
    groups = asked["dependency-groups"]
    runtime = wanted(dependencies + telemetry)
    assert runtime <= set(pins("requirements.lock"))
    assert runtime | wanted(groups["dev"]) <= set(pins("requirements-dev.lock"))
    assert wanted(groups["compile"]) <= set(pins("requirements-compile.lock"))
    assert wanted(groups["build"]) <= set(pins("requirements-build.lock"))
    assert wanted(asked["build-system"]["requires"]) <= set(pins("requirements-build.lock"))
    assert wanted(groups["node"]) <= set(pins("requirements-node.lock"))


def test_tests_run_with_the_versions_that_are_shipped() -> None:
    development = pins("requirements-dev.lock")
    assert pins("requirements.lock").items() <= development.items()
    for name, version in pins("requirements-build.lock").items():
        assert development.get(name, version) == version


def test_the_node_packages_are_pinned_with_integrity_and_without_addresses() -> None:
    folder = ROOT / "tests" / "receivers"
    asked = json.loads((folder / "package.json").read_text())
    assert all(re.fullmatch(r"(npm:\w+@)?\d+\.\d+\.\d+", version) for version in asked["dependencies"].values())
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert packages[""]["dependencies"] == asked["dependencies"]
    for path, package in packages.items():
        if path:
            assert package["integrity"].startswith("sha512-"), path
            assert "resolved" not in package, path
