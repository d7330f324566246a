"""``verify`` takes what is right, and for each usual mistake names that mistake."""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.secret import new_secret
from whatsync.model.signature import hex_signature, standard_signature
from whatsync.model.verification import verify

SECRET = new_secret(bytes(range(24)))
PART = SECRET.removeprefix("whsec_")
OTHER = new_secret(bytes(24))
NOW_S = 1_700_000_000
BODY = (
    '{"event":"message.incoming","id":"msg_1","timestamp":"2023-06-15T14:22:33Z","data":{"from":"+1234567890",'
    '"to":"+0987654321","text":"Olá / 👋","media":null,"timestamp":"2023-06-15T14:22:30Z"}}'
).encode()


def signed(body: bytes = BODY, secret: str = SECRET, at_s: int = NOW_S) -> dict[str, str]:
    return {
        "X-WhatsSync-Signature": hex_signature(secret, body),
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(at_s),
        "Webhook-Signature": standard_signature(secret, "msg_1", at_s, body),
    }


def codes(headers: dict[str, str], body: bytes = BODY, secret: str = SECRET) -> list[str]:
    report = verify(headers, body, secret, NOW_S)
    assert report.ok == all(finding.ok for finding in report.findings)
    assert all(finding.sentence for finding in report.findings)
    assert SECRET not in repr(report)
    assert PART not in repr(report)
    return [finding.code for finding in report.findings]


def test_a_right_request() -> None:
    assert codes(signed()) == ["ok", "ok"]
    assert verify(signed(), BODY, SECRET, NOW_S).ok


@given(body=st.binary(max_size=300))
def test_any_right_body(body: bytes) -> None:
    assert codes(signed(body), body) == ["ok", "ok"]


def test_one_kind_alone_is_enough() -> None:
    every = signed()
    assert codes({"x-whatsync-signature": every["X-WhatsSync-Signature"]}) == ["ok"]
    del every["X-WhatsSync-Signature"]
    assert codes(every) == ["ok"]


def test_during_a_rotation_any_of_the_values_may_fit() -> None:
    headers = signed()
    headers["Webhook-Signature"] = standard_signature(OTHER, "msg_1", NOW_S, BODY) + " " + headers["Webhook-Signature"]
    assert codes(headers) == ["ok", "ok"]


REWRITES: dict[str, Callable[[bytes], bytes]] = {
    "body_trailing_newline": lambda body: body + b"\n",
    "body_trailing_newline ": lambda body: body + b"\r\n",
    "body_white_space": lambda body: b"  " + body,
    "body_byte_order_mark": lambda body: b"\xef\xbb\xbf" + body,
    "body_wrong_encoding": lambda body: body.decode("latin-1").encode("utf-8"),
    "body_rewritten": lambda body: json.dumps(json.loads(body)).encode(),
    "body_rewritten ": lambda body: json.dumps(json.loads(body), ensure_ascii=False, indent=2).encode(),
    "body_rewritten  ": lambda body: body.replace(b"/", b"\\/"),
    "body_rewritten   ": lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
    "body_reordered": lambda body: json.dumps(json.loads(body), sort_keys=True).encode(),
    "body_quoted": lambda body: json.dumps(body.decode()).encode(),
    "no_match": lambda body: body.replace(b"+1234567890", b"+1234567891"),
}


@pytest.mark.parametrize("code", REWRITES)
def test_a_body_that_was_changed_on_the_way(code: str) -> None:
    changed = REWRITES[code](BODY)
    assert changed != BODY
    assert codes(signed(), changed) == [code.strip()] * 2


def test_a_body_that_lost_its_line_break() -> None:
    assert codes(signed(BODY + b"\n"), BODY) == ["body_trailing_newline"] * 2


def test_escapes_are_named() -> None:
    report = verify(signed(), REWRITES["body_rewritten   "](BODY), SECRET, NOW_S)
    assert "beyond ASCII" in report.findings[0].sentence
    report = verify(signed(), REWRITES["body_rewritten  "](BODY), SECRET, NOW_S)
    assert "slashes" in report.findings[0].sentence


