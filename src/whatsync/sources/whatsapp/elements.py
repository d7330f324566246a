"""From single elements of a change to the events they become: messages, statuses, and all else Meta says. Pure.

A field that is missing or of another type loses only itself; an element nothing can be made of is set aside.
"""

import re
from typing import Any

import msgspec

from whatsync.model.arrival import Arrival, File, SetAside, Sighting
from whatsync.model.catalogue import WHATSAPP_PREFIX
from whatsync.model.documented import Media, MessageIncoming, MessageStatus
from whatsync.model.ids import derived_id, message_id
from whatsync.sources.whatsapp.changes import Change, Person, words_of
from whatsync.sources.whatsapp.codes import explained
from whatsync.sources.whatsapp.content import BESIDE, Attached, content_of, type_of
from whatsync.sources.whatsapp.values import Fields, fields, moment_ms, phone, text, time_text, user_id, word

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_]+")
_ABOUT = {"reaction": "message_id", "edit": "original_message_id", "revoke": "original_message_id"}
"""For types of message that are about another one: where its wamid stands."""


def type_name(kind: str | None) -> str:
    """The event type of what Meta calls ``kind``."""
    cleaned = _NOT_IN_A_NAME.sub("_", (kind or "").lower()).strip("_")[:64]
    return WHATSAPP_PREFIX + (cleaned or "unknown")


def message(change: Change, element: Fields, path: str) -> Arrival | SetAside:
    """One element of ``messages``."""
    number = change.number
    assert number is not None
    wamid = text(element.get("id"))
    reference = wamid or derived_id("", number, repr(sorted(element.items(), key=lambda item: item[0])))
    person = change.about(element.get("from"), element.get("from_user_id"))
    if type_of(element) in BESIDE:
        return _beside(change, element, path, person, reference)
    sender = text(element.get("from"), 256)
    sender = person.phone or sender or person.user_id
    if sender is None:
        sentence = "the message does not say who wrote it: from and from_user_id are missing"
        return SetAside(path, "no_sender", sentence, number, wamid)
    content = content_of(element)
    identity = message_id(number, reference)
    data = MessageIncoming(
        from_=sender,
        to=change.display or number,
        text=content.text,
        media=_media(content.attached),
        timestamp=time_text(element.get("timestamp")),
    )
    errors = element.get("errors") or change.value.get("errors")
    value = change.narrowed("messages", element, person.card)
    details = {
        **_who(change, element, person, wamid, content.type),
        "reply_to": _replied_to(number, element),
        "referral": element.get("referral") if isinstance(element.get("referral"), dict) else None,
        "error": explained(errors),
        **content.details,
        "raw": change.envelope(value),
    }
    return Arrival(
        "message.incoming",
        identity,
        number,
        change.business,
        data,
        details,
        path,
        sighting=_sighting(change, element, person, reference),
        file=_file(number, reference, content.attached),
        at_ms=moment_ms(element.get("timestamp")) or change.at_ms,
    )


def _who(change: Change, element: Fields, person: Person, wamid: str | None, kind: str | None) -> dict[str, Any]:
    return {
        "number": change.number,
        "wamid": wamid,
        "type": kind,
        "profile_name": person.name,
        "user_id": person.user_id or user_id(element.get("from_user_id")),
    }


def _media(attached: Attached | None) -> Media | None:
    if attached is None:
        return None
    return Media(attached.media_type, None, attached.mime_type, attached.caption)


def _file(number: str, reference: str, attached: Attached | None) -> File | None:
    if attached is None or attached.media_id is None:
        return None
    return File(
        id=derived_id("media_", number, reference, attached.media_id),
        media_id=attached.media_id,
        media_type=attached.media_type,
        mime_type=attached.mime_type,
        sha256=attached.sha256,
        caption=attached.caption,
        filename=attached.filename,
        url=attached.url,
    )


def _replied_to(number: str, element: Fields) -> str | None:
    about = text(fields(element.get("context")).get("id"))
    return None if about is None else message_id(number, about)


def _sighting(change: Change, element: Fields, person: Person, reference: str) -> Sighting | None:
    if not person.words or change.number is None:
        return None
    return Sighting(
        number=change.number,
        words=person.words,
        at_ms=moment_ms(element.get("timestamp")) or change.at_ms,
        reference=reference,
        phone=person.phone,
        user_id=person.user_id,
        name=person.name,
    )


# What stands beside messages


def _beside(change: Change, element: Fields, path: str, person: Person, reference: str) -> Arrival:
    """A reaction, an edit, a change of number: an event of its own type."""
    number, kind = change.number or "", type_of(element)
    event_type = type_name(kind)
    about = text(fields(element.get(kind or "")).get(_ABOUT.get(kind or "", "")))
    related = None if about is None else message_id(number, about)
    sighting = _moved(change, element, person, reference) if kind == "system" else None
    value = change.narrowed("messages", element, person.card)
    return Arrival(
        event_type,
        derived_id("evt_", number, event_type, reference),
        number,
        change.business,
        value,
        {
            **_who(change, element, person, text(element.get("id")), kind),
            "reply_to": related,
            "error": explained(element.get("errors")),
            "raw": change.envelope(value),
        },
        path,
        sighting=sighting or _sighting(change, element, person, reference),
        contact=person.phone or person.user_id,
        message_id=related,
        at_ms=moment_ms(element.get("timestamp")) or change.at_ms,
    )


