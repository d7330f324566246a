"""Reads the repository's files once for all the house rules: paths, lines, syntax trees, imports.
Holds no rule itself."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MADE_FOLDERS = frozenset(
    {
        ".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache",
        "__pycache__", "node_modules", "build", "dist", "whatsync-data", "results",
    }
)  # fmt: skip
TEXT_SUFFIXES = frozenset(
    {".py", ".sql", ".md", ".toml", ".yaml", ".yml", ".js", ".php", ".json", ".html", ".css", ".sh", ".txt"}
    | {".service", ".env", ".lock", ""}
)


@dataclass(frozen=True)
class Module:
    """One Python file: where it is and what it says."""

    path: str
    """Relative to the repository, with forward slashes."""
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The file's syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def name(self) -> str:
        """The dotted name it is imported by."""
        parts = self.path.removeprefix("src/").removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """The dotted name relative imports start from."""
        return self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every import, wherever it stands, as line and full dotted name (``from a import b`` is ``a.b``)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level:
                    above = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
                    origin = ".".join([*above, origin] if origin else above)
                for alias in node.names:
                    yield node.lineno, f"{origin}.{alias.name}"

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def docstrings(self) -> set[int]:
        """Identities of the constant nodes that are documentation: strings standing alone as statements."""
        return {
            id(node.value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }


def report(findings: Iterable[str]) -> None:
    """Fail with all findings, one a line."""
    found = list(findings)
    assert not found, "\n" + "\n".join(found)


def files(*below: str) -> Iterator[Path]:
    """Every file that is ours, in the whole repository or below the given folders."""
    pending = [ROOT / folder for folder in below] if below else [ROOT]
    while pending:
        folder = pending.pop()
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            if entry.name in MADE_FOLDERS or entry.name.endswith(".egg-info"):
                continue
            if entry.is_dir():
                pending.append(entry)
            elif entry.is_file():
                yield entry


@cache
def modules(*below: str) -> tuple[Module, ...]:
    """Every Python file below the given folders."""
    return tuple(
        Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in files(*below)
        if path.suffix == ".py"
    )


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Path and content of every text file of the repository."""
    return tuple(
        (path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in files()
        if path.suffix in TEXT_SUFFIXES and path.name != "package-lock.json"
    )
