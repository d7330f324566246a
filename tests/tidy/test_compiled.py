"""What is compiled with mypyc is written so that it does the same compiled: mypyc leaves out what a class is made by
besides its body.
"""

import ast
from collections.abc import Iterator, Sequence

from tests.tidy.tree import Module, modules, report
from whatsync.compiled import MODULES

_PATHS = {f"src/whatsync/{module.replace('.', '/')}.py" for module in MODULES}
_GUARDED = {"src/whatsync/net/answer_head.py": 1, "src/whatsync/model/request.py": 1}
"""Slices with two bounds that are seen to lie the right way round."""
_PLAIN_BASES = {"Protocol", "Generic[Result]", "ValueError", "HttpToolsProtocol"}


def unfit(found: Sequence[Module]) -> Iterator[str]:
    """Classes of compiled modules that mypyc would change without a word."""
    own = {node.name for module in found for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)}
    for module in found:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                yield from _of_class(module, node, own)


def doubtful(found: Sequence[Module]) -> Iterator[str]:
    """Slices whose end may lie before their begin: of bytes mypyc makes an error of what is empty in Python."""
    for module in found:
        slices = [node for node in ast.walk(module.tree) if isinstance(node, ast.Slice) and _may_turn(node)]
        if len(slices) > _GUARDED.get(module.path, 0):
            yield (
                f"{module.path}:{slices[-1].lower.lineno if slices[-1].lower else 0}: see that the end of this slice "
                "never lies before its begin, and count it in _GUARDED"
            )


def _may_turn(part: ast.Slice) -> bool:
    bounds = [bound for bound in (part.lower, part.upper) if bound is not None]
    return len(bounds) == 2 and not all(isinstance(bound, ast.Constant) for bound in bounds)


def _of_class(module: Module, node: ast.ClassDef, own: set[str]) -> Iterator[str]:
    where = f"{module.path}:{node.lineno}: {node.name}"
    if node.keywords:
        yield f"{where} is made by keywords, which mypyc leaves out: put it into a module that is not compiled"
    if node.decorator_list:
        yield f"{where} is changed by a decorator: put it into a module that is not compiled"
    for base in node.bases:
        name = ast.unparse(base).rpartition(".")[2]
        if name not in own | _PLAIN_BASES:
            yield f"{where} is a {name}, which is made in its own way: put it into a module that is not compiled"


def test_compiled_modules_hold_plain_classes() -> None:
    found = [module for module in modules("src") if module.path in _PATHS]
    assert {module.path for module in found} == _PATHS
    report(unfit(found))
    report(doubtful(found))


def test_what_would_be_left_out_is_found() -> None:
    struct = Module("src/whatsync/engine/lanes.py", "import msgspec\nclass A(msgspec.Struct):\n    x: int")
    keyword = Module("src/whatsync/engine/lanes.py", "class A: ...\nclass B(A, kw_only=True): ...")
    decorated = Module("src/whatsync/engine/lanes.py", "from dataclasses import dataclass\n@dataclass\nclass A: ...")
    for module in (struct, keyword, decorated):
        assert list(unfit([module]))
    assert not list(unfit([Module("src/whatsync/engine/lanes.py", "class A: ...\nclass B(A): ...")]))
    assert list(doubtful([Module("src/whatsync/engine/lanes.py", "def f(a, b, c):\n    return a[b:c]")]))
    assert not list(doubtful([Module("src/whatsync/engine/lanes.py", "def f(a):\n    return a[1:2] + a[3:]")]))
