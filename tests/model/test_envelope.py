"""The door of the API: what comes in becomes canonical drafts, or an error that names each wrong field."""

import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.json_texts import RandomTexts
from tests.model.node_json import NodeJson
from whatsync.model import limits
from whatsync.model.account import OwnType
from whatsync.model.catalogue import CATALOGUE, DOCUMENTED, OPERATIONAL
from whatsync.model.envelope import SUBMISSION_FIELDS, Draft, decode_submissions, with_details
from whatsync.model.errors import FieldError, Invalid, Malformed, TooLarge
from whatsync.model.javascript import parse, stringify

NOW = 1_686_838_953_123
OWN = {"order.created": OwnType("order.created", "An order was made.", 0)}
STATUS = {"event": "message.status", "data": {"messageId": "msg_1", "status": "read"}}


def drafts(raw: bytes) -> list[Draft]:
    numbers = count(1)
    return decode_submissions(raw, NOW, OWN, lambda prefix: f"{prefix}{next(numbers)}")


def draft(value: object) -> Draft:
    [only] = drafts(json.dumps(value).encode())
    return only


def refused(raw: bytes) -> list[FieldError]:
    with pytest.raises(Invalid) as caught:
        drafts(raw)
    return list(caught.value.errors)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_public_examples_come_out_byte_for_byte(judge: NodeJson, name: str) -> None:
    example = CATALOGUE[name].example
    wanted = json.dumps(example, separators=(",", ":")).encode()
    mixed = {key: example[key] for key in ("data", "timestamp", "id", "event")}
    mixed["data"] = dict(reversed(example["data"].items()))
    for raw in (wanted, json.dumps(mixed, indent=2).encode()):
        [found] = drafts(raw)
        assert found.body == wanted == judge.round_trip(found.body)
        assert (found.id, found.event_type, found.timestamp) == (example["id"], name, example["timestamp"])
        assert found.id_given
        assert found.timestamp_given


def test_what_may_be_left_out() -> None:
    found = draft({"event": "message.incoming", "data": {"from": "+1", "to": "+2"}})
    assert found.body == (
        b'{"event":"message.incoming","id":"msg_1","timestamp":"2023-06-15T14:22:33Z","data":{"from":"+1","to":"+2",'
        b'"text":null,"media":null,"timestamp":"2023-06-15T14:22:33Z"}}'
    )
    assert (found.id_given, found.timestamp_given, found.data_time_given) == (False, False, False)
    assert (found.message_id, found.contact, found.details, found.number) == ("msg_1", "+1", None, None)
    nulls = {"id": None, "timestamp": None, "contact": None, "details": None}
    assert draft({**STATUS, **nulls}).body == draft(STATUS).body
    media = draft({"event": "message.incoming", "data": {"from": "a", "to": "b", "media": {"mediaType": "image"}}})
    assert json.loads(media.body)["data"]["media"] == {
        "mediaType": "image",
        "mediaUrl": None,
        "mimeType": None,
        "caption": None,
    }


def test_times_are_brought_to_utc_seconds() -> None:
    data = {**STATUS["data"], "timestamp": "2023-06-15T16:22:30.9+02:00"}  # type: ignore[dict-item]
    found = draft({**STATUS, "data": data, "timestamp": "2023-06-15T14:22:33.5Z"})
    assert found.timestamp == "2023-06-15T14:22:33Z"
    assert json.loads(found.body)["data"]["timestamp"] == "2023-06-15T14:22:30Z"
    assert found.timestamp_given
    assert found.data_time_given


def test_a_contact_given_with_an_event_is_its_ordering_key() -> None:
    found = draft({**STATUS, "contact": "1 234 567 890"})
    assert (found.contact, found.keys) == ("1 234 567 890", ("message:msg_1", "phone:+1234567890"))
    found = draft({"event": "order.created", "data": {}, "contact": "customer-5"})
    assert (found.contact, found.keys) == ("customer-5", ("contact:customer-5",))


