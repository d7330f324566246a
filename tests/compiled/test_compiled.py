"""The hot path compiled: it runs only where it was made of this code, and passes the tests of its source."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from whatsync import compiled

_ROOT = Path(__file__).resolve().parents[2]
_SHOW = """
import sys
from pathlib import Path
from whatsync import compiled
print(compiled.use(Path(sys.argv[1])))
import whatsync.cli.serve
print(all(sys.modules[f"whatsync.{name}"].__file__.endswith(".so") for name in compiled.MODULES))
"""
_TOO_LATE = "import whatsync.engine.lanes\nfrom whatsync import compiled\nprint(compiled.use())"


def _told(program: str, *arguments: str) -> list[str]:
    made = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return made.stdout.splitlines()


def test_what_was_compiled_is_what_runs() -> None:
    assert compiled.unusable() is None
    assert _told(_SHOW, str(compiled.FOLDER)) == ["None", "True"]


def test_a_form_of_other_sources_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "compiled"
    shutil.copytree(compiled.FOLDER, other)
    (other / compiled.FINGERPRINT).write_text("0" * 64 + "\n", "ascii")
    assert _told(_SHOW, str(other)) == ["compiled from other sources or for another Python", "False"]


def test_without_one_the_source_runs(tmp_path: Path) -> None:
    assert _told(_SHOW, str(tmp_path / "nothing")) == ["not compiled", "False"]


def test_it_is_not_mixed_with_its_source() -> None:
    assert _told(_TOO_LATE) == ["too late: a module that is compiled was imported before"]


def test_every_source_and_the_python_count(tmp_path: Path) -> None:
    package = tmp_path / "whatsync"
    package.mkdir()
    (package / "one.py").write_text("A = 1\n")
    before = compiled.fingerprint(package)
    assert compiled.fingerprint(package) == before
    (package / "one.py").write_text("A = 2\n")
    assert compiled.fingerprint(package) != before


@pytest.mark.slow
@pytest.mark.timeout(920)
@pytest.mark.parametrize("room", ["net", "web", "engine"])
def test_it_passes_the_tests_of_its_source(room: str) -> None:
    """All of them but those that take it apart, which compiled classes don't allow."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.compiled.plugin", "-p", "no:cacheprovider"]
    command += ["-m", "not takes_apart"]
    done = subprocess.run(
        [*command, f"tests/{room}"], cwd=_ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-8_000:]
