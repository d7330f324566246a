"""The demo's part about WhatsApp: bodies as Meta's Cloud API posts them, signed with an app secret, to the source.

Written as Meta would, apart from our own code for sources. What is in the bodies is invented.
"""

import hashlib
import hmac
import json
from typing import Any

import httpx

from whatsync.cli.client import Client
from whatsync.cli.failure import Failure

NUMBER = "106540352242922"
_APP_SECRET = "0123456789abcdef0123456789abcdef"
_SECONDS = 20


class MetaStandIn:
    """Stands in Meta's place: has an app whose callback is a source of the demo's server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.path = ""

    def connect(self) -> None:
        """Make the source and its number."""
        account = self._client.get("/v1/account")["id"]
        form = {"name": "Demo app", "appSecret": _APP_SECRET, "account": account}
        source = self._client.post("/v1/sources", form)["id"]
        self._client.post("/v1/numbers", {"phoneNumberId": NUMBER, "source": source, "account": account})
        self.path = f"/sources/whatsapp/{source}"

    def post(self, body: bytes) -> None:
        """Post a body, signed as Meta signs. Raises Failure where it is not taken."""
        signature = "sha256=" + hmac.new(_APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-hub-signature-256": signature}
        url = self._client.access.url + self.path
        answer = httpx.post(url, content=body, headers=headers, timeout=_SECONDS, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise Failure(f"the source answered {answer.status_code}. Please report this with what stands above")


def message(at_s: int) -> bytes:
    """Somebody writes to the business for the first time."""
    card = {"profile": {"name": "Zoë Example"}, "wa_id": "15550133333"}
    text = {"body": "Hi! Is the blue one still there? 💙"}
    given = {"from": "15550133333", "id": "wamid.HBgLMTU1NTAxMzMzMzMVAgASGBQz", "timestamp": str(at_s)}
    return _body({"contacts": [card], "messages": [{**given, "text": text, "type": "text"}]})


def status(at_s: int) -> bytes:
    """What the business wrote has been read."""
    given = {"id": "wamid.HBgLMTU1NTAxMzMzMzMVAgARGBI5", "status": "read", "timestamp": str(at_s)}
    return _body({"statuses": [{**given, "recipient_id": "15550133333"}]})


def _body(lists: dict[str, Any]) -> bytes:
    metadata = {"display_phone_number": "15550100200", "phone_number_id": NUMBER}
    value = {"messaging_product": "whatsapp", "metadata": metadata, **lists}
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    given = {"object": "whatsapp_business_account", "entry": [entry]}
    return json.dumps(given, separators=(",", ":")).replace("/", "\\/").encode()