def test_details_stand_beside_the_body(judge: NodeJson) -> None:
    found = draft({**STATUS, "details": {"number": "1", "wamid": "w", "raw": {"10": 1.0, "2": [1e21]}}})
    assert b"details" not in found.body
    assert found.details is not None
    assert found.details.endswith(b'"raw":{"2":[1e+21],"10":1}}')
    assert (found.number, found.keys) == ("1", ("message:msg_1", "wamid:w"))
    whole = with_details(found.body, found.details)
    assert judge.round_trip(whole) == whole


def test_arrays() -> None:
    found = drafts(json.dumps([STATUS, {"event": "order.created", "data": {}}] * 500).encode())
    assert len(found) == 1_000
    assert [one.id for one in found[:4]] == ["status_1", "evt_2", "status_3", "evt_4"]
    assert len(drafts(b" \n[" + json.dumps(STATUS).encode() + b"]")) == 1


def test_own_types_take_any_object(judge: NodeJson) -> None:
    texts = RandomTexts(seed=3, halves=False, forbidden=False)
    kept = 0
    for _ in range(600):
        raw = f'{{"data":{{"x":{texts.text()},"5":1}},"event":"order.created","id":"evt-1"}}'.encode()
        try:
            [found] = drafts(raw)
        except Invalid:
            continue
        kept += 1
        assert judge.round_trip(found.body) == found.body == stringify(parse(found.body)).encode()
        assert found.body.startswith(
            b'{"event":"order.created","id":"evt-1","timestamp":"2023-06-15T14:22:33Z","data":{"5":1,"x":'
        )
    assert kept > 400


@settings(max_examples=200)
@given(text=st.text(max_size=200), name=st.text(max_size=50), escaped=st.booleans())
def test_documented_types_are_stable_whatever_the_text(judge: NodeJson, text: str, name: str, escaped: bool) -> None:
    value = [
        {"event": "message.incoming", "data": {"to": "b", "from": "a", "text": text}},
        {"event": "contact.update", "data": {"contactId": "c", "name": name}},
    ]
    for found in drafts(json.dumps(value, ensure_ascii=escaped).encode()):
        assert judge.round_trip(found.body) == found.body == stringify(parse(found.body)).encode()
    assert drafts(json.dumps(value).encode())[0].field("text") == text


# What is refused


