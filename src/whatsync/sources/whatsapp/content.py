"""What a person wrote: the text and the file of a message of any type, and what else its type tells. Pure.

Whatever is missing or of another type is left out; nothing here raises on JSON.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from whatsync.model import limits
from whatsync.model.canonical import encode_lenient
from whatsync.sources.whatsapp.values import Fields, fields, phone, text, word, written

FILE_TYPES = ("image", "video", "audio", "voice", "document", "sticker")
CAPTIONED = frozenset({"image", "video", "document"})
BESIDE = frozenset({"reaction", "edit", "revoke", "system", "request_welcome"})
"""Types of message by which nobody writes anything new: they are ``whatsapp.…`` events."""
_KNOWN_TYPES = (*FILE_TYPES, "text", "location", "contacts", "interactive", "button", "order", *sorted(BESIDE))


class Attached(msgspec.Struct, frozen=True):
    """The file of a message, as told."""

    media_type: str
    media_id: str | None
    mime_type: str | None
    caption: str | None
    sha256: str | None
    filename: str | None
    url: str | None


class Content(msgspec.Struct, frozen=True):
    """What a message holds. ``details`` by the names of ``model.details.Details``."""

    type: str | None
    text: str | None = None
    attached: Attached | None = None
    details: dict[str, Any] = {}


def type_of(message: Fields) -> str | None:
    """The message's type; one that is missing is told by what the message holds."""
    found = word(message.get("type"))
    if found is not None:
        return found
    return next((name for name in _KNOWN_TYPES if isinstance(message.get(name), dict | list)), None)


def content_of(message: Fields) -> Content:
    """Read a message."""
    kind = type_of(message)
    if kind in FILE_TYPES:
        return _file(kind, fields(message.get(kind)))
    reader = _READERS.get(kind or "")
    if reader is None:
        return Content(kind)
    said, details = reader(message)
    return Content(kind, said, None, details)


def _file(kind: str, given: Fields) -> Content:
    caption = written(given.get("caption"))
    media_type = "voice" if kind == "audio" and given.get("voice") is True else kind
    attached = Attached(
        media_type,
        text(given.get("id")),
        word(given.get("mime_type")),
        caption,
        word(given.get("sha256")),
        text(given.get("filename")),
        text(given.get("url"), limits.MEDIA_URL_CHARS_MAX),
    )
    return Content(kind, caption if kind in CAPTIONED else None, attached)


Said = tuple[str | None, dict[str, Any]]


def _text(message: Fields) -> Said:
    return written(fields(message.get("text")).get("body")), {}


def _location(message: Fields) -> Said:
    given = fields(message.get("location"))
    latitude, longitude = word(given.get("latitude")), word(given.get("longitude"))
    lines = [f"geo:{latitude},{longitude}"] if latitude and longitude else []
    lines += [line for name in ("name", "address") if (line := written(given.get(name)))]
    told = {name: given[name] for name in ("latitude", "longitude", "name", "address") if name in given}
    return _joined(lines), {"location": told or None}


def _contacts(message: Fields) -> Said:
    given = message.get("contacts")
    lines = [_card(card) for card in given if isinstance(card, dict)] if isinstance(given, list) else []
    return _joined([line for line in lines if line]), {}


def _card(card: Fields) -> str | None:
    name = fields(card.get("name"))
    parts = (text(name.get("first_name")), text(name.get("last_name")))
    shown = text(name.get("formatted_name")) or " ".join(filter(None, parts))
    listed = card.get("phones")
    phones = [_card_phone(fields(one)) for one in listed] if isinstance(listed, list) else []
    numbers = ", ".join(dict.fromkeys(filter(None, phones)))
    return f"{shown}: {numbers}" if shown and numbers else shown or numbers or None


def _card_phone(given: Fields) -> str | None:
    return phone(given.get("wa_id")) or phone(given.get("phone")) or text(given.get("phone"))


def _interactive(message: Fields) -> Said:
    given = fields(message.get("interactive"))
    kind = word(given.get("type")) or next((name for name in given if name.endswith("_reply")), "")
    answer = fields(given.get(kind))
    if kind == "nfm_reply":
        response = answer.get("response_json")
        said = written(response) if isinstance(response, str) else None
        if said is None and response is not None:
            said = encode_lenient(response).decode()[: limits.TEXT_CHARS_MAX]
        return said, {}
    said = written(answer.get("title")) or written(answer.get("text"))
    chosen = "list_id" if kind == "list_reply" else "button_id"
    return said, {chosen: written(answer.get("id"))}


def _button(message: Fields) -> Said:
    given = fields(message.get("button"))
    return written(given.get("text")), {"button_id": written(given.get("payload"))}


def _order(message: Fields) -> Said:
    given = fields(message.get("order"))
    said = written(given.get("text"))
    if said is not None:
        return said, {}
    listed = given.get("product_items")
    lines = [_item(fields(item)) for item in listed] if isinstance(listed, list) else []
    return _joined([line for line in lines if line]), {}


def _item(item: Fields) -> str | None:
    product = text(item.get("product_retailer_id"))
    if product is None:
        return None
    count, price, currency = (word(item.get(name)) for name in ("quantity", "item_price", "currency"))
    cost = f", {price} {currency or ''}".rstrip() + " each" if price else ""
    return f"{count or '1'} × {product}{cost}"


def _joined(lines: list[str]) -> str | None:
    return "\n".join(lines)[: limits.TEXT_CHARS_MAX] or None


_READERS: dict[str, Callable[[Fields], Said]] = {
    "text": _text,
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
}
