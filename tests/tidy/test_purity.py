"""Real time and real randomness come in through ports: one file of the package touches them, so that a whole
server can run under virtual time and a seed. And nothing changes another module by being imported."""

import ast
from collections.abc import Iterable, Iterator

from tests.tidy.tree import Module, modules, report

REAL = "src/whatsync/net/system.py"
FORBIDDEN_MODULES = frozenset({"time", "random", "secrets", "uuid"})
FORBIDDEN_CALLS = frozenset(
    {
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "os.urandom",
        "os.getrandom",
        "os.times",
    }
)
_MEASURES = "a measurement is made of real times and random ids; nothing of it runs in the server"
ALLOWED: dict[str, str] = {
    f"src/whatsync/cli/bench/{name}.py": _MEASURES for name in ("generator", "installation", "measurement", "receiver")
}
"""Further files that may, each with the reason."""


def leaks(tree: Iterable[Module]) -> Iterator[str]:
    """Places that read the clock or draw at random by themselves."""
    for module in tree:
        if module.path == REAL or module.path in ALLOWED:
            continue
        for line, imported in module.imports():
            if imported.split(".")[0] in FORBIDDEN_MODULES:
                yield f"{module.path}:{line}: ask the clock or randomness port, not {imported.split('.')[0]}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute):
                dotted = ".".join(ast.unparse(node).split(".")[-2:])
                if dotted in FORBIDDEN_CALLS:
                    yield f"{module.path}:{node.lineno}: ask the clock or randomness port, not {dotted}"


def test_only_one_file_touches_the_real_clock_and_randomness() -> None:
    report(leaks(modules("src")))


def test_the_allow_list_is_true() -> None:
    known = {module.path: module for module in modules("src")}
    for path, reason in ALLOWED.items():
        assert len(reason) > 20, f"{path}: say why"
        bare = Module("src/bare/" + path, known[path].text)
        assert list(leaks([bare])), f"{path} needs no exception any more"


def test_a_leak_is_found() -> None:
    for text in (
        "import time",
        "from time import monotonic",
        "from secrets import token_bytes",
        "import datetime\nx = datetime.datetime.now()",
        "from datetime import datetime\nx = datetime.now",
        "import os\nx = os.urandom(8)",
    ):
        assert list(leaks([Module("src/whatsync/engine/a.py", text)])), text
    assert not list(leaks([Module(REAL, "import time")]))


def changes(tree: Iterable[Module]) -> Iterator[str]:
    """Places that set something in another module when they are imported: all tests of a process would have it."""
    for module in tree:
        for node in module.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr.isupper():
                    yield f"{module.path}:{node.lineno}: set {ast.unparse(target)} where it is wanted, not on import"


def test_nothing_is_changed_by_an_import() -> None:
    report(changes(modules("src", "tests", "benchmarks")))


def test_a_change_is_found() -> None:
    text = "from whatsync.model import limits\nlimits.LEASE_SECONDS = limits.LOOK_SECONDS = 1.0\n"
    assert len(list(changes([Module("tests/some.py", text)]))) == 2
