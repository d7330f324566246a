"""A rough time that somebody typed behind a phone number: ``+49 171 1234567 yesterday 14:30``.

Pure; the present time and the person's zone are arguments.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

import msgspec

_DATE = re.compile(r"(?:^|\s)(\d{4}-\d{2}-\d{2}|today|yesterday)(?=$|[\sT])", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(
    r"(?:^|[\sT])([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?(?:\s*(am|pm))?(?=$|\s|Z)Z?", re.IGNORECASE | re.ASCII
)
_FILLING = re.compile(r"\s(?:at|on|around|about|um|gegen)(?=\s|$)", re.IGNORECASE)
SLACK = timedelta(hours=2)
"""How far from a time of day one looks, both ways."""
ZONE_MINUTES_MAX = 14 * 60


class Rough(msgspec.Struct, frozen=True):
    """What was typed without the time in it, and between which moments it means; ``None``: it names no time."""

    words: str
    since_ms: int | None = None
    until_ms: int | None = None


def rough_time(text: str, now_ms: int, zone_minutes: int = 0) -> Rough:
    """Part a text into words and a time. A day alone means all of it; a clock alone the last time it showed that.

    ``zone_minutes`` is how far the person's clock is ahead of UTC.
    """
    zone = timezone(timedelta(minutes=max(-ZONE_MINUTES_MAX, min(ZONE_MINUTES_MAX, zone_minutes))))
    now = datetime.fromtimestamp(now_ms / 1000, zone)
    date, clock = _DATE.search(text), _CLOCK.search(text)
    if date is None and clock is None:
        return Rough(text.strip())
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if date is not None:
        named = _day(date[1].lower(), day)
        if named is None:
            return Rough(text.strip())
        day = named
    words = " ".join(_FILLING.sub(" ", _CLOCK.sub(" ", _DATE.sub(" ", text))).split())
    if clock is None:
        return Rough(words, _ms(day), _ms(day + timedelta(days=1)))
    at = day + timedelta(hours=_hour(int(clock[1]), clock[3]), minutes=int(clock[2]))
    if date is None and at > now:
        at -= timedelta(days=1)
    return Rough(words, _ms(at - SLACK), _ms(at + SLACK))


def _day(word: str, today: datetime) -> datetime | None:
    if word in ("today", "yesterday"):
        return today - timedelta(days=word == "yesterday")
    try:
        return datetime.strptime(word, "%Y-%m-%d").replace(tzinfo=today.tzinfo)
    except ValueError:
        return None


def _hour(hour: int, half: str | None) -> int:
    if half is None or hour > 12:
        return hour
    return hour % 12 + (12 if half.lower() == "pm" else 0)


def _ms(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)
