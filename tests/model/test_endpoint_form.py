"""The rules of an endpoint's form: what is taken, and that each refusal names its field and what to do."""

from typing import Any

import msgspec
import pytest

from whatsync.model import limits
from whatsync.model.catalogue import CATALOGUE
from whatsync.model.endpoint import Endpoint, Format, Ordering, Scalar
from whatsync.model.endpoint_form import EndpointForm, Facts, read_form
from whatsync.model.errors import Invalid
from whatsync.model.request import MASK, PROTECTED_HEADERS
from whatsync.model.url import Target

STORED = Endpoint(
    id="ep_1",
    url="https://shop.example/hook",
    events=("message.status",),
    created_ms=1,
    updated_ms=1,
    headers={"X-Key": "sealed"},
    filters={"message.status": {"status": ("failed",)}},
)


def refuse_loopback(target: Target) -> str | None:
    return "it is a loopback address" if target.host == "127.0.0.1" else None


FACTS = Facts({"order.created"}, refuse_loopback)


def read(current: Endpoint | None = None, /, **fields: Any) -> dict[str, Any]:
    """Read a form as it comes from JSON."""
    return read_form(msgspec.convert(fields, EndpointForm), FACTS, current)


def new(**fields: Any) -> dict[str, Any]:
    """The form of a new endpoint with what it needs."""
    return read(None, **{"url": "https://shop.example/hook", "events": ["*"], **fields})


def wrong(current: Endpoint | None = None, /, **fields: Any) -> dict[str, str]:
    """The fields that are refused, with their messages."""
    if current is None:
        fields = {"url": "https://shop.example/hook", "events": ["*"], **fields}
    with pytest.raises(Invalid) as raised:
        read(current, **fields)
    return {error.field: error.message for error in raised.value.errors}


def test_a_whole_form_is_read() -> None:
    got = new(
        events=["message.incoming", "order.created", "whatsapp.reactions", "endpoint.failing", "message.incoming"],
        description=" For the shop ",
        numbers=["106540352242922", "106540352242922"],
        filters={"message.incoming": {"from": ["+1"]}},
        headers={"Authorization": " Bearer x "},
        retrySchedule="5s,2m",
        timeoutSeconds=3,
        maxInFlight=7,
        rateLimitPerSecond=0.5,
        ordering="contact",
        orderingMaxWaitSeconds=60,
        includeDetails=True,
        format="whatsync",
    )
    assert got == {
        "url": "https://shop.example/hook",
        "events": ("message.incoming", "order.created", "whatsapp.reactions", "endpoint.failing"),
        "description": "For the shop",
        "numbers": ("106540352242922",),
        "filters": {"message.incoming": {"from": ("+1",)}},
        "headers": {"Authorization": "Bearer x"},
        "retry_schedule": (5.0, 120.0),
        "timeout_seconds": 3.0,
        "max_in_flight": 7,
        "rate_limit_per_second": 0.5,
        "ordering": Ordering.CONTACT,
        "ordering_max_wait_seconds": 60,
        "include_details": True,
        "format": "whatsync",
    }


def test_what_is_read_fits_the_endpoint() -> None:
    assert set(new(numbers=None)) <= set(Endpoint.__struct_fields__)
    assert msgspec.structs.replace(STORED, **read(STORED, description="x")).description == "x"


def test_null_is_the_default_and_absent_is_left_alone() -> None:
    names: dict[str, Any] = {
        "numbers": None, "filters": {}, "headers": {}, "retry_schedule": None, "timeout_seconds": None,
        "max_in_flight": None, "rate_limit_per_second": None, "ordering": Ordering.NONE,
        "ordering_max_wait_seconds": limits.ORDERING_MAX_WAIT_SECONDS, "include_details": False,
        "format": "whatsync", "description": "",
    }  # fmt: skip
    encoded = dict(zip(EndpointForm.__struct_fields__, EndpointForm.__struct_encode_fields__, strict=True))
    assert read(STORED, **{encoded[name]: None for name in names}) == names
    assert read(STORED) == {}


def test_a_new_endpoint_needs_url_and_events() -> None:
    with pytest.raises(Invalid) as raised:
        read(None)
    assert [error.field for error in raised.value.errors] == ["url", "events"]


