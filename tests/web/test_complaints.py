"""What is wrong with a body or a query is told with the field, the problem and what would be right."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest

from whatsync.model.errors import Invalid
from whatsync.web.decoding import decode_body, decode_query


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    wide: int | None = None


class Form(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    first_name: str
    size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    colour: Colour | None = None
    mode: Literal["on", "off"] = "on"
    filters: dict[str, dict[str, list[str]]] = {}
    inner: list[Inner] = []
    when: datetime | None = None
    flag: bool = False
    share: float | None = None
    texts: Annotated[list[str], msgspec.Meta(max_length=2)] = []


def told(**fields: object) -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        decode_body(Form, msgspec.json.encode({"firstName": "x"} | fields))
    (error,) = caught.value.errors
    return error.field, error.message


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"firstName": 5}, "firstName", "must be a string, not a whole number"),
        ({"size": 0}, "size", "must be a whole number of at least 1"),
        ({"size": 10}, "size", "must be a whole number of at most 9"),
        ({"size": "5"}, "size", "must be a whole number, not a string"),
        ({"flag": 1}, "flag", "must be true or false, not a whole number"),
        ({"share": "x"}, "share", "must be a number or null, not a string"),
        ({"colour": "green"}, "colour", "must be one of red, blue, not 'green'"),
        ({"mode": "up"}, "mode", "must be one of on, off, not 'up'"),
        ({"when": "soon"}, "when", "must be a time such as 2023-06-15T14:22:33Z (RFC 3339, with Z or an offset)"),
        ({"texts": ["a", "b", "c"]}, "texts", "must be an array with at most 2 items"),
        ({"inner": [{}, {"wide": "x"}]}, "inner[1].wide", "must be a whole number or null, not a string"),
        ({"inner": [{"wid": 1}]}, "inner[0].wid", "is not known here; there is wide"),
        ({"filters": {"a.b": {}, "c": {"d": "x"}}}, "filters.c.d", "must be an array, not a string"),
        ({"colur": "red"}, "colur", "is not known here; did you mean colour? there are firstName, size, colour, "),
        ({"zzz": 1}, "zzz", "is not known here; there are firstName, size, colour, mode, "),
    ],
)
def test_a_complaint_says_what_would_be_right(fields: dict[str, object], field: str, message: str) -> None:
    assert told(**fields)[0] == field
    assert told(**fields)[1].startswith(message)


def test_a_missing_field_and_a_wrong_body_are_told() -> None:
    with pytest.raises(Invalid, match="firstName: is missing"):
        decode_body(Form, b"{}")
    with pytest.raises(Invalid, match="must be an object, not an array"):
        decode_body(Form, b"[]")


def test_queries_are_told_the_same_way() -> None:
    with pytest.raises(Invalid, match="size: must be a whole number of at least 1"):
        decode_query(Form, [("firstName", "x"), ("size", "0")])
    with pytest.raises(Invalid, match="size: must be a whole number, not a string"):
        decode_query(Form, [("firstName", "x"), ("size", "many")])
    with pytest.raises(Invalid, match="texts: must be an array with at most 2 items"):
        decode_query(Form, [("firstName", "x"), ("texts", "a,b,c")])
