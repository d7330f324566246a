"""The mapping from Cloud API bodies to events, kind by kind; and that nothing in a body can take anything else down."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.whatsapp.cloud import (
    AT,
    DISPLAY,
    NUMBER,
    PERSON,
    USER,
    Element,
    body,
    card,
    change,
    escaped,
    incoming,
    message,
    status,
    statuses,
    value,
)
from tests.sources.whatsapp.kinds import BATCH, BODIES, FILE
from whatsync.model import limits
from whatsync.model.arrival import Arrival, Reading, draft_of_arrival
from whatsync.model.details import details_of
from whatsync.model.ids import derived_id, message_id
from whatsync.sources.whatsapp.payloads import read

NOW_MS = (AT + 5) * 1000


def reading(given: Any) -> Reading:
    return read(escaped(given), NOW_MS)


def only(name: str) -> Arrival:
    (arrival,) = reading(BODIES[name]).arrivals
    return arrival


def data_of(arrival: Arrival) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(draft_of_arrival(arrival, NOW_MS, "contact_x", None).body)["data"]
    return data


def details_of_arrival(arrival: Arrival) -> dict[str, Any]:
    details = draft_of_arrival(arrival, NOW_MS, "contact_x", None).details
    assert details is not None
    found: dict[str, Any] = json.loads(details)
    return found


@pytest.mark.parametrize("name", sorted(BODIES))
def test_every_kind_becomes_events_and_nothing_is_set_aside(name: str) -> None:
    found = reading(BODIES[name])
    assert found.set_aside == ()
    assert found.arrivals
    for arrival in found.arrivals:
        draft = draft_of_arrival(arrival, NOW_MS, "contact_x", None)
        assert len(draft.body) <= limits.BODY_BYTES_MAX
        assert json.loads(draft.body)["id"] == arrival.id


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("text", "Hello, is this the shop?"),
        ("image", "Look"),
        ("video", None),
        ("audio", None),
        ("voice note", None),
        ("sticker", None),
        ("location", "geo:52.5,-13.25\nThe shop\nMarket 1"),
        ("contacts", "Bo Example: +491715\nCy: +01716, +491717"),
        ("button reply", "Yes, please"),
        ("list reply", "Tuesday"),
        ("flow reply", '{"a":1}'),
        ("interactive without its object", None),
        ("template button", "No more"),
        ("order", "2 × tea, 3.5 EUR each\n1 × cup"),
        ("order with text", "Quickly, please"),
        ("unsupported", None),
        ("a type nobody knows", None),
    ],
)
def test_a_message_says_what_was_written(name: str, text: str | None) -> None:
    data = data_of(only(name))
    assert data["text"] == text
    assert (data["from"], data["to"]) == ("+" + PERSON, "+" + DISPLAY)
    assert data["timestamp"] == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(
    ("name", "kind", "mime", "caption"),
    [
        ("image", "image", "image/jpeg", "Look"),
        ("video", "video", "video/mp4", None),
        ("document", "document", "application/pdf", None),
        ("audio", "audio", "audio/mpeg", None),
        ("voice note", "voice", "audio/ogg; codecs=opus", None),
        ("sticker", "sticker", "image/webp", None),
    ],
)
def test_a_file_is_told_of(name: str, kind: str, mime: str, caption: str | None) -> None:
    arrival = only(name)
    told = {"mediaType": kind, "mediaUrl": None, "mimeType": mime, "caption": caption}
    assert data_of(arrival)["media"] == told
    assert arrival.file is not None
    assert arrival.file.id == derived_id("media_", NUMBER, "wamid.one", FILE["id"])
    assert (arrival.file.media_id, arrival.file.sha256) == (FILE["id"], FILE["sha256"])
    with_place = json.loads(draft_of_arrival(arrival, NOW_MS, None, "https://m.example/x.jpg").body)
    assert with_place["data"]["media"]["mediaUrl"] == "https://m.example/x.jpg"


def test_ids_are_derived_by_the_public_formula() -> None:
    assert only("text").id == message_id(NUMBER, "wamid.one")
    assert only("delivered").id == derived_id("status_", NUMBER, "wamid.out", "delivered", "")
    first, second = reading(BODIES["status of a group"]).arrivals
    assert first.id == derived_id("status_", NUMBER, "wamid.out", "delivered", PERSON)
    assert second.id == derived_id("status_", NUMBER, "wamid.out", "delivered", "491700000002")
    assert data_of(first)["messageId"] == data_of(second)["messageId"] == message_id(NUMBER, "wamid.out")


def test_details_hold_what_the_documented_fields_have_no_place_for() -> None:
    details = details_of_arrival(only("text"))
    assert (details["number"], details["wamid"], details["type"]) == (NUMBER, "wamid.one", "text")
    assert (details["contactId"], details["profileName"]) == ("contact_x", "Ada Example")
    assert details_of_arrival(only("button reply"))["buttonId"] == "yes"
    assert details_of_arrival(only("template button"))["buttonId"] == "STOP"
    assert details_of_arrival(only("list reply"))["listId"] == "row1"
    assert details_of_arrival(only("reply"))["replyTo"] == message_id(NUMBER, "wamid.before")
    assert details_of_arrival(only("from an ad"))["referral"]["headline"] == "Tea"
    assert details_of_arrival(only("location"))["location"]["name"] == "The shop"
    assert details_of_arrival(only("delivered"))["recipient"] == "+" + PERSON
    assert details_of_arrival(only("status by user id"))["recipient"] == USER


def test_errors_are_explained_in_words() -> None:
    error = details_of_arrival(only("failed"))["error"]
    assert (error["code"], error["title"]) == (131047, "Re-engagement message")
    assert "Send a template" in error["explanation"]
    unknown = reading(statuses(status(said="failed", errors=[{"code": 999999, "title": "New", "message": "m"}])))
    assert details_of_arrival(unknown.arrivals[0])["error"] == {"code": 999999, "title": "New", "explanation": None}
    odd = reading(statuses(status(said="failed", errors=["?", {"code": 2**70, "error_data": "?"}])))
    assert details_of_arrival(odd.arrivals[0])["error"]["code"] == str(2**70)


def test_raw_is_metas_own_envelope_of_this_one_element() -> None:
    two = incoming(
        message("wamid.a"), message("wamid.b", person="491700000002"), contacts=[card(), card("491700000002", "Bo")]
    )
    second = reading(two).arrivals[1]
    expected = incoming(message("wamid.b", person="491700000002"), contacts=[card("491700000002", "Bo")])
    assert details_of_arrival(second)["raw"] == expected


def test_a_person_is_seen_by_all_his_names() -> None:
    given = incoming(message(from_user_id=USER), contacts=[card(user=USER)])
    sighting = reading(given).arrivals[0].sighting
    assert sighting is not None
    assert (sighting.words, sighting.name, sighting.at_ms) == (
        ("phone:+" + PERSON, "user:" + USER),
        "Ada Example",
        AT * 1000,
    )


@pytest.mark.parametrize("name", ["person without a phone", "user id in the phone's place"])
def test_a_person_without_a_phone_is_known_by_his_user_id(name: str) -> None:
    arrival = only(name)
    assert data_of(arrival)["from"] == USER
    assert details_of_arrival(arrival)["userId"] == USER
    assert arrival.sighting is not None
    assert arrival.sighting.words == ("user:" + USER,)


def test_a_user_name_stands_for_a_name_and_the_card_is_found_by_its_owner() -> None:
    cards = [card("491700000003", "Cy"), {"profile": {"username": "@ada"}, "wa_id": PERSON}]
    details = details_of_arrival(reading(incoming(message(), contacts=cards)).arrivals[0])
    assert details["profileName"] == "@ada"


def test_people_who_change_their_number_keep_their_former_names() -> None:
    moved = only("number changed").sighting
    assert moved is not None
    assert (moved.words, moved.former) == (("phone:+491700000009",), ("phone:+" + PERSON,))
    renamed = only("user id update").sighting
    assert renamed is not None
    assert "user:DE.9" in renamed.words
    assert "user:" + USER in renamed.former
    (synced, removed) = reading(BODIES["address book"]).arrivals
    assert synced.sighting is not None
    assert (synced.sighting.name, synced.sighting.phone) == ("Bo", "+491715")
    assert removed.sighting is None


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("reaction", "whatsapp.reaction"),
        ("edit", "whatsapp.edit"),
        ("revoke", "whatsapp.revoke"),
        ("request welcome", "whatsapp.request_welcome"),
        ("number changed", "whatsapp.system"),
        ("errors alone", "whatsapp.errors"),
        ("call", "whatsapp.calls"),
        ("template", "whatsapp.message_template_status_update"),
        ("a field nobody knows", "whatsapp.weather_update"),
    ],
)
def test_all_else_is_an_event_of_its_own_type_with_metas_value(name: str, event_type: str) -> None:
    arrival = only(name)
    assert arrival.event_type == event_type
    assert data_of(arrival) == BODIES[name]["entry"][0]["changes"][0]["value"]


def test_what_is_about_a_message_is_found_with_it() -> None:
    for name in ("reaction", "edit", "revoke"):
        assert only(name).message_id == message_id(NUMBER, "wamid.one")


def test_each_old_message_is_an_event_in_the_envelope_of_its_thread() -> None:
    found = reading(BODIES["history"]).arrivals
    assert [arrival.event_type for arrival in found] == ["whatsapp.history"] * 3
    threads = data_of(found[2])["history"][0]["threads"]
    assert [thread["id"] for thread in threads] == ["491715"]
    assert [one["id"] for one in threads[0]["messages"]] == ["wamid.h3"]
    assert len({arrival.id for arrival in found}) == 3


def test_messages_come_before_statuses() -> None:
    given = body(change(value(statuses=[status()], messages=[message()])))
    assert [one.event_type for one in reading(given).arrivals] == ["message.incoming", "message.status"]


def test_metas_sample_is_known() -> None:
    sample = body(change(value("123456123", "16505551111", messages=[message()])), business="0")
    assert reading(sample).sample
    assert not reading(BODIES["text"]).sample
    assert not reading(body(change(value(messages=[message()])), business="0")).sample


@pytest.mark.parametrize(
    ("given", "expected"),
    [(str(AT), AT), (AT, AT), (AT * 1000, AT), (str(AT * 1000), AT), ("1800000000.5", None), (True, None), (-5, None)],
)
def test_times_are_seconds_or_milliseconds(given: Any, expected: int | None) -> None:
    data = data_of(reading(incoming({**message(), "timestamp": given})).arrivals[0])
    assert data["timestamp"] == ("2027-01-15T08:00:00Z" if expected else "2027-01-15T08:00:05Z")


# What is wrong loses only itself


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "not_a_list"),
        (b'{"entry":7}', "not_a_list"),
        (b'{"entry":[7]}', "not_an_object"),
        (b'{"entry":[{}]}', "not_a_list"),
        (b'{"entry":[{"changes":[null]}]}', "not_an_object"),
        (b'{"entry":[{"changes":[{"field":"messages"}]}]}', "not_an_object"),
    ],
)
def test_what_is_no_body_is_set_aside_with_the_reason(raw: bytes, reason: str) -> None:
    found = read(raw, NOW_MS)
    assert found.arrivals == ()
    assert [one.reason for one in found.set_aside] == [reason]


def test_one_bad_element_is_set_aside_and_its_siblings_go_on() -> None:
    given = body(
        change(value(messages=[message("wamid.a"), 7, {"id": "wamid.b", "type": "text"}, message("wamid.c")])),
        change(value(statuses=[status(), {"status": "read"}, {"id": "wamid.x"}, []])),
        change({"metadata": {}, "messages": [message("wamid.d")]}),
    )
    found = reading(given)
    assert [one.details["wamid"] for one in found.arrivals] == ["wamid.a", "wamid.c", "wamid.out"]
    assert [(one.path.rpartition("changes")[2], one.reason) for one in found.set_aside] == [
        ("[0].value.messages[1]", "not_an_object"),
        ("[0].value.messages[2]", "no_sender"),
        ("[1].value.statuses[3]", "not_an_object"),
        ("[1].value.statuses[1]", "no_id"),
        ("[1].value.statuses[2]", "no_status"),
        ("[2].value.messages[0]", "no_number"),
    ]
    assert found.set_aside[1].reference == "wamid.b"


def test_a_message_without_an_id_is_one_event_however_often_it_comes() -> None:
    bare = {name: part for name, part in message().items() if name != "id"}
    first, again = reading(incoming(bare)).arrivals[0], reading(incoming(bare)).arrivals[0]
    other = reading(incoming({**bare, "timestamp": str(AT + 1)})).arrivals[0]
    assert first.id == again.id != other.id
    assert details_of_arrival(first)["wamid"] is None


def test_huge_numbers_become_text_and_halves_of_characters_a_mark() -> None:
    raw = escaped(incoming(message(text={"body": "TEXT"}, extra=2**63))).replace(b"TEXT", rb"a\ud83d b")
    arrival = read(raw, NOW_MS).arrivals[0]
    assert data_of(arrival)["text"] == "a\ufffd b"
    assert str(2**63) in json.dumps(details_of_arrival(arrival)["raw"])


def test_bytes_that_are_no_utf_8_lose_nothing_else() -> None:
    raw = escaped(incoming(message(text={"body": "TEXT"}))).replace(b"TEXT", b"caf\xe9")
    assert data_of(read(raw, NOW_MS).arrivals[0])["text"] == "caf\ufffd"


def test_what_is_too_long_is_shortened_and_says_so() -> None:
    arrival = reading(incoming(message(text={"body": "é" * 60_000}, blob="x" * 50_000))).arrivals[0]
    draft = draft_of_arrival(arrival, NOW_MS, "contact_x", None)
    assert draft.details is not None
    assert len(draft.body) + len(draft.details) < limits.BODY_BYTES_MAX
    assert json.loads(draft.details)["raw"]["shortened"] is True
    details_of(draft.details)
    large = reading(body(change({"blob": "x" * 200_000}, "weather_update"))).arrivals[0]
    assert data_of(large) == {"shortened": True, "bytes": 200_011}


def test_a_thousand_updates_are_read() -> None:
    given = incoming(*(message(f"wamid.{at}") for at in range(1_000)))
    assert len(reading(given).arrivals) == 1_000


# Nothing in a body takes anything else down

ODD: list[Any] = [None, True, 0, -1, 2**70, 1.5e308, "", "x", "\x00", [], {}, [[]], {"a": {}}, [None], "9" * 40, [1]]


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value below a node."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated(given: Element, path: tuple[Any, ...], odd: Any, drop: bool) -> Element:
    """A copy with one value replaced or left out."""
    changed = copy.deepcopy(given)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = odd
    return changed


def drafted(found: Reading) -> set[str]:
    """The ids of all events of a reading, each made whole."""
    ids = set()
    for arrival in found.arrivals:
        draft = draft_of_arrival(arrival, NOW_MS, "contact_x", "https://m.example/x")
        json.loads(draft.body)
        assert len(draft.body) <= limits.BODY_BYTES_MAX
        if draft.details is not None:
            details_of(draft.details)
        ids.add(draft.id)
    return ids


@pytest.mark.parametrize("name", sorted(BODIES))
def test_any_field_may_be_missing_or_of_another_type(name: str) -> None:
    rng = random.Random(name)
    sibling = incoming(message("wamid.sibling"))["entry"][0]
    kept = message_id(NUMBER, "wamid.sibling")
    whole = copy.deepcopy(BODIES[name])
    whole["entry"].append(sibling)
    for path in list(places(BODIES[name]["entry"][0], ("entry", 0))):
        for odd in (None, *rng.sample(ODD, 2)):
            found = reading(mutated(whole, path, odd, drop=odd is None))
            assert kept in drafted(found), (path, odd)
            assert all(one.reason != "internal_error" for one in found.set_aside), (path, odd, found.set_aside)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(data=st.data())
def test_random_values_in_random_places_lose_no_sibling(data: st.DataObject) -> None:
    given_body = copy.deepcopy(BATCH)
    changes = len(given_body["entry"][0]["changes"])
    hit = data.draw(st.integers(0, changes - 1))
    ways = list(places(given_body["entry"][0]["changes"][hit], ("entry", 0, "changes", hit)))
    path = data.draw(st.sampled_from(ways))
    found = reading(mutated(given_body, path, data.draw(JSON), drop=False))
    assert all(one.reason != "internal_error" for one in found.set_aside)
    assert len(drafted(found)) >= changes - 1


@settings(max_examples=200)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_read_or_set_aside(raw: bytes) -> None:
    found = read(raw, NOW_MS)
    assert found.arrivals or found.set_aside


@settings(max_examples=100)
@given(at=st.integers(min_value=0), byte=st.integers(0, 255))
def test_a_body_with_one_byte_changed_is_read_or_set_aside(at: int, byte: int) -> None:
    raw = bytearray(escaped(BATCH))
    raw[at % len(raw)] = byte
    found = read(bytes(raw), NOW_MS)
    drafted(found)
    assert all(one.reason != "internal_error" for one in found.set_aside)