def test_every_wrong_field_is_named_at_once() -> None:
    found = wrong(
        url="ftp://x",
        events=["message.incomming"],
        headers={"Host": "x", "A b": "y", "X-Ok": "a\r\nb"},
        timeoutSeconds=31,
        maxInFlight=0,
        rateLimitPerSecond=0,
        orderingMaxWaitSeconds=0,
        retrySchedule=[0],
        numbers=[],
        description="x" * 501,
        filters={"message.status": {"stauts": ["read"]}},
        secret="whsec_short",
    )
    assert set(found) == {
        "url", "events[0]", "headers.Host", "headers.A b", "headers.X-Ok", "timeoutSeconds", "maxInFlight",
        "rateLimitPerSecond", "orderingMaxWaitSeconds", "retrySchedule", "numbers", "description",
        "filters.message.status.stauts", "secret",
    }  # fmt: skip


def test_the_address_is_judged_by_its_form_at_once() -> None:
    for url in ("http://127.0.0.1:9000/", "http://2130706433/", "http://127.1/"):
        assert "loopback" in wrong(url=url)["url"]


def test_event_names_are_known() -> None:
    for name in CATALOGUE:
        assert new(events=[name])["events"] == (name,)
    for name in ("order.updated", "whatsapp.", "whatsapp.Bad Name", "", "message"):
        assert "GET /v1/event-types" in wrong(events=[name])["events[0]"]
    assert "at least one" in wrong(events=[])["events"]
    too_many = [f"whatsapp.a{number}" for number in range(limits.EVENTS_PER_ENDPOINT_MAX + 1)]
    assert "*" in wrong(events=too_many)["events"]


def test_a_filter_names_a_type_and_a_field_it_has() -> None:
    got = wrong(filters={"message.status": {"state": ["read"]}})
    assert "it has messageId, status, timestamp" in got["filters.message.status.state"]
    objects = wrong(filters={"message.incoming": {"media": [None]}})
    assert objects["filters.message.incoming.media"].endswith("it has from, to, text, timestamp")
    assert "no event type" in wrong(filters={"message.gone": {"a": ["b"]}})["filters.message.gone"]
    assert "not documented" in wrong(filters={"order.created": {"total": [1]}})["filters.order.created.total"]
    assert "at least one value" in wrong(filters={"message.status": {"status": []}})["filters.message.status.status"]
    many = [str(number) for number in range(limits.FILTER_VALUES_MAX + 1)]
    assert "at most" in wrong(filters={"message.status": {"status": many}})["filters.message.status.status"]


@pytest.mark.parametrize(
    ("event_type", "field", "values", "said"),
    [
        ("message.status", "status", ["read", 5], "holds 5, which no event has here: it must be a string"),
        ("message.status", "status", ["read", 5], 'not an integer; write "5"'),
        ("message.status", "status", [None], "it must be a string, not null; leave it out"),
        ("message.status", "messageId", [""], "must not be empty"),
        ("message.status", "status", ["x" * 300], "has 300 characters"),
        ("message.incoming", "from", [12], 'write "12"'),
        ("message.incoming", "timestamp", ["yesterday"], "must be a time"),
        ("endpoint.failing", "failedAttempts", ["3"], "it must be an integer, not a string; write 3"),
        ("endpoint.failing", "failedAttempts", [True], "it must be an integer, not true or false"),
        ("endpoint.disabled", "reason", ["goner"], "must be one of failing, gone, user"),
    ],
)
def test_a_filter_lists_values_that_its_field_can_have(
    event_type: str, field: str, values: list[Scalar], said: str
) -> None:
    got = wrong(events=[event_type], filters={event_type: {field: values}})
    assert list(got) == [f"filters.{event_type}.{field}"]
    assert said in got[f"filters.{event_type}.{field}"]


def test_values_that_events_have_are_taken() -> None:
    filters: dict[str, dict[str, list[Scalar]]] = {
        "message.incoming": {"text": [None, ""], "from": ["+1"], "timestamp": ["2023-06-15T14:22:33Z"]},
        "endpoint.failing": {"failedAttempts": [3], "lastCode": [None, "timeout"]},
        "endpoint.disabled": {"reason": ["gone"]},
    }
    taken = new(events=["*", "endpoint.failing", "endpoint.disabled"], filters=filters)["filters"]
    assert {name: {one: list(of) for one, of in fields.items()} for name, fields in taken.items()} == filters


