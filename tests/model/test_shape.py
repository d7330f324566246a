"""Shapes read from structs, and mistakes told in words."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from whatsync.model.shape import ANYTHING, OBJECT, TIME, fields_of, object_schema, problems


class Inner(msgspec.Struct, rename="camel"):
    """Something inside."""

    long_name: Annotated[str, Meta(min_length=1, max_length=4)]


class Thing(msgspec.Struct, rename="camel"):
    """A thing of every kind."""

    word: Annotated[str, Meta(description="A word")]
    kind: Literal["one", "two"]
    count: int
    sure: bool | None = None
    at: Annotated[str | None, Meta(extra=TIME)] = None
    inner: Inner | None = None
    raw: Annotated[msgspec.Raw, Meta(extra=OBJECT)] = msgspec.Raw(b"{}")
    rest: Annotated[msgspec.Raw, Meta(extra=ANYTHING)] = msgspec.Raw(b"null")


FIELDS = fields_of(Thing)
GOOD = {"word": "w", "kind": "one", "count": 1}


def told(value: object) -> list[tuple[str, str]]:
    return [(error.field, error.message) for error in problems(value, FIELDS, "thing")]


def test_good_things() -> None:
    assert told(GOOD) == []
    assert told({**GOOD, "sure": None, "at": "2023-06-15T14:22:33Z", "inner": {"longName": "abc"}, "raw": {}}) == []
    assert told({**GOOD, "rest": [1]}) == []


@pytest.mark.parametrize(
    ("value", "field", "word"),
    [
        (5, "thing", "must be an object, not an integer"),
        ([], "thing", "must be an object, not an array"),
        ({**GOOD, "extra": 1}, "thing.extra", "is not a field here; there are word, kind"),
        ({**GOOD, "wrod": 1}, "thing.wrod", "is not a field here; did you mean word? there are word, kind"),
        ({**GOOD, "word" * 9: 1}, f"thing.{'word' * 9}", "is not a field here; there are word, kind"),
        ({"kind": "one", "count": 1}, "thing.word", "is missing; it must be a string"),
        ({**GOOD, "word": None}, "thing.word", "must be a string, not null"),
        ({**GOOD, "kind": "three"}, "thing.kind", "must be one of one, two"),
        ({**GOOD, "count": 1.5}, "thing.count", "must be an integer, not a number with a fraction"),
        ({**GOOD, "count": True}, "thing.count", "must be an integer, not true or false"),
        ({**GOOD, "sure": 1}, "thing.sure", "must be true or false or null, not an integer"),
        ({**GOOD, "at": "soon"}, "thing.at", "must be a time"),
        ({**GOOD, "inner": "x"}, "thing.inner", "must be an object or null, not a string"),
        ({**GOOD, "inner": {}}, "thing.inner.longName", "is missing"),
        ({**GOOD, "inner": {"longName": ""}}, "thing.inner.longName", "must not be empty"),
        ({**GOOD, "inner": {"longName": "abcde"}}, "thing.inner.longName", "has 5 characters; at most 4"),
        ({**GOOD, "raw": 5}, "thing.raw", "must be an object, not an integer"),
    ],
)
def test_bad_things(value: object, field: str, word: str) -> None:
    [(told_field, message)] = told(value)
    assert told_field == field
    assert word in message


def test_mistakes_are_named_together_but_not_without_end() -> None:
    assert [field for field, _ in told({"x": 1, "count": "y"})] == [
        "thing.x",
        "thing.word",
        "thing.kind",
        "thing.count",
    ]
    assert len(told({str(number): 1 for number in range(1_000)})) == 50


def test_schemas_as_sent_and_as_input() -> None:
    sent = object_schema(FIELDS, as_sent=True)
    assert sent["required"] == [field.name for field in FIELDS]
    assert object_schema(FIELDS, as_sent=False)["required"] == ["word", "kind", "count"]
    assert sent["properties"]["word"] == {"type": "string", "description": "A word"}
    assert sent["properties"]["kind"] == {"type": "string", "enum": ["one", "two"]}
    assert sent["properties"]["at"] == {"type": ["string", "null"], "format": "date-time"}
    assert sent["properties"]["inner"]["type"] == ["object", "null"]
    assert sent["properties"]["rest"] == {}


def test_a_field_of_no_known_kind_is_a_bug() -> None:
    class Odd(msgspec.Struct):
        """Not for events."""

        at: float

    with pytest.raises(TypeError, match="FloatType"):
        fields_of(Odd)


def test_scalars_are_what_one_can_filter_by() -> None:
    assert [field.name for field in FIELDS if field.is_scalar] == ["word", "kind", "count", "sure", "at"]
