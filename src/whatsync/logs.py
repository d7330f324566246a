"""How log lines are written: JSON, as words for a console's file, or sentences on a terminal; a turn of the loop at a
time, with secrets and numbers blotted out.

Knows no engine: what is worth a line is decided where it happens.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from whatsync import terminal

_SECRETS = re.compile(r"\b(wsk_|wso_|whsec_)[A-Za-z0-9+/=_-]+")
_MESSAGES = re.compile(r"\b(msg_|status_|contact_|contact_update_|media_|wamid\.)[A-Za-z0-9+/=_-]+")
_PHONES = re.compile(r"(?<![\w.:-])\+?\d{9,15}(?![\w.:-])")
_QUERIES = re.compile(r"(https?://[^\s?#\"']*)[?#][^\s\"']*")
_PASSWORDS = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@\"']+@")
_BLOT = "…"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def redact(text: str) -> str:
    """Blot out what may not stand in a log: secrets, ids of messages, phone numbers, URLs' queries and passwords."""
    for pattern in (_SECRETS, _MESSAGES):
        text = pattern.sub(rf"\1{_BLOT}", text)
    text = _QUERIES.sub(rf"\1?{_BLOT}", text)
    text = _PASSWORDS.sub(rf"\1{_BLOT}@", text)
    return _PHONES.sub(_BLOT, text)


@dataclass(frozen=True, slots=True)
class Screen:
    """A terminal that somebody watches."""

    colour: bool


class Lines(logging.Handler):
    """Writes lines, those of one turn of the loop together. Also takes what the libraries log."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        now_ms: Callable[[], int],
        style: str,
        level: str,
        screen: Screen | None = None,
    ) -> None:
        super().__init__(_LEVELS[level])
        self._out = write
        self._now_ms = now_ms
        self._least = _LEVELS[level]
        self._json = style == "json"
        self._screen = screen
        self._waiting: list[bytes] = []

    def line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Write one line; ``fields`` hold nothing that would have to be blotted out."""
        if _LEVELS[level] < self._least:
            return
        now_ms = self._now_ms()
        stamp = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        if self._json:
            text = msgspec.json.encode({"time": stamp, "level": level, "event": event, **fields})
        elif self._screen is not None:
            text = terminal.line(now_ms, level, event, fields, self._screen.colour).encode("utf-8", "replace")
        else:
            shown = " ".join([f"{name}={_word(value)}" for name, value in fields.items() if value is not None])
            text = f"{stamp} {level:<8}{event}  {shown}".rstrip().encode("utf-8", "replace")
        self._waiting.append(text + b"\n")
        if len(self._waiting) == 1:
            self._flush_soon()

    def emit(self, record: logging.LogRecord) -> None:
        """Write what a module or library logged."""
        level = record.levelname.lower() if record.levelname.lower() in _LEVELS else "info"
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = redact(logging.Formatter().formatException(record.exc_info))
        self.line(level, redact(record.getMessage()), fields)

    def flush(self) -> None:
        """Write what waits, now."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._out(b"".join(waiting))

    def _flush_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            loop.call_soon_threadsafe(self.flush)


def _word(value: Any) -> str:
    """A value on the console: as it is, quoted where it has spaces, on lines of its own where it has several."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if "\n" in text:
        return "\n" + text
    return repr(text) if " " in text else text


def set_up(
    write: Callable[[bytes], object], now_ms: Callable[[], int], style: str, level: str, screen: Screen | None = None
) -> Lines:
    """Send everything that is logged in this process through one ``Lines``, and return it. On a ``screen`` the style
    ``console`` is sentences.
    """
    lines = Lines(write, now_ms, style, level, screen)
    root = logging.getLogger()
    root.handlers = [lines]
    root.setLevel(_LEVELS[level])
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _Relay(lines)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    return lines


class _Relay:
    """The last of structlog's processors: hands the line over and ends the matter."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        words = dict(event)
        text = redact(str(words.pop("event", "")))
        level = method if method in _LEVELS else "info"
        self._lines.line(level, text, {k: redact(v) if isinstance(v, str) else v for k, v in words.items()})
        raise structlog.DropEvent
