"""A rough time behind a phone number, in the person's own zone."""

from datetime import UTC, datetime

import pytest

from whatsync.model.rough_time import Rough, rough_time

NOW = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "zone", "words", "since", "until"),
    [
        ("+49 171 1234567 14:30", 0, "+49 171 1234567", "2026-11-25T12:30", "2026-11-25T16:30"),
        ("+49 171 1234567 at 14:30", 60, "+49 171 1234567", "2026-11-25T11:30", "2026-11-25T15:30"),
        ("+491711234567 yesterday 9:05", 0, "+491711234567", "2026-11-24T07:05", "2026-11-24T11:05"),
        ("+491711234567 yesterday", -300, "+491711234567", "2026-11-24T05:00", "2026-11-25T05:00"),
        ("2026-11-20 +491711234567", 0, "+491711234567", "2026-11-20T00:00", "2026-11-21T00:00"),
        ("+491711234567 2026-11-20T23:15:07Z", 0, "+491711234567", "2026-11-20T21:15", "2026-11-21T01:15"),
        ("+15550100 11:30 pm", 0, "+15550100", "2026-11-24T21:30", "2026-11-25T01:30"),
        ("today 12:00 am", 0, "", "2026-11-24T22:00", "2026-11-25T02:00"),
    ],
)
def test_a_time_is_understood(text: str, zone: int, words: str, since: str, until: str) -> None:
    now_ms = int(NOW.timestamp() * 1000)
    assert rough_time(text, now_ms, zone) == Rough(words, ms(since), ms(until))


@pytest.mark.parametrize("text", ["+49 171 1234567", "wamid.HBgL==", "msg_12", "2026-13-40 +4917", "24:30", "a12:30b"])
def test_what_names_no_time_stays_as_it_is(text: str) -> None:
    assert rough_time(f" {text} ", int(NOW.timestamp() * 1000)) == Rough(text)


def test_an_impossible_zone_is_cut() -> None:
    assert rough_time("12:00", int(NOW.timestamp() * 1000), 10**9).words == ""
