"""One change of a Cloud API body: whose it is, who is in it, and Meta's envelope around a single element. Pure."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from whatsync.model.canonical import encode_lenient
from whatsync.model.ids import derived_id
from whatsync.sources.whatsapp.values import Fields, fields, moment_ms, number_id, phone, text, user_id

_LISTS = frozenset(
    {"messages", "statuses", "message_echoes", "state_sync", "history", "calls", "user_preferences", "groups"}
    | {"user_id_update", "contacts"}
)
"""Members of a value that hold elements: the envelope of one element holds none of the others."""


class Person(msgspec.Struct, frozen=True):
    """Somebody as one element names him."""

    phone: str | None = None
    user_id: str | None = None
    name: str | None = None
    card: Fields | None = None
    """The entry of ``contacts`` that is his."""

    @property
    def words(self) -> tuple[str, ...]:
        """The names he goes by."""
        return words_of(self.phone, self.user_id)


def words_of(phone_number: str | None, user: str | None) -> tuple[str, ...]:
    """The words of a phone number and a user id."""
    found = (("phone:", phone_number), ("user:", user))
    return tuple(kind + name for kind, name in found if name is not None)


@dataclass(frozen=True)
class Change:
    """A change and what stands around it."""

    kind: str | None
    """The body's ``object``."""
    entry: Fields
    field: str
    value: Fields
    path: str
    received_ms: int

    @cached_property
    def business(self) -> str | None:
        """The business account it came for (WABA)."""
        return text(self.entry.get("id"))

    @cached_property
    def number(self) -> str | None:
        """The business number it is about, ``None`` for the account's own affairs."""
        return number_id(fields(self.value.get("metadata")).get("phone_number_id"))

    @cached_property
    def display(self) -> str | None:
        """That number as people write it."""
        given = fields(self.value.get("metadata")).get("display_phone_number")
        return phone(given) or phone(self.value.get("display_phone_number"))

    @cached_property
    def at_ms(self) -> int:
        """When Meta sent it; when it came, where it does not say."""
        return moment_ms(self.entry.get("time")) or self.received_ms

    def about(self, *ids: object) -> Person:
        """The person behind ids of an element, with his entry of ``contacts``."""
        number = next((found for found in map(_plain_phone, ids) if found), None)
        user = user_id(*ids)
        card = self._card(number, user)
        if card is None:
            return Person(number, user)
        profile = fields(card.get("profile"))
        name = _name(profile.get("name")) or _name(profile.get("username"))
        return Person(
            number or _plain_phone(card.get("wa_id")),
            user or user_id(card.get("user_id"), card.get("wa_id")) or text(card.get("user_id"), 256),
            name,
            card,
        )

    def _card(self, number: str | None, user: str | None) -> Fields | None:
        listed = self.value.get("contacts")
        cards = [card for card in listed if isinstance(card, dict)] if isinstance(listed, list) else []
        for card in cards:
            if user is not None and user_id(card.get("user_id"), card.get("wa_id")) == user:
                return card
        for card in cards:
            if number is not None and phone(card.get("wa_id")) == number:
                return card
        # Brazil and Mexico write one number in two ways; one card beside one element is its own.
        alone = len(cards) == 1 and (number is None or phone(cards[0].get("wa_id")) is None)
        return cards[0] if alone and user is None else None

    def narrowed(self, name: str | None, element: Any, card: Fields | None = None) -> Fields:
        """The value with a single element in it, and only the person it is about. Without a name, the whole value."""
        if name is None:
            return self.value
        kept: Fields = {}
        for key, value in self.value.items():
            if key == name:
                kept[key] = [element]
            elif key == "contacts" and card is not None:
                kept[key] = [card]
            elif key not in _LISTS:
                kept[key] = value
        return kept

    def envelope(self, value: Fields) -> Fields:
        """A body as Meta would have sent it with this value alone."""
        entry = {name: self.entry[name] for name in ("id", "time") if name in self.entry}
        return {"object": self.kind, "entry": [{**entry, "changes": [{"value": value, "field": self.field}]}]}

    def id_by_content(self, event_type: str, element: Any) -> str:
        """An id for what has none of its own: made of all it says and when it was sent."""
        time = text(self.entry.get("time")) or ""
        return derived_id(
            "evt_", self.number or self.business or "", event_type, time, encode_lenient(element).decode()
        )


def _plain_phone(value: object) -> str | None:
    return None if user_id(value) else phone(value)


def _name(value: object) -> str | None:
    found = text(value, 1_024)
    return found.strip() or None if found is not None else None
