"""How a log line reads to a person at a terminal: the time of day, the level, a sentence, the few fields that matter.

What a machine reads (``logs.py``) is neither made nor changed here.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Fields = Mapping[str, Any]

_COLOURS = {"warning": "33", "error": "31", "critical": "31"}
_FAINT = "2"
_NEXT = {
    "retrying": "it is tried again",
    "failed": "it is given up",
    "held": "it is held, the endpoint is disabled",
    "cancelled": "it was cancelled meanwhile",
}
_HIDDEN = ("logger", "exception", "leftOut")


def line(now_ms: int, level: str, event: str, fields: Fields, colour: bool) -> str:
    """One line, in this machine's time of day; what goes wrong in the program follows on lines of its own."""
    clock = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")
    tell = _SENTENCES.get(event)
    sentence = _other(event, fields) if tell is None else tell(fields)
    left_out = fields.get("leftOut")
    if left_out:
        sentence += f"; {left_out:,} lines before it were left out"
    if fields.get("exception"):
        sentence += f"\n{fields['exception']}"
    shown = _printable(sentence)
    if not colour:
        return f"{clock} {level:<8}{shown}"
    word = f"{level:<8}" if level not in _COLOURS else f"\x1b[{_COLOURS[level]}m{level:<8}\x1b[0m"
    return f"\x1b[{_FAINT}m{clock}\x1b[0m {word}{shown}"


def _accepted(fields: Fields) -> str:
    if fields["repeated"]:
        return f"{fields['type']} came again and is known already"
    return f"{fields['type']} accepted, {_to(fields['deliveries'])}"


def _to(deliveries: int) -> str:
    if not deliveries:
        return "which no endpoint wants"
    return f"for {deliveries:,} endpoint{'s' if deliveries > 1 else ''}"


def _taken_in(fields: Fields) -> str:
    parts = [f"{fields['events']:,} event{'' if fields['events'] == 1 else 's'}"]
    parts += [f"{fields['repeated']:,} known already"] if fields["repeated"] else []
    parts += [f"{fields['setAside']:,} set aside"] if fields["setAside"] else []
    return f"webhook taken in: {', '.join(parts)} ({fields['source']})"


def _refused(fields: Fields) -> str:
    of = f", source {fields['source']}" if fields.get("source") else ""
    return f"request refused: {fields['status']} {fields['code']} (request {fields['request']}{of})"


def _attempted(fields: Fields) -> str:
    took = f"in {fields['totalMicroseconds'] / 1000:,.0f} ms"
    which = f"({fields['delivery']}, attempt {fields['attempt']})"
    what = "test " if fields["test"] else ""
    if fields["code"] is None:
        return f"{what}delivered to {fields['host']}: {fields['status']} {took} {which}"
    then = "" if fields["test"] else _NEXT.get(fields["state"], "")
    return f"{what}not delivered to {fields['host']}: {fields['code']} {took}{then and '; '}{then} {which}"


def _other(event: str, fields: Fields) -> str:
    shown = [f"{name} {value}" for name, value in fields.items() if value is not None and name not in _HIDDEN]
    return f"{event} ({', '.join(shown)})" if shown else event


_SENTENCES: Mapping[str, Callable[[Fields], str]] = {
    "event accepted": _accepted,
    "webhook taken in": _taken_in,
    "request refused": _refused,
    "attempt": _attempted,
}


def _printable(text: str) -> str:
    """The text with a mark in place of whatever could steer the terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)
