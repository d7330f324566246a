"""What browsers load besides pages: our styles and scripts, and others' packages. Read once, named by their content.

All lie below one name made from all of their bytes, so that scripts may import each other by plain relative paths
and every file may be kept for ever.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
STYLE = "app.css"
_STYLES_FIRST = ("tokens.css", "elements.css", "layout.css", "parts.css")
_SHORT = 512


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    content_type: str
    plain: bytes
    zipped: bytes | None


class Assets:
    """All files by name, and the word that stands for all of their bytes."""

    def __init__(self, files: dict[str, bytes]) -> None:
        digest = hashlib.sha256()
        self._files: dict[str, Asset] = {}
        for name, plain in sorted(files.items()):
            digest.update(name.encode() + b"\0" + plain + b"\0")
            zipped = gzip.compress(plain, 9, mtime=0) if len(plain) > _SHORT and not name.endswith(".png") else None
            self._files[name] = Asset(TYPES[name[name.rindex(".") :]], plain, zipped)
        self.word = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where a file is. Raises KeyError where there is none, so that no page names a missing one."""
        if name not in self._files:
            raise KeyError(f"no asset is called {name}; run `make setup` if it is another project's")
        return f"/assets/{self.word}/{name}"

    def find(self, name: str) -> Asset | None:
        """One file."""
        return self._files.get(name)

    def sizes(self) -> dict[str, int]:
        """Bytes of each file as browsers that unzip get it."""
        return {name: len(asset.zipped or asset.plain) for name, asset in self._files.items()}


@lru_cache(maxsize=1)
def installed() -> Assets:
    """The files of this package; all of ``static/style`` is one style sheet."""
    static = resources.files("whatsync.web") / "static"
    files = {name: data for name, data in _walk(static, "") if name[name.rfind(".") :] in TYPES}
    styles = {name.removeprefix("style/"): files.pop(name) for name in list(files) if name.startswith("style/")}
    ordered = [*_STYLES_FIRST, *sorted(styles.keys() - set(_STYLES_FIRST))]
    files[STYLE] = b"\n".join(styles[name] for name in ordered)
    return Assets(files)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
