"""The webhooks page lists the programs that are offered to paste, no more and no fewer, with their commands."""

from tests.docs.pages import page
from whatsync.web.snippets.snippet import SNIPPETS

FOLDER = "../src/whatsync/web/snippets/"


def test_every_program_is_listed_with_its_commands() -> None:
    rows = [line for line in page("webhooks.md").splitlines() if FOLDER in line]
    assert len(rows) == len(SNIPPETS)
    for row, snippet in zip(rows, SNIPPETS, strict=True):
        assert f"[{snippet.file}]({FOLDER}{snippet.file})" in row
        assert f"`{snippet.run()}`" in row
        assert snippet.install in row
