"""The hot path as machine code, where it was made for exactly this code: ``make compile`` compiles the modules in
``MODULES`` with mypyc from the very same source, and ``use`` has them imported in its place.

Knows no module by what it does. Without a compiled form, or with one of other sources or another Python, everything
runs from source.
"""

import hashlib
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

MODULES = (
    "engine.attempt", "engine.claiming", "engine.directory", "engine.dispatch", "engine.flight", "engine.ingest",
    "engine.journal", "engine.lanes", "engine.quota", "engine.recorder", "engine.tally",
    "model.ids", "model.phone", "model.request", "model.signature", "model.timestamp",
    "net.answer_head", "net.connection", "net.deadlines", "net.http_sender", "net.origin", "net.pool",
    "net.socket_budget",
    "store.coding",
    "web.accepting", "web.arriving", "web.connections", "web.hot", "web.slots",
)  # fmt: skip
"""What an event passes through on its way from the request to the attempt. None of them may define a ``Struct``, an
enum or anything else that is made by a class's keywords: mypyc leaves those out. The store's writer is not among them:
most of its time is SQLite's, and it was no quicker compiled.
"""
FOLDER = Path(sys.prefix) / "compiled"
"""Where ``make compile`` puts what it has made."""
FINGERPRINT = "fingerprint"
"""The file in it that tells from what it was made."""
SHARED = "__mypyc"
"""How the name of the module ends that holds the code of all."""


class _Finder:
    """Finds the compiled modules."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is, if it is one of ours."""
        file = self._files.get(name)
        return (
            None if file is None else spec_from_file_location(name, file, loader=ExtensionFileLoader(name, str(file)))
        )


def fingerprint(package: Path) -> str:
    """What a compiled form depends on: this Python, and every source, since constants of all are written into it."""
    known = hashlib.sha256(f"{sys.implementation.cache_tag} {EXTENSION_SUFFIXES[0]}\n".encode())
    for source in sorted(package.rglob("*.py")):
        known.update(f"{source.relative_to(package).as_posix()}\n".encode())
        known.update(source.read_bytes())
    return known.hexdigest()


def unusable(folder: Path = FOLDER) -> str | None:
    """Why there is no compiled form to use, in words; ``None`` where there is one."""
    try:
        made_from = (folder / FINGERPRINT).read_text("ascii").strip()
    except OSError:
        return "not compiled"
    if made_from != fingerprint(Path(__file__).parent):
        return "compiled from other sources or for another Python"
    return None


def use(folder: Path = FOLDER) -> str | None:
    """Have the compiled modules imported from now on; says why not, where they can't be.

    To be called before any of them is imported: compiled and interpreted ones don't mix.
    """
    reason = unusable(folder)
    if reason is not None:
        return reason
    if any(f"whatsync.{module}" in sys.modules for module in MODULES):
        return "too late: a module that is compiled was imported before"
    files = {f"whatsync.{module}": _file(folder / "whatsync" / module.replace(".", "/")) for module in MODULES}
    files |= {file.name.split(".")[0]: file for file in folder.glob(f"*{SHARED}{EXTENSION_SUFFIXES[0]}")}
    sys.meta_path.insert(0, _Finder(files))
    return None


def _file(stem: Path) -> Path:
    return stem.with_name(stem.name + EXTENSION_SUFFIXES[0])
