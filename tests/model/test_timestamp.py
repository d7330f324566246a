"""Times as they come in and as they are written."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.timestamp import NotATime, format_time, parse_time


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_every_time_reads_back_to_its_second(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    text, at_ms = parse_time(moment.isoformat())
    assert at_ms == int(whole.timestamp()) * 1000
    assert datetime.fromisoformat(text) == whole
    assert format_time(at_ms) == text
    assert parse_time(text) == (text, at_ms)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("2023-06-15T14:22:33Z", "2023-06-15T14:22:33Z"),
        ("2023-06-15t14:22:33z", "2023-06-15T14:22:33Z"),
        ("2023-06-15T14:22:33.999999999Z", "2023-06-15T14:22:33Z"),
        ("2023-06-15T16:22:33+02:00", "2023-06-15T14:22:33Z"),
        ("2023-06-15T00:22:33-14:00", "2023-06-15T14:22:33Z"),
        ("2024-02-29T23:59:59-00:00", "2024-02-29T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_spellings(given: str, written: str) -> None:
    assert parse_time(given)[0] == written


@pytest.mark.parametrize(
    "text",
    ["", "now", "2023-06-15", "2023-06-15T14:22:33", "2023-06-15 14:22:33Z", "2023-06-15T14:22Z", "20230615T142233Z",
     "2023-13-15T14:22:33Z", "2023-02-29T14:22:33Z", "2023-06-15T24:00:00Z", "2023-06-15T14:22:60Z", "1686838953",
     "2023-06-15T14:22:33+24:00", "2023-06-15T14:22:33+0200", "2023-06-15T14:22:33Z ", "٢٠٢٣-06-15T14:22:33Z",
     "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2023-W24-4T14:22:33Z", "2023-06-15T14:22:33.Z"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(NotATime):
        parse_time(text)


def test_milliseconds_are_cut_off() -> None:
    assert format_time(1_686_838_953_999) == "2023-06-15T14:22:33Z"
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(-1) == "1969-12-31T23:59:59Z"
