"""docs/settings.md lists exactly the settings there are, and nothing elsewhere names one that isn't."""

import re

from tests.docs.pages import ROOT, all_pages, difference, entries, page
from whatsync.config import SETTINGS

PREFIX = "WHATSYNC_"
OF_THE_COMMAND_LINE = {"WHATSYNC_URL", "WHATSYNC_API_KEY"}
"""What the commands read to find a running server; the server itself has no such setting."""


def settings() -> set[str]:
    return {PREFIX + setting.name.removeprefix(PREFIX).upper() for setting in SETTINGS}


def test_the_page_lists_exactly_the_settings() -> None:
    described = {PREFIX + name.removeprefix(PREFIX) for name in entries(page("settings.md"), "[A-Z][A-Z_]+")}
    found = difference(described - OF_THE_COMMAND_LINE, settings())
    assert not found, found


def test_no_page_or_packaged_file_names_an_unknown_setting() -> None:
    texts = all_pages()
    for name in ("Dockerfile", "compose.yaml", "packaging/whatsync.service"):
        texts[name] = (ROOT / name).read_text(encoding="utf-8")
    known = settings() | OF_THE_COMMAND_LINE
    unknown = [
        f"{path}: {name}"
        for path, text in texts.items()
        for name in re.findall(r"\bWHATSYNC_[A-Z_]*[A-Z]\b", text)
        if name not in known
    ]
    assert not unknown, "\n".join(unknown)
