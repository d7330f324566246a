"""The Makefile and the CI script: one command per intent, each explained, and CI runs the same ones."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INTENTS = {"run", "setup", "test", "check", "bench", "sim", "lock", "format", "clean", "wheel"}


def test_every_intent_has_a_command_with_one_line_of_help() -> None:
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    explained = dict(re.findall(r"^  make (\S+) +(\S.*)$", shown.stdout, re.MULTILINE))
    assert set(explained) >= INTENTS
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert set(explained) == set(phony[1].split())


def test_ci_runs_what_a_person_types() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    assert {"make check", "make test"} <= set(script.splitlines())


def test_a_python_that_is_too_old_is_refused_with_a_way_out(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["bash", "packaging/venv.sh", str(tmp_path / "venv"), str(old)],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_program_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    """Without apt-get on the PATH the script can only tell, and has to."""
    for program in ("bash", "id"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    there = ("bash=bash", "library:libc.so.6=libc6")
    asked = (*there, "no-such-program=some-package", "library:libnone.so.9=libnone9")
    done = subprocess.run(
        ["bash", str(ROOT / "packaging" / "debian.sh"), *asked],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert "apt-get install -y --no-install-recommends some-package libnone9\n" in done.stderr
