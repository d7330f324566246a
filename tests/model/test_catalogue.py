"""The catalogue against the public document, and the rules of names."""

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.catalogue import (
    CATALOGUE,
    DOCUMENTED,
    OPERATIONAL,
    Kind,
    covered_by_wildcard,
    details_schema,
    envelope_schema,
    filterable,
    id_prefix,
    input_schema,
    is_documented,
    is_operational,
    is_whatsapp,
    kind_of,
    own_name_problem,
)
from whatsync.model.details import Details, encode_details
from whatsync.model.draft import draft_of, with_details
from whatsync.model.timestamp import parse_time

PUBLIC = {
    "message.incoming": '{"event":"message.incoming","id":"msg_123456789","timestamp":"2023-06-15T14:22:33Z","data":{'
    '"from":"+1234567890","to":"+0987654321","text":"Hello, how are you?","media":null,'
    '"timestamp":"2023-06-15T14:22:30Z"}}',
    "message.status": '{"event":"message.status","id":"status_123456789","timestamp":"2023-06-15T14:23:45Z","data":{'
    '"messageId":"msg_987654321","status":"read","timestamp":"2023-06-15T14:23:40Z"}}',
    "contact.update": '{"event":"contact.update","id":"contact_update_123456789","timestamp":"2023-06-15T15:30:00Z",'
    '"data":{"contactId":"contact_123456","phone":"+1234567890","name":"John Doe",'
    '"profileImage":"https://example.com/profile.jpg"}}',
    "media.upload": '{"event":"media.upload","id":"media_123456789","timestamp":"2023-06-15T16:45:20Z","data":{'
    '"messageId":"msg_123456","mediaType":"image","mediaUrl":"https://media.whatsync.io/123456.jpg",'
    '"mimeType":"image/jpeg","caption":"Check out this photo"}}',
}
"""The public document's examples, compact."""


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def body_of(example: dict[str, Any]) -> bytes:
    data = msgspec.json.encode(example["data"])
    return draft_of(example["event"], example["id"], parse_time(example["timestamp"])[1], data).body


def test_the_documented_types_are_those_of_the_public_document() -> None:
    assert tuple(PUBLIC) == DOCUMENTED
    for name, text in PUBLIC.items():
        assert compact(CATALOGUE[name].example) == text
        assert CATALOGUE[name].example["id"].startswith(id_prefix(name))


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_example_is_sent_as_it_is_shown(name: str) -> None:
    example = CATALOGUE[name].example
    assert body_of(example).decode() == compact(example)
    assert [field.name for field in CATALOGUE[name].fields] == list(example["data"])


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_example_fits_its_schema_and_nothing_else_does(name: str) -> None:
    schema = envelope_schema(name)
    assert jsonschema_rs.meta.is_valid(schema)
    validator = jsonschema_rs.Draft202012Validator(schema)
    example = CATALOGUE[name].example
    assert validator.is_valid(example)
    for key in example["data"]:
        assert not validator.is_valid({**example, "data": {k: v for k, v in example["data"].items() if k != key}})
        assert not validator.is_valid({**example, "data": {**example["data"], key: [1]}})
    assert not validator.is_valid({**example, "data": {**example["data"], "more": 1}})
    assert not validator.is_valid({**example, "event": "message.other"})
    assert not validator.is_valid({**example, "more": 1})


def test_the_schema_knows_details() -> None:
    example = CATALOGUE["message.incoming"].example
    details = encode_details(Details(number="1", raw=msgspec.Raw(b'{"a":1}')))
    assert details is not None
    body = with_details(body_of(example), details)
    validator = jsonschema_rs.Draft202012Validator(envelope_schema("message.incoming"))
    validator.validate(json.loads(body))
    assert not validator.is_valid({**example, "data": {**example["data"], "details": {"number": 5}}})
    jsonschema_rs.Draft202012Validator(details_schema()).validate(json.loads(details))


def test_input_needs_less_than_is_sent() -> None:
    required = {name: input_schema(name)["required"] for name in DOCUMENTED}
    assert required == {
        "message.incoming": ["from", "to"],
        "message.status": ["messageId", "status"],
        "contact.update": ["contactId"],
        "media.upload": [],
    }
    assert input_schema("order.created") == {"type": "object"}


