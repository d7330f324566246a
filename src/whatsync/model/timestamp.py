"""Times as the public document writes them, ``2023-06-15T14:22:33Z``, and as milliseconds inside. Reads no clock."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_SECOND = timedelta(seconds=1)


class NotATime(ValueError):  # noqa: N818 - reads as what it is
    """Text that is no RFC 3339 date and time. The message says what to write instead."""


def format_time(at_ms: int) -> str:
    """Write Unix milliseconds as UTC with whole seconds; the fraction is dropped."""
    return _format_seconds(at_ms // 1000)


@lru_cache(maxsize=4096)
def _format_seconds(at_s: int) -> str:
    return (_EPOCH + timedelta(seconds=at_s)).isoformat()[:19] + "Z"


@lru_cache(maxsize=4096)
def parse_time(text: str) -> tuple[str, int]:
    """Read an RFC 3339 time with any offset: the same moment as UTC text with whole seconds, and in Unix milliseconds.

    Raises NotATime. Events of one second carry the same few texts, so the last ones are remembered.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise NotATime("must be a time such as 2023-06-15T14:22:33Z (RFC 3339, with Z or an offset)")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(found)).astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise NotATime(f"is not a time that exists ({problem})") from None
    at_s = (moment - _EPOCH) // _SECOND
    return _format_seconds(at_s), at_s * 1000


def _zone(found: re.Match[str]) -> timezone:
    sign, hours, minutes = found.group(7, 8, 9)
    if sign is None:
        return UTC
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("its offset is out of range")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)
