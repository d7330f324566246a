"""Reads the pages of the documentation for the tests that hold them against the code.
Knows Markdown's outward marks only: lines, code in backticks, fenced blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """The text of one page below docs/."""
    return (DOCS / name).read_text(encoding="utf-8")


def all_pages() -> dict[str, str]:
    """Every page a reader meets, the README included, by its path; decisions are history and may name what is gone."""
    pages = [ROOT / "README.md", *(path for path in sorted(DOCS.rglob("*.md")) if "decisions" not in path.parts)]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages}


def difference(described: set[str], existing: set[str]) -> str:
    """What is described but not there, and what is there but not described, one a line; empty if nothing."""
    lines = [f"described, but does not exist: {name}" for name in sorted(described - existing)]
    lines += [f"exists, but is not described: {name}" for name in sorted(existing - described)]
    return "\n".join(lines)


def entries(text: str, pattern: str) -> set[str]:
    """Names a page describes in their own right: code that opens a heading or a table's row."""
    return set(re.findall(rf"^(?:\|\s*|#+\s+)`({pattern})`", text, re.MULTILINE))
