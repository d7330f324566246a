"""Which body goes out: our envelope, the same with details, or Meta's own where there is one."""

import json

from whatsync.model.endpoint import Endpoint, Format
from whatsync.model.outgoing import Outgoing, outgoing
from whatsync.model.request import attempt_head

BODY = b'{"event":"message.incoming","id":"msg_1","timestamp":"2023-06-15T14:22:33Z","data":{"text":"Hi"}}'
RAW = b'{"object":"whatsapp_business_account","entry":[]}'
DETAILS = b'{"wamid":"wamid.1","raw":%b}'


def endpoint(form: Format = Format.WHATSYNC, details: bool = False) -> Endpoint:
    return Endpoint("ep_1", "https://shop.example/", ("*",), 0, 0, format=form, include_details=details)


def test_our_envelope_is_sent_as_it_is_stored() -> None:
    assert outgoing(endpoint(), BODY, None) == Outgoing(BODY)
    assert outgoing(endpoint(), BODY, DETAILS % RAW) == Outgoing(BODY, "wamid.1")


def test_details_are_added_where_they_are_asked_for() -> None:
    sent = outgoing(endpoint(details=True), BODY, DETAILS % RAW)
    assert json.loads(sent.body)["data"]["details"] == {"wamid": "wamid.1", "raw": json.loads(RAW)}
    assert not sent.meta


def test_metas_own_body_is_sent_where_there_is_one() -> None:
    assert outgoing(endpoint(Format.META), BODY, DETAILS % RAW) == Outgoing(RAW, "wamid.1", meta=True)


def test_what_did_not_come_from_meta_is_sent_in_our_envelope() -> None:
    for raw in (b"null", b'{"shortened":true,"bytes":5}', b'"text"'):
        assert outgoing(endpoint(Format.META), BODY, DETAILS % raw) == Outgoing(BODY, "wamid.1")
    assert outgoing(endpoint(Format.META), BODY, None) == Outgoing(BODY)


def test_metas_header_stands_beside_ours_with_the_same_signature() -> None:
    signatures = bytes(range(32)) * 2
    head = attempt_head("message.incoming", "msg_1", "dlv_1", 1, 1_700_000_000, signatures, 3, meta=True)
    assert b"\r\nX-Hub-Signature-256: sha256=" + signatures[:32].hex().encode() + b"\r\n" in head
    assert b"X-Hub" not in attempt_head("message.incoming", "msg_1", "dlv_1", 1, 1_700_000_000, signatures, 3)
