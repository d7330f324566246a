"""`whatsync trigger`: says whom it reaches, asks before live URLs, shows what became of it."""

import pytest

from tests.cli.conftest import Shell
from tests.patience import PATIENCE_SECONDS
from whatsync.cli.receiver import Receiver
from whatsync.cli.trigger import is_local


@pytest.fixture
def hook(shell: Shell, receiver: Receiver) -> str:
    receiver.secret = shell("accounts", "secret").out.strip()
    url = receiver.url + "/hook"
    shell("endpoints", "create", "--url", url, "--event", "message.status", "--filter", "message.status:status=failed")
    return url


def test_it_arrives_fresh_and_changed(shell: Shell, hook: str, receiver: Receiver) -> None:
    told = shell("trigger", "message.status", "status=failed", "messageId=msg_1")
    assert f"It will reach {hook} (this machine)" in told.err
    assert "succeeded" in told.out
    arrived = receiver.arrivals.get(timeout=PATIENCE_SECONDS)
    assert arrived.verified
    assert b'"messageId":"msg_1","status":"failed"' in arrived.body
    assert b"2023-06-15" not in arrived.body
    assert "x-whatssync-test" not in arrived.headers


def test_filters_and_types_count(shell: Shell, hook: str, receiver: Receiver) -> None:
    for words in (("message.status", "status=read"), ("contact.update",)):
        told = shell("trigger", *words)
        assert "No endpoint wants it" in told.err
    assert receiver.arrivals.empty()


def test_an_outcome_as_json(shell: Shell, hook: str) -> None:
    found = shell("trigger", "message.status", "status=failed", "--json").json
    assert found["event"]["deliveries"] == 1
    assert found["deliveries"][0]["status"] == 200


def test_live_urls_are_asked_about(shell: Shell) -> None:
    shell("endpoints", "create", "--url", "https://live.test/hook", "--event", "*")
    told = shell("trigger", "message.incoming", code=2)
    assert "https://live.test/hook (live)" in told.err
    assert "--yes" in told.err
    assert shell("events", "list", "--json").json["items"] == []


def test_a_delivery_that_fails_is_a_failure(shell: Shell) -> None:
    shell("endpoints", "create", "--url", "http://127.0.0.1:9/", "--event", "*")
    told = shell("trigger", "message.incoming", code=1)
    assert "connection_refused" in told.out
    assert "deliveries attempts" in told.err


def test_a_type_of_ones_own(shell: Shell) -> None:
    shell("event-types", "create", "order.created")
    sent = shell("trigger", "order.created", "total:=17.5", "customer.name=Jane", "--contact", "c1", "--json").json
    kept = shell("events", "get", sent["event"]["id"], "--json").json
    assert kept["data"] == {"total": 17.5, "customer": {"name": "Jane"}}
    assert kept["contact"] == "c1"


def test_as_if_of_a_number(shell: Shell) -> None:
    sent = shell("trigger", "message.incoming", "--number", "106540352242922", "--json").json
    assert shell("events", "get", sent["event"]["id"], "--json").json["number"] == "106540352242922"


def test_what_is_wrong_is_said_before_whom_it_would_reach(shell: Shell, hook: str) -> None:
    shell("endpoints", "create", "--url", "https://live.test/hook", "--event", "*")
    shell("event-types", "create", "order.created")
    deep = "data:=" + "[" * 70 + "]" * 70
    for words in (("message.status", "state=read"), ("message.incoming", "from:=5", "to="), ("order.created", deep)):
        told = shell("trigger", *words, code=2)
        assert "It will reach" not in told.err
        assert "Send it?" not in told.out + told.err
        assert "data" in told.err
    assert "did you mean status?" in shell("trigger", "message.status", "staus=read", code=2).err
    assert shell("events", "list", "--json").json["items"] == []


def test_what_is_not_there(shell: Shell) -> None:
    assert "no event type" in shell("trigger", "nonsense", code=1).err
    assert "nonsense" in shell("trigger", "message.status", "nonsense=1", code=2).err
    assert "FIELD=VALUE" in shell("trigger", "message.status", "nonsense", code=2).err


def test_what_counts_as_this_machine() -> None:
    for url in ("http://localhost:1/x", "http://127.0.0.1/", "http://[::1]:9/", "http://app.localhost/"):
        assert is_local(url), url
    for url in ("https://example.com/", "http://10.0.0.1/", "nonsense"):
        assert not is_local(url), url