def test_a_stored_filter_may_be_given_again_as_it_stands() -> None:
    stored = msgspec.structs.replace(STORED, filters={"message.status": {"status": (5,)}})
    as_stored = {"message.status": {"status": [5]}}
    assert read(stored, description="new")["description"] == "new"
    assert read(stored, filters=as_stored)["filters"] == stored.filters
    assert "write" in wrong(stored, filters={"message.status": {"status": [5, 6]}})["filters.message.status.status"]


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_numbers_of_any_size_are_refused_in_words(number: int) -> None:
    status = {"message.status": {"status": [number]}}
    found = wrong(maxInFlight=number, orderingMaxWaitSeconds=number, filters=status)
    assert set(found) == {"maxInFlight", "orderingMaxWaitSeconds", "filters.message.status.status"}


def test_a_filter_needs_its_type_among_the_events() -> None:
    status = {"message.status": {"status": ["read"]}}
    assert "message.status" in wrong(events=["message.incoming"], filters=status)["filters.message.status"]
    assert new(events=["*"], filters=status)["filters"] == {"message.status": {"status": ("read",)}}
    assert "message.status" in wrong(STORED, events=["message.incoming"])["events"]
    assert read(STORED, events=["message.incoming"], filters=None)["filters"] == {}


@pytest.mark.parametrize(
    "name", [*sorted(PROTECTED_HEADERS), "X-WhatsSync-Event", "x-whatsync-signature", "CONTENT-TYPE"]
)
def test_headers_of_our_own_are_protected(name: str) -> None:
    assert "can't be overridden" in wrong(headers={name: "x"})[f"headers.{name}"]


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "\x7f", "ü€", "x" * 1025])
def test_header_values_that_can_not_be_carried_are_refused(value: str) -> None:
    assert "value" in wrong(headers={"X-A": value})["headers.X-A"]


def test_header_names_are_compared_without_case() -> None:
    assert "twice" in wrong(headers={"X-A": "1", "x-a": "2"})["headers.x-a"]
    assert "headers" in wrong(headers={f"X-{number}": "1" for number in range(21)})


def test_a_mask_stands_for_a_stored_value_only() -> None:
    assert read(STORED, headers={"x-key": MASK}) == {"headers": {"x-key": MASK}}
    assert "no value is stored" in wrong(STORED, headers={"X-Other": MASK})["headers.X-Other"]
    assert "no value is stored" in wrong(headers={"X-Key": MASK})["headers.X-Key"]


def test_a_schedule_is_seconds_or_text_and_may_be_empty() -> None:
    assert new(retrySchedule=[1, 2.5])["retry_schedule"] == (1.0, 2.5)
    assert new(retrySchedule="")["retry_schedule"] == ()
    assert new(retrySchedule=[])["retry_schedule"] == ()
    assert "5x" in wrong(retrySchedule="5x")["retrySchedule"]
    assert "at most" in wrong(retrySchedule=[1] * 51)["retrySchedule"]


def test_a_secret_is_given_at_the_start_and_rotated_later() -> None:
    good = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
    assert "secret" not in new(secret=good)
    assert "secret" not in new(secret="generate")
    assert "rotate" in wrong(STORED, secret=good)["secret"]
    assert read(STORED, secret=None) == {}


def test_held_is_a_question_of_enabling() -> None:
    assert "held" in wrong(STORED, enabled=False, held="send")
    assert read(STORED, enabled=True, held="send") == {}


def test_metas_format_carries_only_what_has_a_shape_at_meta() -> None:
    assert new(format="meta", events=["*"])["format"] is Format.META
    assert new(format="meta", events=["message.status", "whatsapp.reaction"])["format"] is Format.META
    assert "no shape at Meta" in wrong(format="meta", events=["contact.update"])["events"]
    assert (
        "no shape at Meta" in wrong(msgspec.structs.replace(STORED, events=("media.upload",)), format="meta")["format"]
    )


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="retries"):
        msgspec.convert({"retries": 3}, EndpointForm)
