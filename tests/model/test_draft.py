"""Drafts: bodies that never change, what they concern, and which repeat is one."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.node_json import NodeJson
from whatsync.model import limits
from whatsync.model.details import Details
from whatsync.model.documented import ContactUpdate, Media, MediaUpload, MessageIncoming, MessageStatus
from whatsync.model.draft import (
    Draft,
    draft_of,
    draft_of_data,
    draft_of_whatsapp,
    make_body,
    same_content,
    scalar_of,
    with_details,
)
from whatsync.model.envelope import decode_submissions
from whatsync.model.javascript import parse, stringify

NOW = 1_686_838_953_000
LATER = NOW + 60_000
INCOMING = MessageIncoming("+1234567890", "+0987654321", "Hello, how are you?", None, "2023-06-15T14:22:30Z")

texts = st.text(max_size=40)


def one(raw: str, now_ms: int = NOW) -> Draft:
    [draft] = decode_submissions(raw.encode(), now_ms, {}, lambda prefix: prefix + "new")
    return draft


@given(sender=texts, to=texts, text=st.none() | texts, media=st.none() | st.builds(Media, texts, texts, texts, texts))
def test_typed_bodies_are_what_the_slow_way_and_node_write(
    judge: NodeJson, sender: str, to: str, text: str | None, media: Media | None
) -> None:
    body = draft_of_data("message.incoming", "msg_1", NOW, MessageIncoming(sender, to, text, media)).body
    assert body == stringify(parse(body)).encode() == judge.round_trip(body)
    assert list(json.loads(body)) == ["event", "id", "timestamp", "data"]


def test_a_body_in_full() -> None:
    draft = draft_of_data("message.incoming", "msg_123456789", NOW, INCOMING)
    assert draft.body == (
        b'{"event":"message.incoming","id":"msg_123456789","timestamp":"2023-06-15T14:22:33Z","data":{'
        b'"from":"+1234567890","to":"+0987654321","text":"Hello, how are you?","media":null,'
        b'"timestamp":"2023-06-15T14:22:30Z"}}'
    )
    assert draft.timestamp_ms == NOW
    assert INCOMING.timestamp == "2023-06-15T14:22:30Z"


def test_given_data_is_left_as_it_was() -> None:
    data = MessageStatus("msg_1", "read")
    draft = draft_of_data("message.status", "status_1", NOW, data)
    assert data.timestamp is None
    assert draft.field("timestamp") == "2023-06-15T14:22:33Z"


@pytest.mark.parametrize(
    ("event_type", "data", "contact", "message_id", "phone", "keys"),
    [
        ("message.incoming", INCOMING, "+1234567890", "id_1", "+1234567890", ("phone:+1234567890",)),
        ("message.status", MessageStatus("msg_9", "read"), None, "msg_9", None, ("message:msg_9",)),
        (
            "contact.update",
            ContactUpdate("contact_1", "1 234 567 890"),
            "1 234 567 890",
            None,
            "1 234 567 890",
            ("contact:contact_1", "phone:+1234567890"),
        ),
        ("contact.update", ContactUpdate("contact_1"), "contact_1", None, None, ("contact:contact_1",)),
        ("media.upload", MediaUpload("msg_9"), None, "msg_9", None, ("message:msg_9",)),
        ("media.upload", MediaUpload(), None, None, None, ()),
    ],
)
def test_what_each_type_concerns(
    event_type: str,
    data: msgspec.Struct,
    contact: str | None,
    message_id: str | None,
    phone: str | None,
    keys: tuple[str, ...],
) -> None:
    draft = draft_of_data(event_type, "id_1", NOW, data)
    assert (draft.contact, draft.message_id, draft.phone, draft.keys) == (contact, message_id, phone, keys)


def test_details_bring_number_and_words() -> None:
    details = Details(number="106540352242922", wamid="wamid.x", recipient="+1234567890")
    draft = draft_of_data("message.status", "status_1", NOW, MessageStatus("msg_9", "read"), details)
    assert draft.number == "106540352242922"
    assert draft.keys == ("message:msg_9", "wamid:wamid.x", "phone:+1234567890")
    assert draft.details is not None
    assert draft.details.startswith(b'{"number":"106540352242922","wamid":"wamid.x","type":null')


def test_details_are_put_in_as_the_last_key_of_data(judge: NodeJson) -> None:
    for data in (b"{}", b'{"1":2,"a":"}}"}', b'{"data":{}}'):
        body = with_details(make_body("a.b", "evt_1", "2023-06-15T14:22:33Z", data), '{"raw":{"é":1}}'.encode())
        assert body == judge.round_trip(body)
        value = json.loads(body)["data"]
        assert value.pop("details") == {"raw": {"é": 1}}
        assert value == json.loads(data)
        assert list(json.loads(body)["data"])[-1] == "details"


def test_operational_events_keep_to_their_fields() -> None:
    data = msgspec.json.encode(
        {
            "failedAttempts": 3,
            "endpointId": "ep_1",
            "url": "https://x.example",
            "since": "2023-06-15T14:22:33Z",
            "disableAt": None,
        }
    )
    draft = draft_of("endpoint.recovered", "evt_1", NOW, data)
    assert json.loads(draft.body)["data"] == {
        "endpointId": "ep_1",
        "url": "https://x.example",
        "since": "2023-06-15T14:22:33Z",
        "failedAttempts": 3,
        "lastCode": None,
        "lastError": None,
    }
    with pytest.raises(msgspec.ValidationError):
        draft_of("endpoint.recovered", "evt_1", NOW, b"{}")


def test_scalars_of_a_body() -> None:
    body = make_body("a.b", "evt_1", "2023-06-15T14:22:33Z", b'{"s":"x","n":1.5,"b":false,"o":{},"l":[1],"z":null}')
    assert [scalar_of(body, name) for name in "snbolzq"] == ["x", 1.5, False, None, None, None, None]


def test_other_whatsapp_events_take_anything(judge: NodeJson) -> None:
    draft = draft_of_whatsapp("whatsapp.reaction", "evt_1", NOW, {"details": {"constructor": 1}, "n": 10**20})
    assert json.loads(draft.body)["data"] == {"details_": {"constructor_": 1}, "n": "100000000000000000000"}
    assert judge.round_trip(draft.body) == draft.body
    assert json.loads(draft_of_whatsapp("whatsapp.x", "evt_1", NOW, ["a"]).body)["data"] == {"value": ["a"]}
    large = draft_of_whatsapp("whatsapp.history", "evt_1", NOW, {"a": "x" * limits.BODY_BYTES_MAX}, Details(number="1"))
    assert json.loads(large.body)["data"] == {"shortened": True, "bytes": limits.BODY_BYTES_MAX + 8}
    assert large.number == "1"


# Same id, same content


def repeats(stored: Draft, again: Draft) -> bool:
    return same_content(stored.event_type, stored.body, stored.details, again)


STATUS = '{"event":"message.status","id":"status_1",%s"data":{"messageId":"msg_1","status":"read"%s}}'
GIVEN = '"timestamp":"2023-06-15T14:22:33Z",'
DATA_GIVEN = ',"timestamp":"2023-06-15T14:22:30Z"'


@pytest.mark.parametrize("data_time", ["", DATA_GIVEN])
@pytest.mark.parametrize("time", ["", GIVEN])
def test_the_same_request_later_is_a_repeat(time: str, data_time: str) -> None:
    raw = STATUS % (time, data_time)
    assert repeats(one(raw), one(raw, LATER))
    assert repeats(one(raw), one(raw))
    assert (one(raw).body == one(raw, LATER).body) is bool(time)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (STATUS % ("", ""), STATUS % (GIVEN, ""), False),
        (STATUS % (GIVEN, ""), STATUS % ("", ""), True),
        (STATUS % (GIVEN, ""), STATUS % ("", DATA_GIVEN), False),
        (STATUS % (GIVEN, DATA_GIVEN), STATUS % ("", DATA_GIVEN), True),
        (STATUS % (GIVEN, DATA_GIVEN), STATUS % (GIVEN, ""), False),
        (STATUS % ("", ""), (STATUS % ("", "")).replace("read", "sent"), False),
        (STATUS % ("", ""), (STATUS % ("", "")).replace("msg_1", "msg_12"), False),
        (STATUS % ("", ""), (STATUS % ("", ""))[:-1] + ',"details":{"number":"1"}}', False),
        (STATUS % ("", ""), (STATUS % ("", ""))[:-1] + ',"details":{}}', True),
        (STATUS % ("", ""), (STATUS % ("", "")).replace('"data":{', '"data": { '), True),
    ],
)  # fmt: skip
def test_what_counts_as_the_same(first: str, second: str, same: bool) -> None:
    stored = one(first, NOW + 1_000)
    assert repeats(stored, one(second, LATER)) is same


def test_another_type_under_the_same_id_is_not_the_same() -> None:
    contact = one('{"event":"contact.update","id":"x","data":{"contactId":"c"}}')
    media = one('{"event":"media.upload","id":"x","data":{}}')
    assert not repeats(contact, media)
    assert repeats(contact, one('{"event":"contact.update","id":"x","data":{"contactId":"c"}}', LATER))


@given(first=texts, second=texts, later=st.integers(0, 10**9))
def test_only_the_same_text_is_the_same(first: str, second: str, later: int) -> None:
    def incoming(text: str, now_ms: int) -> Draft:
        data = {"from": "+1", "to": "+2", "text": text}
        return one(json.dumps({"event": "message.incoming", "id": "msg_1", "data": data}), now_ms)

    assert repeats(incoming(first, NOW), incoming(second, NOW + later)) is (first == second)