def hex_with(key: bytes) -> dict[str, str]:
    return {"X-WhatsSync-Signature": hmac.new(key, BODY, hashlib.sha256).hexdigest()}


def standard_with(key: bytes, content: bytes | None = None) -> dict[str, str]:
    content = f"msg_1.{NOW_S}.".encode() + BODY if content is None else content
    value = b64encode(hmac.digest(key, content, "sha256")).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(NOW_S), "webhook-signature": f"v1,{value}"}


@pytest.mark.parametrize(
    ("headers", "secret", "code"),
    [
        (hex_with(PART.encode()), SECRET, "secret_without_prefix"),
        (hex_with(bytes(range(24))), SECRET, "secret_decoded"),
        (hex_with(SECRET.encode()), PART, "secret_not_whole"),
        (hex_with(SECRET.encode()), SECRET + "\n", "secret_not_bare"),
        (hex_with(SECRET.encode()), f'"{SECRET}"', "secret_not_bare"),
        (hex_with(SECRET.encode() + b"\n"), SECRET, "secret_not_bare"),
        (hex_with(OTHER.encode()), SECRET, "no_match"),
        (standard_with(SECRET.encode()), SECRET, "secret_not_decoded"),
        (standard_with(PART.encode()), SECRET, "secret_not_decoded"),
        (standard_with(bytes(range(24))), PART, "ok"),
        (standard_with(bytes(range(24))), f" {SECRET}", "secret_not_bare"),
        (standard_with(bytes(range(24)), BODY), SECRET, "signed_body_alone"),
    ],
)
def test_a_secret_that_was_misread(headers: dict[str, str], secret: str, code: str) -> None:
    assert codes(headers, secret=secret)[0] == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"webhook-timestamp": None}, "missing_header"),
        ({"webhook-id": ""}, "missing_header"),
        ({"webhook-signature": None}, "missing_header"),
        ({"webhook-timestamp": "2023-11-14T22:13:20Z"}, "malformed_timestamp"),
        ({"webhook-timestamp": "-5"}, "malformed_timestamp"),
        ({"webhook-signature": "v2,abc v1 v1,abc"}, "malformed_signature"),
        ({"webhook-id": "msg_2"}, "no_match"),
    ],
)
def test_standard_headers_that_are_wrong(change: dict[str, str | None], code: str) -> None:
    headers = {**standard_with(bytes(range(24))), **change}
    assert codes({name: value for name, value in headers.items() if value is not None}) == [code]


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda value: "sha256=" + value, "prefixed_signature"),
        (lambda value: value.upper(), "upper_case_signature"),
        (lambda value: b64encode(bytes.fromhex(value)).decode(), "base64_signature"),
        (lambda value: value[:-1], "malformed_signature"),
        (lambda value: "", "malformed_signature"),
        (lambda value: f" {value} ", "ok"),
    ],
)
def test_a_hex_signature_in_another_form(write: Callable[[str], str], code: str) -> None:
    assert codes({"X-WhatsSync-Signature": write(hex_signature(SECRET, BODY))}) == [code]


def test_age_is_judged_where_the_time_is_known() -> None:
    for at_s, code in ((NOW_S - 301, "timestamp_too_old"), (NOW_S + 301, "timestamp_too_new"), (NOW_S - 300, "ok")):
        assert codes(signed(at_s=at_s)) == ["ok", code]
        assert verify(signed(at_s=at_s), BODY, SECRET).ok


def test_a_request_without_a_signature() -> None:
    assert codes({"Content-Type": "application/json"}) == ["missing_header"]
    report = verify({"X-Hub-Signature-256": "sha256=…"}, BODY, SECRET)
    assert "Meta" in report.findings[0].sentence


def test_a_malformed_secret_is_said() -> None:
    assert codes(signed(), secret="whsec_abc") == ["no_match", "no_match", "malformed_secret"]
    assert not verify(signed(), BODY, "").ok
