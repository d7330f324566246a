"""Templates into text: escaping always on, undefined names always an error. Holds the filters that templates use.

A fragment is a named block of the same template, so that what htmx fetches can't differ from the whole page.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jinja2
import msgspec

from whatsync.model.ids import delivery_id
from whatsync.model.user import ROLE_MEANINGS, Role
from whatsync.web.pages.assets import installed
from whatsync.web.pages.navigation import choices, groups
from whatsync.web.pages.page import Entry, Filled, Show, Visit

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"))


class Renderer:
    """Renders shows. One for the whole server."""

    def __init__(self, entries: Sequence[Entry], paths: frozenset[str]) -> None:
        self._entries = entries
        self._paths = paths
        self._templates = environment()

    def render(self, show: Show, visit: Visit, now_ms: int) -> str:
        """The whole page, or only the fragment where htmx asks for it."""
        template = self._templates.get_template(show.template)
        context: dict[str, Any] = {
            "page": show.page,
            "visit": visit,
            "flash": show.flash or visit.flash,
            "now_ms": now_ms,
            "groups": groups(self._entries, visit),
            "accounts": choices(visit),
            "has_page": self._paths.__contains__,
        }
        if show.fragment is not None and visit.htmx:
            block = template.blocks[show.fragment]
            return "".join(block(template.new_context(context)))
        return template.render(context)


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The templates' environment; the macros of ``ui.html`` are known everywhere as ``ui``."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("whatsync.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.do"],
    )
    made.filters |= {
        "utc": utc,
        "short_utc": short_utc,
        "span": span,
        "ago": ago,
        "bytes": bytes_text,
        "count": count,
        "delivery_id": delivery_id,
        "pretty": pretty,
        "pretty_or_text": pretty_or_text,
        "json": compact,
        "us": microseconds,
    }
    made.globals |= {
        "asset": installed().url,
        "Filled": Filled,
        "no_form": Filled(),
        "ROLES": ROLE_MEANINGS,
        "Role": Role,
    }
    made.globals["ui"] = made.get_template("ui.html").module
    return made


def utc(ms: int) -> str:
    """A time exactly: ``2023-06-15T14:22:33.123Z``, for machines and for hovering."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_utc(ms: int) -> str:
    """A time for people without JavaScript: ``15 Jun 2023, 14:22:33 UTC``."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment.day} {moment:%b %Y, %H:%M:%S} UTC"


def span(ms: float) -> str:
    """A length of time in at most two words: ``84 ms``, ``3.2 s``, ``2 h 5 min``."""
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.3g} s"
    words = []
    left = int(ms)
    for size, word in _UNITS:
        if left >= size:
            words.append(f"{left // size} {word}")
            left %= size
    return " ".join(words[:2])


def microseconds(us: float) -> str:
    """The same, from microseconds."""
    return f"{us:.0f} µs" if us < 1_000 else span(us / 1000) if us >= 10_000 else f"{us / 1000:.1f} ms"


def ago(ms: int, now_ms: int) -> str:
    """How long ago, or how far ahead, roughly."""
    away = abs(now_ms - ms)
    if away < 5_000:
        return "now"
    text = f"{away // 1000} s" if away < 60_000 else span(away).split(" ")
    words = text if isinstance(text, str) else " ".join(text[:2])
    return f"{words} ago" if ms <= now_ms else f"in {words}"


def bytes_text(size: int) -> str:
    """A size: ``812 B``, ``3.4 KB``, ``12 MB``."""
    amount = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1_000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.2g} {unit}"
        amount /= 1_000
    raise AssertionError("the last unit returns")


def count(number: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def pretty(value: object) -> str:
    """JSON for people; bytes are JSON already."""
    text = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return msgspec.json.format(text, indent=2).decode()


def pretty_or_text(text: str) -> str:
    """JSON for people, where it is JSON."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text


def compact(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON for an attribute or a data element; escaped like any other text."""
    return msgspec.json.encode(value).decode()
