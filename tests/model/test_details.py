"""Details: checked when they come through the API, never refused when they come from WhatsApp."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.node_json import NodeJson
from whatsync.model.details import (
    DETAILS_FIELDS,
    Details,
    DetailsError,
    details_of,
    encode_details,
    lenient_details,
    read_details,
    words_of,
)
from whatsync.model.errors import Invalid

KEYS = [
    "number", "wamid", "type", "contactId", "profileName", "userId", "replyTo", "buttonId", "listId", "referral",
    "location", "recipient", "error", "raw",
]  # fmt: skip
"""The public order."""


def encoded(raw: bytes) -> bytes:
    found = encode_details(read_details(raw))
    assert found is not None
    return found


def test_every_field_stands_in_its_order() -> None:
    assert [field.name for field in DETAILS_FIELDS] == KEYS
    assert list(json.loads(encoded(b'{"raw":1,"wamid":"w"}'))) == KEYS
    assert encoded(b'{"type":"text"}').startswith(b'{"number":null,"wamid":null,"type":"text","contactId":null')


def test_json_inside_is_made_canonical(judge: NodeJson) -> None:
    raw = (
        b'{"raw":{"b":1.0,"2":-0,"1":[1e2,"\\u00e9"]},"location":{"longitude":13.40,"latitude":5.25e1},'
        b'"error":{"code":131026}}'
    )
    found = encoded(raw)
    assert b'"raw":{"1":[100,"\xc3\xa9"],"2":0,"b":1}' in found
    assert b'"location":{"longitude":13.4,"latitude":52.5}' in found
    assert b'"error":{"code":131026,"title":null,"explanation":null}' in found
    assert judge.round_trip(found) == found
    assert encode_details(details_of(found)) == found


def test_empty_details_are_none() -> None:
    assert encode_details(read_details(b"{}")) is None
    assert encode_details(read_details(b'{"number":null,"raw":null,"location":null,"error":null}')) is None


@pytest.mark.parametrize(
    ("raw", "field", "word"),
    [
        (b'{"more":1}', "details.more", "is not a field"),
        (b'{"number":5}', "details.number", "string or null"),
        (b'{"number":""}', "details.number", "empty"),
        (b'{"wamid":"' + b"w" * 513 + b'"}', "details.wamid", "513"),
        (b'{"referral":5}', "details.referral", "object"),
        (b'{"location":[1]}', "details.location", "object"),
        (b'{"error":"bad"}', "details.error", "object or null"),
        (b'{"error":{"code":1.5}}', "details.error.code", "integer or a string or null"),
        (b'{"error":{"why":1}}', "details.error.why", "is not a field"),
        (b'{"error":{"code":9007199254740993}}', "details.error.code", "JavaScript"),
        (b'{"raw":{"a":[9007199254740993]}}', "details.raw.a[0]", "JavaScript"),
        (b'{"raw":{"__proto__":1}}', "details.raw.__proto__", "rename"),
        (b'{"profileName":"\\ud800"}', "details.profileName", "surrogate"),
        (b'{"raw":' + b"[" * 65 + b"]" * 65 + b"}", "details.raw" + "[0]" * 64, "64 levels"),
        (b"[]", "details", "object"),
        (b"5", "details", "object"),
    ],
)
def test_wrong_details_are_refused_by_field(raw: bytes, field: str, word: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_details(raw)
    assert [error.field for error in caught.value.errors] == [field]
    assert word in caught.value.errors[0].message


def test_several_mistakes_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        read_details(b'{"number":5,"more":1,"error":{"title":1}}')
    assert {error.field for error in caught.value.errors} == {"details.number", "details.more", "details.error.title"}


def test_words_to_find_it_by() -> None:
    details = Details(number="1", wamid="wamid.x", contact_id="contact_1", recipient="1 234 567 890")
    assert words_of(details) == ("wamid:wamid.x", "contact:contact_1", "phone:+1234567890")
    assert words_of(Details()) == ()


def test_lenient_details_take_anything(judge: NodeJson) -> None:
    found = lenient_details(
        100_000,
        number="1",
        wamid=12,
        profile_name="a\ud800b",
        user_id=None,
        raw={"__proto__": 10**20, "1": float("inf")},
        error={"code": 10**20, "title": "t", "explanation": ["x"]},
    )
    assert found is not None
    value = json.loads(found)
    assert value["profileName"] == "a\ufffdb"
    assert value["wamid"] == "12"
    assert value["raw"] == {"__proto___": "100000000000000000000", "1": "Infinity"}
    assert value["error"] == {"code": "100000000000000000000", "title": "t", "explanation": '["x"]'}
    assert judge.round_trip(found) == found
    assert lenient_details(100_000) is None


def test_details_that_are_too_large_are_shortened_and_say_so() -> None:
    raw = {"text": "x" * 5_000}
    found = lenient_details(1_000, number="1", wamid="w", referral={"a": 1}, raw=raw)
    assert found is not None
    value = json.loads(found)
    assert value["raw"]["shortened"] is True
    assert value["raw"]["bytes"] > 5_000
    assert value["referral"] == {"a": 1}
    found = lenient_details(1_000, number="1", wamid="w", button_id="b" * 900, referral={"a": "y" * 900}, raw=raw)
    assert found is not None
    value = json.loads(found)
    assert (value["number"], value["wamid"], value["referral"], value["buttonId"]) == ("1", "w", None, None)
    assert lenient_details(10, number="1") is None


@given(room=st.integers(200, 3_000), sizes=st.lists(st.integers(0, 600), min_size=4, max_size=4))
def test_shortened_details_always_fit(room: int, sizes: list[int]) -> None:
    button, name, referral, raw = ("z" * size for size in sizes)
    found = lenient_details(room, number="1", button_id=button, profile_name=name, referral={"a": referral}, raw=[raw])
    assert found is None or len(found) <= room


def test_details_from_typed_values() -> None:
    details = Details(type="button", error=DetailsError(1, "t", None), raw=msgspec.Raw(b"{}"))
    found = encode_details(details)
    assert found is not None
    assert details_of(found) == details
