"""Reading single values out of a payload whose every field may be missing or of another type. Never raises. Pure."""

import re
from typing import Any

from whatsync.model import limits
from whatsync.model.canonical import encode_lenient, whole_text
from whatsync.model.timestamp import format_time

Fields = dict[str, Any]

_MS_FROM = 10**12
"""Numbers from here up are milliseconds: as seconds they would lie 30,000 years ahead."""
_LAST_SECOND = 253_402_300_799
_NOT_DIGIT = re.compile(r"[^0-9]")
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}", re.ASCII)
_NUMBER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def fields(value: object) -> Fields:
    """An object's fields; none where it is no object."""
    return value if isinstance(value, dict) else {}


def first(value: object) -> Fields:
    """The first object of a list."""
    if isinstance(value, list):
        return next((item for item in value if isinstance(item, dict)), {})
    return {}


def text(value: object, chars_max: int = limits.REFERENCE_CHARS_MAX) -> str | None:
    """A text as it is, a number as it is written; anything else, and empty text, is nothing. Cut at ``chars_max``."""
    if isinstance(value, str):
        found = whole_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = encode_lenient(value).decode().strip('"')
    else:
        return None
    return found[:chars_max] or None


def written(value: object) -> str | None:
    """A text of any length a body has room for."""
    return text(value, limits.TEXT_CHARS_MAX)


def word(value: object) -> str | None:
    """A short word."""
    return text(value, limits.WORD_CHARS_MAX)


def moment_ms(value: object) -> int | None:
    """Unix seconds, as text or number, in milliseconds; milliseconds are known by their size."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not value.isascii() or not value.isdigit() or len(value) > 16:
            return None
        value = int(value)
    if not isinstance(value, int | float):
        return None
    at_ms = int(value) if value >= _MS_FROM else int(value * 1000)
    return at_ms if 0 < at_ms <= _LAST_SECOND * 1000 else None


def time_text(value: object) -> str | None:
    """The same as the public document writes times."""
    at_ms = moment_ms(value)
    return None if at_ms is None else format_time(at_ms)


def phone(value: object) -> str | None:
    """``+`` and the digits of a phone number however it is written; a business-scoped user id is none."""
    found = text(value, limits.ADDRESS_CHARS_MAX)
    if found is None or (not found.isdigit() and any(character.isalpha() for character in found)):
        return None
    digits = _NOT_DIGIT.sub("", found)
    return f"+{digits}" if digits else None


def user_id(*values: object) -> str | None:
    """The first of the values that is an id WhatsApp gives a person for one business."""
    for value in values:
        if isinstance(value, str) and _USER_ID.fullmatch(value):
            return value
    return None


def number_id(value: object) -> str | None:
    """A ``phone_number_id`` that can be one."""
    found = text(value)
    return found if found is not None and _NUMBER_ID.fullmatch(found) else None
