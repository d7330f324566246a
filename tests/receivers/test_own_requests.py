"""Requests as our own code writes them, byte for byte, before receivers that have never heard of it."""

import asyncio
import time

import pytest

from tests.receivers.node_receiver import running
from whatsync.model.request import attempt_head, fixed_head
from whatsync.model.signature import Signer
from whatsync.model.url import Target, parse_url

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
OLD_SECRET = "whsec_FxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
BODY = '{"event":"contact.update","id":"contact_update_1","data":{"name":"Zoë 👋"}}'.encode()


async def status(url: str, signer: Signer, body: bytes = BODY) -> int:
    """Send one attempt over a plain socket and give the status of the answer."""
    target = parse_url(url)
    assert isinstance(target, Target)
    now = int(time.time())
    signatures = signer.sign("contact_update_1", now, BODY)
    head = fixed_head(target, {"X-Own": "1"}) + attempt_head(
        "contact.update", "contact_update_1", "dlv_1", 1, now, signatures, len(body)
    )
    reader, writer = await asyncio.open_connection(target.host, target.port)
    writer.write(head + body)
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


@pytest.mark.parametrize("express_package", ["express", "express-4"])
async def test_the_documented_example_accepts_our_requests(node: str, express_package: str) -> None:
    async with running(node, "express_example.js", SECRET, express_package) as receiver:
        assert await status(receiver.url, Signer(SECRET, [SECRET])) == 200
        assert await status(receiver.url, Signer(SECRET, [SECRET]), BODY.replace(b"_1", b"_2")) == 401
        assert await status(receiver.url, Signer(OLD_SECRET, [SECRET])) == 401


async def test_the_official_library_accepts_our_requests_in_the_middle_of_a_rotation(node: str) -> None:
    async with running(node, "standard_webhooks.js", SECRET) as receiver:
        assert await status(receiver.url, Signer(OLD_SECRET, [OLD_SECRET, SECRET])) == 200
        assert await status(receiver.url, Signer(OLD_SECRET, [OLD_SECRET])) == 401