def test_every_field_and_type_is_described() -> None:
    for one in CATALOGUE.values():
        assert one.description.endswith(".")
        assert all(field.description for field in one.fields)
        assert one.name == one.example["event"]


def test_the_schema_of_an_own_type_takes_any_object() -> None:
    schema = envelope_schema("order.created", "An order was made.")
    example = {"event": "order.created", "id": "evt_1", "timestamp": "2023-06-15T14:22:33Z", "data": {"a": [1]}}
    jsonschema_rs.Draft202012Validator(schema).validate(example)
    assert schema["description"] == "An order was made."


def test_what_the_wildcard_means() -> None:
    assert all(covered_by_wildcard(name) for name in (*DOCUMENTED, "order.created"))
    assert not any(covered_by_wildcard(name) for name in (*OPERATIONAL, "whatsapp.reaction"))


def test_kinds() -> None:
    assert kind_of("message.status") is Kind.DOCUMENTED
    assert is_documented("message.status")
    assert not is_documented("endpoint.failing")
    assert kind_of("endpoint.failing") is Kind.OPERATIONAL
    assert is_operational("number.quiet")
    assert not is_operational("message.status")
    assert kind_of("whatsapp.reaction") is Kind.WHATSAPP
    assert kind_of("order.created") is Kind.OWN
    assert is_whatsapp("whatsapp.message_template_status_update")
    assert not is_whatsapp("whatsapp.")
    assert not is_whatsapp("whatsapp.Reaction")
    assert set(OPERATIONAL) == {
        "endpoint.failing", "endpoint.disabled", "endpoint.recovered", "delivery.exhausted", "delivery.expiring",
        "media.failed", "source.rejected", "number.quiet",
    }  # fmt: skip


def test_ids_of_each_type() -> None:
    prefixes = {name: id_prefix(name) for name in (*DOCUMENTED, "endpoint.failing", "whatsapp.reaction", "a.b")}
    assert list(prefixes.values()) == ["msg_", "status_", "contact_update_", "media_", "evt_", "evt_", "evt_"]


@pytest.mark.parametrize(
    "name", ["order.created", "a.b", "invoice.line-item.paid", "x9.1", "message.read", "contact.new"]
)
def test_names_an_account_may_use(name: str) -> None:
    assert own_name_problem(name) is None
    assert kind_of(name) is Kind.OWN


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((name, "WhatsSync") for name in CATALOGUE),
        ("whatsapp.reaction", "whatsapp."),
        ("endpoint.mine", "endpoint."),
        ("delivery.done", "delivery."),
        ("media.mine", "media."),
        ("source.x", "source."),
        ("number.x", "number."),
        ("order", "dots"),
        ("Order.created", "a-z"),
        ("order..created", "dots"),
        ("order.created.", "dots"),
        (".order", "dots"),
        ("1order.created", "letter"),
        ("order.créé", "a-z"),
        ("order.created\n", "dots"),
        ("", "dots"),
        ("*", "dots"),
        ("a." + "b" * 99, "100"),
    ],
)
def test_names_an_account_may_not_use(name: str, word: str) -> None:
    problem = own_name_problem(name)
    assert problem is not None
    assert word in problem


@given(name=st.from_regex(r"[a-z][a-z0-9_-]{0,20}(\.[a-z0-9_-]{1,20}){1,3}", fullmatch=True))
def test_a_name_is_own_or_ours(name: str) -> None:
    reserved = kind_of(name) is not Kind.OWN or name.partition(".")[0] in {
        "endpoint", "delivery", "media", "source", "number", "whatsapp",
    }  # fmt: skip
    assert (own_name_problem(name) is None) is not reserved


def test_what_can_be_filtered_by() -> None:
    assert list(filterable("message.status")) == ["messageId", "status", "timestamp"]
    assert list(filterable("message.incoming")) == ["from", "to", "text", "timestamp"]
    assert filterable("endpoint.disabled")["reason"] == {"failing", "gone", "user"}
    assert filterable("order.created") == {}
