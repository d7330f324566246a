"""The rooms of the house and which may know which, read from the imports: the plan can't drift from the code.
An import inside a function or for types alone counts as much as any other."""

import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from tests.tidy.tree import Module, modules, report

CORE = frozenset({"model", "ports"})
MAY_KNOW: dict[str, frozenset[str]] = {
    "__init__": frozenset(),
    "compiled": frozenset(),
    "model": frozenset(),
    "ports": frozenset({"model"}),
    "engine": CORE,
    "store": CORE,
    "net": CORE,
    "media": CORE,
    "config": frozenset({"model"}),
    "logs": frozenset({"model", "terminal"}),
    "terminal": frozenset(),
    "tracing": CORE,
    "sources": CORE | {"engine"},
    "web": CORE | {"engine", "sources", "config"},
    "compose": CORE | {"engine", "store", "net", "media", "config", "logs", "tracing", "sources", "web"},
    "cli": CORE | {"engine", "net", "web", "config", "logs", "tracing", "compose", "compiled"},
    "__main__": frozenset({"cli"}),
}
COMMANDS_WITH_A_STORE = frozenset({"serve", "migrate", "backup", "restore", "doctor", "users"})
"""The commands that open the database themselves; every other one speaks to a running server."""

MODEL_LIBRARIES = frozenset({"msgspec", "idna"})
IMPURE = frozenset(
    {
        "asyncio",
        "concurrent",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "shutil",
        "signal",
        "socket",
    }
    | {"selectors", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "random", "secrets"}
)


def room_of(name: str) -> str | None:
    """The room a dotted name lies in (``whatsync.store.sqlite.schema``: ``store``), None for others'."""
    parts = name.split(".")
    if parts[0] != "whatsync":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in MAY_KNOW else "__init__"


def trespasses(tree: Iterable[Module]) -> Iterator[str]:
    """Imports that go against the plan."""
    for module in tree:
        home = module.name.split(".")[1] if "." in module.name else "__init__"
        if home not in MAY_KNOW:
            yield f"{module.path}: no room is called {home}; add it to the plan or move the file"
            continue
        allowed = MAY_KNOW[home] | {home, "__init__"}
        if home == "cli" and module.name.split(".")[2:3] and module.name.split(".")[2] in COMMANDS_WITH_A_STORE:
            allowed |= {"store"}
        for line, imported in module.imports():
            room = room_of(imported)
            if room is not None and room not in allowed:
                yield f"{module.path}:{line}: {home} may not know {room} ({imported})"


def impurities(tree: Iterable[Module]) -> Iterator[str]:
    """What in the model is not pure: I/O, concurrency, libraries beyond the few that only compute."""
    for module in tree:
        if room_of(module.name) != "model":
            continue
        for line, imported in module.imports():
            top = imported.split(".")[0]
            foreign = top not in sys.stdlib_module_names and top not in MODEL_LIBRARIES | {"whatsync"}
            if top in IMPURE or foreign:
                yield f"{module.path}:{line}: the model is pure and may not import {top}"
        for function in module.functions():
            if type(function).__name__ == "AsyncFunctionDef":
                yield f"{module.path}:{function.lineno}: the model is pure: {function.name} may not be async"


def cycle(tree: Iterable[Module]) -> list[str]:
    """One circle of modules that import each other, or nothing."""
    known = {module.name: module for module in tree}
    graph: dict[str, set[str]] = {}
    for module in known.values():
        targets = {name if name in known else name.rpartition(".")[0] for _, name in module.imports()}
        graph[module.name] = {name for name in targets if name in known and name != module.name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def test_each_room_knows_only_what_the_plan_lets_it_know() -> None:
    report(trespasses(modules("src")))


def test_the_model_is_pure() -> None:
    report(impurities(modules("src")))


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = cycle(modules("src"))
    assert not found, " <- ".join(found)


def test_a_room_without_a_place_in_the_plan_is_found() -> None:
    assert list(trespasses([Module("src/whatsync/drawer/thing.py", "")]))


def test_a_trespass_is_found_wherever_it_stands() -> None:
    hidden = "def f():\n    from whatsync.store import sqlite\n"
    assert list(trespasses([Module("src/whatsync/engine/lanes.py", hidden)]))
    assert list(trespasses([Module("src/whatsync/engine/lanes.py", "from ..net import system")]))
    assert list(trespasses([Module("src/whatsync/model/ids.py", "import whatsync.ports.clock")]))
    assert list(trespasses([Module("src/whatsync/cli/events.py", hidden)]))
    assert not list(trespasses([Module("src/whatsync/cli/backup.py", hidden)]))
    assert not list(trespasses([Module("src/whatsync/engine/lanes.py", "from whatsync.model import ids")]))


def test_an_impure_model_is_found() -> None:
    assert list(impurities([Module("src/whatsync/model/a.py", "import socket")]))
    assert list(impurities([Module("src/whatsync/model/a.py", "from apsw import Connection")]))
    assert list(impurities([Module("src/whatsync/model/a.py", "async def f(): ...")]))
    assert not list(impurities([Module("src/whatsync/model/a.py", "import hmac\nimport msgspec")]))


def test_a_circle_is_found() -> None:
    one = Module("src/whatsync/engine/one.py", "from whatsync.engine.two import x")
    two = Module("src/whatsync/engine/two.py", "def f():\n    from . import one")
    assert cycle([one, two])
    assert not cycle([one])
