"""The receivers the end-to-end tests rely on must themselves tell right from wrong.
Requests are signed here by hand, from the public document alone, apart from our own signer."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import httpx
import pytest
import standardwebhooks

from tests.receivers.node_receiver import running

# As the public example reads it: "whatsync" with one s in the middle, though the product's name has two.
PUBLIC_HEADER = "X-Whatsync-Signature"
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
BODY = (
    b'{"event":"message.incoming","id":"msg_123456789","timestamp":"2023-06-15T14:22:33Z","data":'
    b'{"from":"+1234567890","to":"+0987654321","text":"\xc3\xa1 \xf0\x9f\x91\x8b \\"\\u0001\\"","media":null,'
    b'"timestamp":"2023-06-15T14:22:30Z"}}'
)


def public_headers(body: bytes, secret: str = SECRET) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", PUBLIC_HEADER: signature}


def standard_headers(body: bytes, at_seconds: int) -> dict[str, str]:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = b"msg_123456789." + str(at_seconds).encode() + b"." + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": "msg_123456789",
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": f"v1,{signature}",
    }


@pytest.mark.parametrize("express_package", ["express", "express-4"])
async def test_documented_example_verifies_and_refuses(node: str, express_package: str) -> None:
    async with (
        running(node, "express_example.js", SECRET, express_package) as receiver,
        httpx.AsyncClient() as client,
    ):
        right = await client.post(receiver.url, content=BODY, headers=public_headers(BODY))
        assert (right.status_code, right.text) == (200, "OK")
        assert await receiver.line() == "Received valid webhook: {"

        tampered = BODY.replace(b"123456789", b"123456780")
        wrong = await client.post(receiver.url, content=tampered, headers=public_headers(BODY))
        assert (wrong.status_code, wrong.text) == (401, "Invalid signature")

        other_secret = await client.post(receiver.url, content=BODY, headers=public_headers(BODY, "whsec_other"))
        assert other_secret.status_code == 401

        unstable = BODY.replace(b'"media":null', b'"media": null')
        spaced = await client.post(receiver.url, content=unstable, headers=public_headers(unstable))
        assert spaced.status_code == 401, "the example signs what JSON.stringify writes, not what was sent"


async def test_official_javascript_library_verifies_and_refuses(node: str) -> None:
    now = int(time.time())
    async with running(node, "standard_webhooks.js", SECRET) as receiver, httpx.AsyncClient() as client:
        right = await client.post(receiver.url, content=BODY, headers=standard_headers(BODY, now))
        assert (right.status_code, right.text) == (200, "OK")
        assert json.loads(await receiver.line()) == json.loads(BODY)

        tampered = BODY.replace(b"123456789", b"123456780")
        wrong = await client.post(receiver.url, content=tampered, headers=standard_headers(BODY, now))
        assert wrong.status_code == 401

        old = await client.post(receiver.url, content=BODY, headers=standard_headers(BODY, now - 3600))
        assert old.status_code == 401


def test_official_python_library_agrees() -> None:
    webhook = standardwebhooks.Webhook(SECRET)
    headers = standard_headers(BODY, int(time.time()))
    assert webhook.verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        webhook.verify(BODY + b" ", headers)


def test_the_program_holds_the_example_word_for_word() -> None:
    """The digest is that of the public document's example: an edit of this copy must not go unseen."""
    program = (Path(__file__).parent / "express_example.js").read_text(encoding="utf-8")
    example = program.split("example begins\n")[1].split("// ---- the document's example ends")[0]
    digest = hashlib.sha256(example.encode()).hexdigest()
    assert digest == "4a3ff35a7dcfdd92a0578afe80231f04cf3ebed753af38823750b732ce6f08ca", digest
