"""No file and no function grows past what one can read at once."""

import ast
from collections.abc import Iterable, Iterator

from tests.tidy.tree import Module, modules, report

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_P90 = 35


def function_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its documentation not counted: saying more about it must not cost anything."""
    first = function.body[0]
    documentation = 0
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        documentation = (first.end_lineno or first.lineno) - first.lineno + 1
    return (function.end_lineno or function.lineno) - function.lineno + 1 - documentation


def oversized(tree: Iterable[Module]) -> Iterator[str]:
    """Files and functions over their limits."""
    for module in tree:
        lines = module.text.count("\n")
        if lines > FILE_LINES_MAX:
            yield f"{module.path}: {lines} lines, at most {FILE_LINES_MAX}"
        for function in module.functions():
            length = function_lines(function)
            if length > FUNCTION_LINES_MAX:
                where = f"{module.path}:{function.lineno}"
                yield f"{where}: {function.name} has {length} lines, at most {FUNCTION_LINES_MAX}"


def p90(tree: Iterable[Module]) -> int:
    """The length that nine of ten functions stay below."""
    lengths = sorted(function_lines(function) for module in tree for function in module.functions())
    return lengths[len(lengths) * 9 // 10] if lengths else 0


def test_files_and_functions_stay_small() -> None:
    report(oversized(modules("src", "tests", "benchmarks")))


def test_nine_of_ten_functions_are_short() -> None:
    assert p90(modules("src")) <= FUNCTION_LINES_P90


def test_what_is_too_long_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert list(oversized([Module("src/a.py", "def f():\n" + body)]))
    assert not list(oversized([Module("src/a.py", "def f():\n" + body[9:])]))
    assert not list(oversized([Module("src/a.py", 'def f():\n    """\n' + "word\n" * 80 + '    """\n    pass\n')]))
    assert list(oversized([Module("src/a.py", "x = 1\n" * (FILE_LINES_MAX + 1))]))
    assert p90([Module("src/a.py", "def f():\n" + body)]) > FUNCTION_LINES_P90
