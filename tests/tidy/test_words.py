"""What may stand in no file of this repository: loose ends, one machine's paths, registries' addresses,
and talk about how the work was organised instead of about the product."""

import re
from collections.abc import Iterable, Iterator

from tests.tidy.tree import report, texts

# Each pattern is put together from pieces, so that this file does not find itself.
EVERYWHERE = {
    "a loose end: do it, or write it where work is planned": "|".join(
        rf"\b{word}\b" for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
    ),
    "a path of one machine": "|".join("/" + path + "/" for path in ("work", "root", "home")),
    "a package registry's address: the client's own settings name it": "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org", "pythonhosted" + ".org", "registry.npm" + "js", "deb.debian" + ".org",
            "crates" + ".io", "proxy.golang" + ".org", "repo1.maven" + ".org",
        )
    ),
    "the repository speaks of the product alone": "|".join(
        (
            r"\bsub-?agents?\b", r"\bAI[ -](agent|assistant|session)s?\b", r"\bthis (coding )?session's\b",
            r"\bissues? #?\d+\b", r"\b(fixes|closes|see|PR) #\d+\b",
            r"\bBR" + r"IEF\b", r"\bshared" + r"/(design|spec|data)\b",
            r"\bClau" + r"de\b", r"\bAnthro" + r"pic\b", r"\bChat" + r"GPT\b",
        )
    ),
}  # fmt: skip
IN_THE_PACKAGE = {"a path of one machine": re.escape("/tmp" + "/")}


def findings(files: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines that hold what may not stand there."""
    everywhere = [(why, re.compile(pattern)) for why, pattern in EVERYWHERE.items()]
    in_package = [(why, re.compile(pattern)) for why, pattern in IN_THE_PACKAGE.items()]
    for path, text in files:
        rules = everywhere + (in_package if path.startswith("src/") else [])
        for number, line in enumerate(text.splitlines(), start=1):
            for why, pattern in rules:
                if found := pattern.search(line):
                    yield f"{path}:{number}: {found.group()!r}: {why}"


def test_no_such_words_anywhere() -> None:
    report(findings(texts()))


def test_planted_words_are_found() -> None:
    planted = (
        "# TO" + "DO: later", "see /work" + "/main", "https://pypi" + ".org/simple",
        "as a sub" + "agent would", "fixes issue" + " 12", "see #" + "12", "shared" + "/design says",
    )  # fmt: skip
    for line in planted:
        assert list(findings([("docs/a.md", line)])), line
    assert list(findings([("src/a.py", "open('/tmp" + "/x')")]))


def test_ordinary_words_are_let_through() -> None:
    for line in (
        "the user agent",
        "a TLS session",
        "color: #" + "123;",
        "Attempt #" + "2",
        "an issue with DNS",
        "/network/",
    ):
        assert not list(findings([("docs/a.md", line)])), line
