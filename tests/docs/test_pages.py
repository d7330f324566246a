"""The reader of pages itself, and what holds for every page: its links lead somewhere."""

import re
from pathlib import PurePosixPath

from tests.docs.pages import ROOT, all_pages, difference, entries

FENCES = re.MULTILINE | re.DOTALL


def anchors(text: str) -> set[str]:
    """The anchors a page's headings make, by the rule of the usual Markdown viewers."""
    headings = re.findall(r"^#+\s+(.*)$", re.sub(r"^```.*?^```", "", text, flags=FENCES), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere() -> None:
    pages = all_pages()
    broken = []
    for path, text in pages.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target, _, anchor = link.partition("#")
            if "://" in link or link.startswith("mailto:"):
                continue
            file = (ROOT / PurePosixPath(path).parent / target).resolve() if target else ROOT / path
            if not file.exists():
                broken.append(f"{path}: {link}: no such file")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
                broken.append(f"{path}: {link}: no such heading")
    assert not broken, "\n".join(broken)


def test_the_reader_finds_entries_and_differences() -> None:
    text = "| `PORT` | 8600 |\n### `HOST`\nword `INSIDE` a line\n"
    assert entries(text, "[A-Z]+") == {"PORT", "HOST"}
    assert difference({"a"}, {"b"}).splitlines() == [
        "described, but does not exist: a",
        "exists, but is not described: b",
    ]
    assert difference({"a"}, {"a"}) == ""
    assert anchors("# One `two`, three\n```\n# no heading\n```\n") == {"one-two-three"}