def _moved(change: Change, element: Fields, person: Person, reference: str) -> Sighting | None:
    """A person has another number or user id from now on."""
    system = fields(element.get("system"))
    to_phone = phone(system.get("wa_id")) or phone(system.get("new_wa_id"))
    to_user = user_id(system.get("user_id"))
    kind = word(system.get("type"))
    if kind not in {"user_changed_number", "user_changed_user_id"} or (to_phone is None and to_user is None):
        return None
    return Sighting(
        number=change.number or "",
        words=words_of(to_phone, to_user),
        at_ms=moment_ms(element.get("timestamp")) or change.at_ms,
        reference=reference,
        phone=to_phone,
        user_id=to_user,
        name=person.name,
        former=person.words,
    )


# Statuses


def status(change: Change, element: Fields, path: str) -> Arrival | SetAside:
    """One element of ``statuses``."""
    number = change.number
    assert number is not None
    wamid, said = text(element.get("id")), word(element.get("status"))
    if wamid is None or said is None:
        missing = "id" if wamid is None else "status"
        return SetAside(path, "no_" + missing, f"the status has no {missing}", number, wamid)
    group = word(element.get("recipient_type")) == "group"
    ids = ("recipient_participant_id", "recipient_participant_user_id") if group else ()
    person = change.about(
        *(element.get(name) for name in (*ids, "recipient_id", "recipient_user_id", "recipient_parent_user_id"))
    )
    recipient = person.phone or person.user_id or text(element.get("recipient_id"), 256)
    participant = next((found for name in ids if (found := text(element.get(name)))), "")
    said, about = said.lower(), message_id(number, wamid)
    value = change.narrowed("statuses", element, person.card)
    return Arrival(
        "message.status",
        derived_id("status_", number, wamid, said, participant),
        number,
        change.business,
        MessageStatus(about, said, time_text(element.get("timestamp"))),
        {
            "number": number,
            "wamid": wamid,
            "type": "status",
            "profile_name": person.name,
            "user_id": person.user_id,
            "recipient": recipient,
            "error": explained(element.get("errors")),
            "raw": change.envelope(value),
        },
        path,
        # Without a name there is nothing new to know of whom the business writes to itself.
        sighting=_sighting(change, element, person, f"{wamid}:{said}") if person.name else None,
        contact=recipient,
        message_id=about,
        at_ms=moment_ms(element.get("timestamp")) or change.at_ms,
    )


# All else


def other(change: Change, name: str | None, element: Any, path: str, value: Fields | None = None) -> Arrival:
    """Whatever Meta says under a field of its own; ``name`` is the list the element stands in."""
    event_type = type_name(change.field if name != "errors" else "errors")
    inner = fields(element)
    person = change.about(*(inner.get(key) for key in ("wa_id", "user_id", "to", "from", "to_user_id", "from_user_id")))
    if value is None:
        value = change.narrowed(name, element, person.card)
    wamid = text(inner.get("id")) if name in {"messages", "message_echoes"} else None
    if wamid is not None:
        identity = derived_id("evt_", change.number or change.business or "", event_type, wamid)
    else:
        identity = change.id_by_content(event_type, element)
    return Arrival(
        event_type,
        identity,
        change.number,
        change.business,
        value,
        {
            "number": change.number,
            "wamid": wamid,
            "type": type_of(inner) if wamid is not None else word(inner.get("event")),
            "user_id": person.user_id,
            "raw": change.envelope(value),
        },
        path,
        message_id=None if wamid is None or change.number is None else message_id(change.number, wamid),
        display_number=change.display,
        at_ms=moment_ms(inner.get("timestamp")) or change.at_ms,
    )


def renamed(change: Change, element: Fields) -> Sighting | None:
    """A user id that has changed (``user_id_update``)."""
    ids = fields(element.get("user_id"))
    before, after = user_id(ids.get("previous")), user_id(ids.get("current"))
    number = phone(element.get("wa_id"))
    if change.number is None or after is None:
        return None
    at_ms = moment_ms(element.get("timestamp")) or change.at_ms
    former = words_of(number, before)
    return Sighting(change.number, words_of(number, after), at_ms, after, number, after, former=former)


def synced(change: Change, element: Fields) -> Sighting | None:
    """An entry of the address book on the business's phone (``smb_app_state_sync``)."""
    contact = fields(element.get("contact"))
    number = phone(contact.get("phone_number"))
    name = text(contact.get("full_name"), 1_024) or text(contact.get("first_name"), 1_024)
    if change.number is None or number is None or name is None or word(element.get("action")) == "remove":
        return None
    stamp = fields(element.get("metadata")).get("timestamp")
    at_ms = moment_ms(stamp) or change.at_ms
    reference = f"{number}:{at_ms}:{name}"
    return Sighting(change.number, words_of(number, None), at_ms, reference, number, None, name)


def replaced(arrival: Arrival, sighting: Sighting | None) -> Arrival:
    """The arrival with what it says about a person."""
    return arrival if sighting is None else msgspec.structs.replace(arrival, sighting=sighting)
