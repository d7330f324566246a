"""A file is named by its noun and says in its first lines what lives there."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tests.tidy.tree import ROOT, Module, files, modules, report

NAMES_THAT_SAY_NOTHING = frozenset({"utils", "util", "common", "helpers", "helper", "base", "misc", "shared", "stuff"})
INTRODUCTION_CHARACTERS_MIN = 40


def nameless(paths: Iterable[str]) -> Iterator[str]:
    """Files and folders whose name tells nothing."""
    for path in paths:
        for part in PurePosixPath(path).parts:
            if part.split(".")[0].lower().strip("_") in NAMES_THAT_SAY_NOTHING:
                yield f"{path}: name it by what lives there, not {part}"


def unintroduced(tree: Iterable[Module]) -> Iterator[str]:
    """Modules that open without saying what lives in them; an empty package file needs no words."""
    for module in tree:
        if not module.text.strip():
            continue
        if len(ast.get_docstring(module.tree) or "") < INTRODUCTION_CHARACTERS_MIN:
            yield f"{module.path}: open with a sentence or two: what lives here, what it may not know"


def test_names_say_something() -> None:
    report(nameless(path.relative_to(ROOT).as_posix() for path in files()))


def test_each_module_introduces_itself() -> None:
    report(unintroduced(modules("src", "tests", "benchmarks")))


def test_each_folder_of_the_package_is_a_package() -> None:
    folders = {path.parent for path in files("src/whatsync") if path.suffix == ".py"}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_bad_names_and_silent_modules_are_found() -> None:
    assert list(nameless(["src/whatsync/web/utils.py", "tests/helpers/x.py", "src/_base.py"]))
    assert not list(nameless(["src/whatsync/web/database.py"]))
    assert list(unintroduced([Module("src/a.py", "x = 1\n")]))
    assert list(unintroduced([Module("src/a.py", '"""Short."""\n')]))