@pytest.mark.parametrize(
    "raw", [b"", b"   ", b"{", b"[", b"{]", b"nonsense", b"\xff", b'{"event":"a.b"', b"[1,", b'{"a":\x00}']
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed, match="JSON"):
        drafts(raw)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"5", [""]),
        (b"null", [""]),
        (b'"text"', [""]),
        (b"[]", [""]),
        (b"{}", ["event", "data"]),
        (b"[5]", ["[0]"]),
        (b"[{},[]]", ["[0].event", "[0].data", "[1]"]),
        (b'{"event":5,"data":5}', ["event", "data"]),
        (b'{"event":"message.status"}', ["data"]),
        (b'{"event":"message.status","data":null}', ["data"]),
        (b'{"event":"message.status","data":[]}', ["data"]),
        (b'{"event":"","data":{}}', ["event"]),
        (b'{"event":"order.paid","data":{}}', ["event"]),
        (b'{"event":"endpoint.failing","data":{}}', ["event"]),
        (b'{"event":"whatsapp.reaction","data":{}}', ["event"]),
        (b'{"event":"order.created","data":{},"more":1}', ["more"]),
        (b'{"event":"order.created","data":5}', ["data"]),
        (b'{"event":"order.created","data":{"details":1},"details":{"number":"1"}}', ["details"]),
        (b'{"event":"order.created","data":{},"id":"a b"}', ["id"]),
        (b'{"event":"order.created","data":{},"id":""}', ["id"]),
        (b'{"event":"order.created","data":{},"id":5}', ["id"]),
        (b'{"event":"order.created","data":{},"id":"' + b"x" * 129 + b'"}', ["id"]),
        ('{"event":"order.created","data":{},"id":"é"}'.encode(), ["id"]),
        (b'{"event":"order.created","data":{},"id":"a\\n"}', ["id"]),
        (b'{"event":"order.created","data":{},"timestamp":"now"}', ["timestamp"]),
        (b'{"event":"order.created","data":{},"timestamp":5}', ["timestamp"]),
        (b'{"event":"order.created","data":{},"contact":""}', ["contact"]),
        (b'{"event":"order.created","data":{},"contact":"' + b"x" * 257 + b'"}', ["contact"]),
        (b'{"event":"order.created","data":{},"contact":"\\ud800"}', ["contact"]),
        (b'{"event":"order.created","data":{},"details":5}', ["details"]),
        (b'{"event":"order.created","data":{},"details":{"x":1}}', ["details.x"]),
        (b'{"event":"order.created","data":{},"details":{"raw":[1e400]}}', ["details.raw[0]"]),
        (b'{"event":"order.created","data":{"items":[0,1,2,{"price":9007199254740993}]}}', ["data.items[3].price"]),
        (b'{"event":"order.created","data":{"a":"\\ud800"}}', ["data.a"]),
        (b'{"event":"order.created","data":{"a":{"__proto__":1}}}', ["data.a.__proto__"]),
        (b'{"event":"order.created","data":{"a":' + b"[" * 64 + b"]" * 64 + b"}}", ["data.a" + "[0]" * 63]),
        (b'{"event":"order.created","data":{"a":' + b"[" * 9999 + b"]" * 9999 + b"}}", ["data.a" + "[0]" * 63]),
        (b'{"event":"message.incoming","data":{}}', ["data.from", "data.to"]),
        (
            b'{"event":"message.incoming","data":{"from":5,"to":null,"text":[],"more":1}}',
            ["data.more", "data.from", "data.to", "data.text"],
        ),
        (b'{"event":"message.incoming","data":{"from":"","to":"b"}}', ["data.from"]),
        (b'{"event":"message.incoming","data":{"from":"a","to":"b","media":"x"}}', ["data.media"]),
        (b'{"event":"message.incoming","data":{"from":"a","to":"b","media":{}}}', ["data.media.mediaType"]),
        (
            b'{"event":"message.incoming","data":{"from":"a","to":"b","media":{"mediaType":"i","url":1}}}',
            ["data.media.url"],
        ),
        (b'{"event":"message.incoming","data":{"from":"a","to":"b","text":"\\udc00"}}', ["data.text"]),
        (b'{"event":"message.incoming","data":{"from":"a","to":"b","timestamp":"2023"}}', ["data.timestamp"]),
        (b'{"event":"message.incoming","data":{"from":"a","to":"b","details":{}}}', ["data.details"]),
        (b'{"event":"message.status","data":{"messageId":"m","status":"' + b"s" * 256 + b'"}}', ["data.status"]),
        (b'{"event":"contact.update","data":{"contactId":"c","phone":""}}', ["data.phone"]),
        (b'{"event":"media.upload","data":{"mediaUrl":"' + b"u" * 8193 + b'"}}', ["data.mediaUrl"]),
        (
            b'{"event":"message.status","data":{"messageId":"m","status":"s"},"id":"!","timestamp":"x","y":1}',
            ["y", "timestamp", "id"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(raw: bytes, fields: list[str]) -> None:
    assert [error.field for error in refused(raw)] == fields


def test_mistakes_in_an_array_are_named_by_position() -> None:
    items: list[object] = [STATUS] * 20
    items[17] = {"event": "message.incoming", "data": {"from": 5, "to": "b"}}
    items[19] = {"event": "order.paid", "data": {}}
    errors = refused(json.dumps(items).encode())
    assert [error.field for error in errors] == ["[17].data.from", "[19].event"]
    assert errors[0].message == "must be a string, not an integer"
    assert "order.created" in errors[1].message


def test_mistakes_have_an_end() -> None:
    assert len(refused(json.dumps([{"x": 1}] * 900).encode())) == limits.FIELD_ERRORS_MAX
    large = json.dumps([{"event": "order.created", "data": {"a": "x" * 90_000, "b": 2**60}}] * 40).encode()
    assert 0 < len(refused(large)) < 40


def test_too_many_events() -> None:
    [error] = refused(json.dumps([STATUS] * 1_001).encode())
    assert (error.field, "1,000" in error.message) == ("", True)


def test_depth_in_an_array_is_named_too() -> None:
    raw = b'[{"event":"order.created","data":{"a":' + b"[" * 9999 + b"]" * 9999 + b"}}]"
    assert [error.field for error in refused(raw)] == ["[0].data.a" + "[0]" * 63]


def sized(size: int, details: int = 0) -> bytes:
    """An own event whose body has exactly this many bytes, details included where there are any."""
    value: dict[str, object] = {"event": "order.created", "id": "e", "data": {"a": ""}}
    if details:
        value["details"] = {"buttonId": "d" * details}
    [empty] = drafts(json.dumps(value).encode())
    body = empty.body if empty.details is None else with_details(empty.body, empty.details)
    value["data"] = {"a": "x" * (size - len(body))}
    return json.dumps(value).encode()


@pytest.mark.parametrize("details", [0, 100])
def test_the_largest_body(details: int) -> None:
    [largest] = drafts(sized(limits.BODY_BYTES_MAX, details))
    body = largest.body if largest.details is None else with_details(largest.body, largest.details)
    assert len(body) == limits.BODY_BYTES_MAX
    with pytest.raises(TooLarge, match="100,000") as caught:
        drafts(sized(limits.BODY_BYTES_MAX + 1, details))
    assert [error.field for error in caught.value.errors] == ["data"]
    with pytest.raises(TooLarge) as caught:
        drafts(b"[" + json.dumps(STATUS).encode() + b"," + sized(limits.BODY_BYTES_MAX + 1, details) + b"]")
    assert [error.field for error in caught.value.errors] == ["[1].data"]


def test_what_is_far_too_large_is_not_looked_at() -> None:
    raw = b'{"event":"order.created","data":{"a":"' + b"x" * 500_000 + b'","b":1e400}}'
    with pytest.raises(TooLarge):
        drafts(raw)
    with pytest.raises(TooLarge):
        drafts(b'{"event":"message.incoming","data":{"from":5,"to":"b","text":"' + b"x" * 500_000 + b'"}}')


def test_a_large_text_in_a_documented_type_is_a_matter_of_its_field() -> None:
    raw = json.dumps({"event": "message.incoming", "data": {"from": "a", "to": "b", "text": "x" * 65_537}}).encode()
    assert [error.field for error in refused(raw)] == ["data.text"]


def ends_well(raw: bytes) -> bool:
    try:
        return bool(drafts(raw))
    except (Malformed, Invalid, TooLarge) as problem:
        return bool(problem.errors)


@settings(max_examples=300)
@given(raw=st.binary(max_size=60))
def test_any_bytes_end_in_drafts_or_a_known_refusal(raw: bytes) -> None:
    assert ends_well(raw)


def test_any_json_ends_in_drafts_or_a_known_refusal() -> None:
    texts = RandomTexts(seed=4)
    names = [*DOCUMENTED, *OPERATIONAL, "order.created"]
    for number in range(1_500):
        event = json.dumps(names[number % len(names)])
        raw = f'{{"event":{event},"data":{texts.text()},"id":{texts.text(0)},"details":{texts.text()}}}'.encode()
        assert ends_well(raw), raw


def test_the_fields_of_a_submission() -> None:
    assert [field.name for field in SUBMISSION_FIELDS] == ["event", "data", "id", "timestamp", "contact", "details"]
    assert all(field.description for field in SUBMISSION_FIELDS)
