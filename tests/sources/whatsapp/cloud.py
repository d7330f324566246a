"""Cloud API bodies as Meta sends them, made of nothing but invention: one builder for each kind of element."""

import json
from typing import Any

from whatsync.sources.whatsapp.signature import sign

NUMBER = "700000000000001"
DISPLAY = "15550100200"
BUSINESS = "800000000000001"
PERSON = "491700000001"
USER = "DE.7700000000000001"
SECRET = "0123456789abcdef0123456789abcdef"
AT = 1_800_000_000

Element = dict[str, Any]


def card(person: str | None = PERSON, name: str | None = "Ada Example", user: str | None = None) -> Element:
    """An entry of ``contacts``."""
    made: Element = {}
    if name is not None:
        made["profile"] = {"name": name}
    if person is not None:
        made["wa_id"] = person
    if user is not None:
        made["user_id"] = user
    return made


def message(
    wamid: str = "wamid.one", kind: str = "text", at: int = AT, person: str = PERSON, **content: Any
) -> Element:
    """An element of ``messages``."""
    if kind == "text" and "text" not in content:
        content["text"] = {"body": "Hello, is this the shop?"}
    return {"from": person, "id": wamid, "timestamp": str(at), **content, "type": kind}


def status(wamid: str = "wamid.out", said: str = "delivered", at: int = AT, **more: Any) -> Element:
    """An element of ``statuses``."""
    return {"id": wamid, "status": said, "timestamp": str(at), "recipient_id": PERSON, **more}


def value(number: str = NUMBER, display: str = DISPLAY, **lists: Any) -> Element:
    """A change's value."""
    metadata = {"display_phone_number": display, "phone_number_id": number}
    return {"messaging_product": "whatsapp", "metadata": metadata, **lists}


def change(given: Element, field: str = "messages") -> Element:
    """A change."""
    return {"value": given, "field": field}


def body(*changes: Element, business: str = BUSINESS, **entry: Any) -> Element:
    """A whole body with one entry."""
    given = {"id": business, **entry, "changes": list(changes)}
    return {"object": "whatsapp_business_account", "entry": [given]}


def incoming(*messages: Element, number: str = NUMBER, contacts: list[Element] | None = None) -> Element:
    """A body with messages of one number and their senders."""
    lists: Element = {} if contacts == [] else {"contacts": contacts or [card()]}
    return body(change(value(number, **lists, messages=list(messages))))


def statuses(*given: Element, number: str = NUMBER) -> Element:
    """A body with statuses of one number."""
    return body(change(value(number, statuses=list(given))))


def escaped(given: Any) -> bytes:
    """The bytes Meta sends: all but ASCII escaped, slashes too."""
    return json.dumps(given, separators=(",", ":")).replace("/", "\\/").encode()


def signed(raw: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers of a signed request."""
    return {"content-type": "application/json", "x-hub-signature-256": sign(secret, raw)}
