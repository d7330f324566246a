"""The nouns against a real server: what they make, list, change and end, as tables and as the API's own JSON."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Shell
from tests.patience import PATIENCE_SECONDS
from whatsync.cli.attempt_view import show_attempt
from whatsync.cli.client import Client
from whatsync.cli.patience import ask_until
from whatsync.cli.receiver import Receiver


@pytest.fixture
def endpoint(shell: Shell, receiver: Receiver) -> str:
    receiver.secret = shell("accounts", "secret").out.strip()
    made = shell("endpoints", "create", "--url", receiver.url + "/hook", "--event", "*", "--json").json
    return str(made["id"])


@pytest.fixture
def dead(shell: Shell) -> str:
    """An endpoint where nobody listens, tried once."""
    words = ("--url", "http://127.0.0.1:9/", "--event", "*", "--from", "-", "--json")
    made = Shell(shell.environment)("endpoints", "create", *words, given='{"retrySchedule": []}').json
    return str(made["id"])


def send(shell: Shell, text: str = "Hello") -> str:
    words = ("trigger", "message.incoming", f"text={text}", "--wait", "60", "--json")
    return str(json.loads(shell(*words, code=None).out)["event"]["id"])


# Endpoints


def test_endpoints_from_making_to_deleting(shell: Shell, endpoint: str, receiver: Receiver) -> None:
    assert endpoint in shell("endpoints", "list").out
    shown = shell("endpoints", "get", endpoint).out
    assert receiver.url in shown
    assert "health.state" in shown
    words = ("--description", "CRM", "--filter", "message.status:status=failed,read", "--rate-limit", "20", "--json")
    changed = shell("endpoints", "update", endpoint, *words).json
    assert changed["filters"] == {"message.status": {"status": ["failed", "read"]}}
    assert changed["rateLimitPerSecond"] == 20
    number = ("--event", "endpoint.failing", "--filter", "endpoint.failing:failedAttempts=3,4", "--json")
    assert shell("endpoints", "update", endpoint, *number).json["filters"] == {
        "endpoint.failing": {"failedAttempts": [3, 4]}
    }
    refused = shell("endpoints", "update", endpoint, "--filter", "endpoint.failing:failedAttempts=many", code=2).err
    assert 'filters.endpoint.failing.failedAttempts: holds "many"' in refused
    assert (
        shell("endpoints", "update", endpoint, "--reset", "rateLimitPerSecond", "--json").json["description"] == "CRM"
    )
    assert shell("endpoints", "pause", endpoint, "--json").json["enabled"] is False
    assert "held" in shell("endpoints", "enable", endpoint, "--held", "send").out
    assert "deleted" in shell("endpoints", "delete", endpoint, "--yes").out
    assert shell("endpoints", "list", "--json").json["items"] == []
    assert "not_found" not in shell("endpoints", "get", endpoint, code=1).err


def test_an_endpoint_needs_a_url_and_events(shell: Shell) -> None:
    assert "--url" in shell("endpoints", "create", code=2).err
    assert "url" in shell("endpoints", "create", "--url", "ftp://x", "--event", "*", code=2).err
    assert "TYPE:FIELD=VALUE" in shell("endpoints", "update", "ep_x", "--filter", "x", code=2).err
    assert "what to change" in shell("endpoints", "update", "ep_x", code=2).err


def test_an_endpoint_takes_all_that_the_api_takes(shell: Shell) -> None:
    words = ("--url", "http://127.0.0.1:9/", "--event", "message.incoming", "--format", "meta", "--retry-schedule", "")
    made = shell("endpoints", "create", *words, "--header", "X-Team: one", "--header", "Authorization:Bearer a:b")
    assert "meta" in made.out
    assert "none: one try" in made.out
    assert "Bearer" not in made.out
    read = shell("endpoints", "update", made.out.split()[1], "--header", "X-Team: two", "--json").json
    assert list(read["headers"]) == ["X-Team"]
    assert "'NAME: VALUE'" in shell("endpoints", "create", *words, "--header", "nonsense", code=2).err


def test_the_list_of_endpoints_says_which_fail(shell: Shell, endpoint: str, dead: str) -> None:
    send(shell)
    states = dict(line.split()[:2] for line in shell("endpoints", "list").out.splitlines()[1:])
    assert (states[endpoint], states[dead]) == ("healthy", "failing")
    shell("endpoints", "pause", endpoint)
    assert f"{endpoint}  disabled" in shell("endpoints", "list").out


def test_messages_are_listed_by_time(shell: Shell, endpoint: str) -> None:
    event = send(shell)
    assert event in shell("messages", "list", "--since", "1h").out
    assert event not in shell("messages", "list", "--until", "1h").out
    assert "--since" in shell("messages", "list", "--since", "soon", code=2).err


def test_an_id_is_one_word_of_a_path(shell: Shell) -> None:
    for odd in ("../keys", "a/b", "x?y=1", "a#b", "%2e%2e"):
        assert "there is no" in shell("endpoints", "get", odd, code=1).err
    story = json.loads(shell("messages", "get", "wamid.a/b+c==", "--json", code=1).out)
    assert story["verdict"]["code"] == "not_received"


def test_deleting_asks_and_nobody_is_there(shell: Shell, endpoint: str) -> None:
    assert "--yes" in shell("endpoints", "delete", endpoint, code=2).err
    assert endpoint in shell("endpoints", "list").out


def test_secrets_rotate_calmly(shell: Shell, endpoint: str) -> None:
    old = shell("endpoints", "secret", endpoint).out.strip()
    turned = shell("endpoints", "rotate", endpoint)
    new = turned.out.strip()
    assert new.startswith("whsec_")
    assert new != old
    assert "old secret" in turned.err
    assert shell("endpoints", "switch", endpoint, "--json").json["signatureMadeWith"] == "secret"
    leaked = shell("endpoints", "rotate", endpoint, "--leaked", "--yes", "--json").json
    assert leaked["previousSecret"] is None
    assert "--leaked" in shell("endpoints", "rotate", endpoint, "--leaked", "--switch-at", "end", code=2).err


def test_a_secret_of_ones_own_comes_from_a_file(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("whsec_" + "QUJD" * 10 + "\n")
    assert shell("accounts", "rotate", "--secret-file", str(path)).out.strip() == path.read_text().strip()
    assert "whsec_" in shell("accounts", "switch").out


def test_a_test_send_shows_the_answer(shell: Shell, endpoint: str, dead: str, receiver: Receiver) -> None:
    assert "200" in shell("endpoints", "test", endpoint).out
    assert receiver.arrivals.get(timeout=PATIENCE_SECONDS).headers["x-whatssync-test"] == "true"
    failed = shell("endpoints", "test", dead, "--event", "message.status", code=1)
    assert "nothing listens" in failed.out
    assert json.loads(shell("endpoints", "test", dead, "--json", code=1).out)["succeeded"] is False


def test_recover(shell: Shell, endpoint: str) -> None:
    would = shell("endpoints", "recover", endpoint, "--since", "1h", "--dry-run", "--json").json
    assert would["would"] == 0
    job = shell("endpoints", "recover", endpoint, "--since", "1h", "--state", "failed", "--wait", "--json").json
    assert job["state"] == "done"
    assert job["id"] in shell("jobs", "list").out
    assert shell("jobs", "get", job["id"], "--wait", "--json").json["parameters"]["states"] == ["failed"]
    assert "done" in shell("jobs", "cancel", job["id"], code=1).err
    assert "--since" in shell("endpoints", "recover", endpoint, code=2).err


# Events, deliveries, messages


def test_an_events_way(shell: Shell, endpoint: str, receiver: Receiver, api: Client) -> None:
    event = send(shell)
    arrived = receiver.arrivals.get(timeout=PATIENCE_SECONDS)
    assert arrived.verified
    assert event in shell("events", "list", "--event", "message.incoming", "--matched", "--since", "1h").out
    assert json.loads(shell("events", "get", event).out)["data"]["text"] == "Hello"
    assert "succeeded" in shell("events", "deliveries", event).out
    shell("events", "resend", event, "--endpoint", endpoint)
    assert receiver.arrivals.get(timeout=PATIENCE_SECONDS).body == arrived.body
    ask_until(
        lambda: api.get("/v1/deliveries")["items"],
        lambda items: all(item["state"] == "succeeded" for item in items),
        PATIENCE_SECONDS,
    )
    listed = shell("deliveries", "list", "--state", "succeeded", "--endpoint", endpoint, "--json").json["items"]
    assert len(listed) == 2
    shown = shell("deliveries", "attempts", listed[0]["id"]).out
    for part in ("#1", f"POST {receiver.url}", "X-WhatsSync-Signature: ", '"text":"Hello"', "Answer: 200"):
        assert part in shown
    command = shell("deliveries", "attempts", listed[0]["id"], "--curl").out
    subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    again = receiver.arrivals.get(timeout=PATIENCE_SECONDS)
    assert (again.verified, again.body) == (True, arrived.body)
    assert event in shell("deliveries", "get", listed[0]["id"]).out
    assert "succeeded" in shell("deliveries", "retry", listed[0]["id"], code=1).err
    told = shell("messages", "get", event).out
    assert "Hello" in told
    assert event in shell("messages", "list", "--search", event).out
    assert shell("messages", "get", event, "--json").json["verdict"]["code"] == "delivered"


def test_failed_deliveries_are_resent_in_bulk(shell: Shell, dead: str) -> None:
    send(shell)
    words = ("--state", "failed", "--endpoint", dead)
    assert "connection_refused" in shell("deliveries", "list", *words).out
    assert shell("deliveries", "resend", *words, "--dry-run", "--json").json["would"] == 1
    assert shell("deliveries", "resend", *words, "--wait", "--json").json["done"] == 1
    assert "which ones" in shell("deliveries", "resend", code=2).err


def test_a_waiting_delivery_is_cancelled(shell: Shell) -> None:
    made = shell(
        "endpoints", "create", "--url", "http://127.0.0.1:9/", "--event", "*", "--retry-schedule", "1h,1h,1h", "--json"
    )
    send(shell)
    waiting = shell("deliveries", "list", "--endpoint", made.json["id"], "--json").json["items"][0]
    assert waiting["state"] == "retrying"
    assert shell("deliveries", "retry", waiting["id"]).out.strip().endswith(".")
    assert shell("deliveries", "cancel", waiting["id"]).out.strip().endswith(".")


def test_events_from_a_file(shell: Shell, tmp_path: Path) -> None:
    shell("event-types", "create", "order.created", "--description", "An order came in")
    path = tmp_path / "events.json"
    path.write_text(json.dumps([{"event": "order.created", "data": {"n": n}, "id": f"o{n}"} for n in (1, 2)]))
    sent = shell("events", "send", str(path))
    assert sent.out.count("accepted, no endpoint wants it") == 2
    again = shell("events", "send", "-", given=json.dumps({"event": "order.created", "data": {"n": 1}, "id": "o1"}))
    assert "o1" in again.out
    assert shell("events", "list", "--unmatched", "--json").json["items"][0]["event"] == "order.created"
    path.write_text("[")
    assert "is not JSON" in shell("events", "send", str(path), code=2).err
    assert "can't be read" in shell("events", "send", str(tmp_path / "none"), code=2).err
    assert "[0].event" in shell("events", "send", "-", given='[{"data": {}}]', code=2).err


def test_an_idempotency_key_holds(shell: Shell) -> None:
    body = json.dumps({"event": "message.status", "data": {"messageId": "msg_1", "status": "read"}})
    first = shell("events", "send", "-", "--idempotency-key", "k1", "--json", given=body).json
    assert shell("events", "send", "-", "--idempotency-key", "k1", "--json", given=body).json == first


# Types, keys, accounts


def test_event_types(shell: Shell) -> None:
    listed = shell("event-types", "list").out
    assert "message.incoming" in listed
    shown = shell("event-types", "get", "message.status").out
    assert "messageId" in shown
    shell("event-types", "create", "order.paid")
    assert "deleted" in shell("event-types", "delete", "order.paid", "--yes").out
    shell("event-types", "get", "order.paid", code=1)


def test_keys(shell: Shell) -> None:
    made = shell("keys", "create", "shop backend", "--scope", "events:write")
    key = made.out.strip()
    assert key.startswith("wsk_")
    assert key not in shell("keys", "list").out
    limited = Shell({**shell.environment, "WHATSYNC_API_KEY": key})
    assert "scope" in limited("jobs", "list", code=1).err
    named = next(one for one in shell("keys", "list", "--json").json["items"] if one["name"] == "shop backend")
    assert "revoked" in shell("keys", "revoke", named["id"], "--yes").out
    assert "revoked" in limited("jobs", "list", code=1).err
    assert "--scope" in shell("keys", "create", "x", code=2).err
    assert "leave --scope out" in shell("keys", "create", "x", "--operator", "--scope", "read", code=2).err


def test_ones_own_account(shell: Shell) -> None:
    words = ("--name", "Example Ltd", "--alert-email", "ops@example.com", "--json")
    assert shell("accounts", "update", *words).json["alerts"]["emails"] == ["ops@example.com"]
    assert "Example Ltd" in shell("accounts", "get").out
    assert "what to change" in shell("accounts", "update", code=2).err
    assert "scope" in shell("accounts", "list", code=1).err


def test_operators_have_all_accounts(operator: Client, shell: Shell) -> None:
    everyone = Shell({**shell.environment, "WHATSYNC_API_KEY": operator.access.key})
    made = everyone("accounts", "create", "Another", "--retention-days", "7", "--json").json
    assert made["retentionDays"] == 7
    assert made["id"] in everyone("accounts", "list", "--all").out
    link = everyone("accounts", "sign-in-link", made["id"], "--role", "viewer", "--path", "/history")
    assert httpx.get(link.out.strip(), headers={"accept": "text/html"}, timeout=PATIENCE_SECONDS).status_code == 200
    assert "works once" in link.err
    assert everyone("accounts", "sign-in-link", made["id"], "--json").json["purpose"] == "embed"
    assert "role" in everyone("accounts", "sign-in-link", made["id"], "--role", "king", code=2).err
    assert "account" in everyone("endpoints", "list", code=2).err
    assert everyone("endpoints", "list", "--account", made["id"], "--json").json["items"] == []
    assert everyone("accounts", "update", made["id"], "--suspend", "--json").json["suspended"] is True
    assert "operator" in everyone("keys", "list", "--operator").out
    assert "removed" in everyone("accounts", "delete", made["id"], "--yes").out


def test_tests_are_marked_wherever_they_are_listed(shell: Shell, receiver: Receiver) -> None:
    words = ("--url", receiver.url, "--event", "message.incoming", "--json")
    endpoint = shell("endpoints", "create", *words).json["id"]
    shell("endpoints", "create", "--url", f"{receiver.url}/other", "--event", "*", "--json")
    shell("endpoints", "test", endpoint, code=None)
    for noun in ("messages", "events", "deliveries"):
        title, first = shell(noun, "list").out.splitlines()[:2]
        assert "TEST" in title
        assert "test" in first.split()
    story = shell("messages", "list", "--json").json["items"][0]
    assert story["test"] is True
    assert [place["id"] for place in story["endpoints"]] == [endpoint]
    assert "a test" in shell("messages", "get", story["id"]).out


def test_a_story_says_of_each_endpoint_why_not(shell: Shell, endpoint: str, dead: str) -> None:
    words = ("--url", "http://127.0.0.1:9/quiet", "--event", "contact.update", "--json")
    quiet = shell("endpoints", "create", *words).json["id"]
    told = shell("messages", "get", send(shell)).out
    assert endpoint in told
    assert f"{quiet} http://127.0.0.1:9/quiet: nothing sent, it does not subscribe to this type of event" in told
    assert "refused the connection" in told[told.index(dead) :]


def test_messages_by_words_of_their_text(shell: Shell, endpoint: str) -> None:
    del endpoint
    data = {"from": "+491701112230", "to": "+49", "text": "Is the blue jacket still there?"}
    shell("events", "send", "-", given=json.dumps({"event": "message.incoming", "data": data}))
    assert "blue jacket" in shell("messages", "get", "blue jacket").out
    assert "blue jacket" in shell("messages", "list", "-q", "JACKET").out
    assert "with these words" in shell("messages", "get", "green jacket", code=1).err
    assert "messages list --search" in shell("messages", "get", "jacket", code=1).out


def test_messages_of_a_phone_number(shell: Shell, endpoint: str) -> None:
    assert endpoint
    given = json.dumps({"event": "message.incoming", "data": {"from": "+491701112223", "to": "+49", "text": "Hello"}})
    shell("events", "send", "-", given=given)
    for words in ("+491701112223", "+49 170 1112223"):
        assert "+491701112223" in shell("messages", "get", words).out
    assert len(shell("messages", "get", "+491701112223", "--json").json["items"]) == 1
    assert "No message from or to +4917099" in shell("messages", "get", "+4917099", code=1).err


def test_a_message_that_nobody_knows_is_told_by_the_exit_status_too(shell: Shell) -> None:
    assert "knows no message by this name" in shell("messages", "get", "nonsense", code=1).out
    assert json.loads(shell("messages", "get", "nonsense", "--json", code=1).out)["verdict"]["code"] == "not_received"


def test_an_earlier_try_is_shown_whole_when_asked_for(shell: Shell, dead: str) -> None:
    send(shell)
    delivery = shell("deliveries", "list", "--endpoint", dead, "--json").json["items"][0]["id"]
    short, whole = shell("deliveries", "attempts", delivery), shell("deliveries", "attempts", delivery, "--all")
    assert short.out.count("Request: POST ") == 1
    assert whole.out.count("Request: POST ") == whole.out.count("\n#") + 1
    refused = shell("deliveries", "retry", delivery, code=1).err
    assert "whatsync events resend " in refused
    assert "/v1/" not in refused


# Media


def test_a_file_is_uploaded(shell: Shell, endpoint: str, receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    shown = shell("media", "upload", str(file), "--message", "msg_1", "--caption", "Look").out
    assert "image/png" in shown
    made = shell("media", "upload", str(file), "--media-type", "sticker", "--json").json
    assert (made["mediaType"], made["size"], made["deliveries"]) == ("sticker", 108, 1)
    assert "can't be read" in shell("media", "upload", str(tmp_path / "nothing"), code=2).err
    assert "mediaType" in shell("media", "upload", str(file), "--media-type", "film", code=2).err


def test_a_long_answer_is_cut_for_the_eye(capsys: pytest.CaptureFixture[str]) -> None:
    show_attempt({"number": 1, "status": 200, "response": {"body": "x" * 1_500}})
    told = capsys.readouterr().out
    assert "500 more characters" in told
    assert told.count("x") == 1_000
    show_attempt({"number": 1, "status": 200, "response": {"body": "brief"}}, whole=True)
    assert "more characters" not in capsys.readouterr().out


def test_a_person_is_erased(shell: Shell, endpoint: str) -> None:
    event = send(shell)
    assert "--phone" in shell("erase", code=2).err
    assert "--yes" in shell("erase", "--phone", "+1234567890", code=2).err
    assert shell("erase", "--phone", "+1234567890", "--wait", "--yes", "--json").json["state"] == "done"
    assert json.loads(shell("events", "get", event).out)["data"]["text"] is None
