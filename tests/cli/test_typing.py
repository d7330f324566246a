"""What people type: fields, times, targets; and that nothing from outside can steer the terminal."""

import pytest

from whatsync.cli.failure import Failure
from whatsync.cli.forwarder import read_target
from whatsync.cli.moments import read_moment
from whatsync.cli.options import fields_of
from whatsync.cli.output import clean
from whatsync.model.timestamp import parse_time
from whatsync.net.system import SystemClock


def test_fields() -> None:
    typed = ["text=5", "count:=5", "media=null", "media2:=null", "a.b=x=y", "a.c:=[1,2]", "empty="]
    assert fields_of(typed) == {
        "text": "5", "count": 5, "media": None, "media2": None, "a": {"b": "x=y", "c": [1, 2]}, "empty": "",
    }  # fmt: skip


@pytest.mark.parametrize("typed", ["text", "=x", "n:=word", ":=1"])
def test_bad_fields(typed: str) -> None:
    with pytest.raises(Failure) as failure:
        fields_of([typed])
    assert failure.value.exit_code == 2


def test_a_field_can_not_be_both() -> None:
    with pytest.raises(Failure):
        fields_of(["a=1", "a.b=2"])


def test_moments() -> None:
    assert read_moment(None, "--since") is None
    assert read_moment("2023-06-15T14:22:33+02:00", "--since") == "2023-06-15T12:22:33Z"
    now_ms = SystemClock().now_ms()
    for text, seconds in (("30s", 30), ("5m", 300), ("2h", 7_200), ("7d", 604_800)):
        found = read_moment(text, "--since")
        assert found is not None
        assert abs(now_ms - seconds * 1_000 - parse_time(found)[1]) < 10_000
    with pytest.raises(Failure, match="--since"):
        read_moment("yesterday", "--since")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("3000", "http://localhost:3000"),
        ("3000/web.hook", "http://localhost:3000/web.hook"),
        ("localhost:3000/x", "http://localhost:3000/x"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("https://app.test/x?y", "https://app.test/x?y"),
    ],
)
def test_targets(typed: str, url: str) -> None:
    assert read_target(typed) == url


def test_a_bad_target() -> None:
    with pytest.raises(Failure, match="--forward-to"):
        read_target("ftp://x")


def test_nothing_can_steer_the_terminal() -> None:
    assert clean("a\x1b[2Jb") == "a�[2Jb"
    for character in "\x1b\x07\r\x9b\u202e\u2066":
        assert character not in clean(f"x{character}y")
    assert clean("Grüße 👋\nzwei") == "Grüße 👋\nzwei"
