"""Cloud API JSON to events: walks every entry, change and element of a body; one bad element never loses its siblings.

Pure: bytes and the time of arrival in, a ``Reading`` out. Never raises.
"""

import logging
from collections.abc import Callable
from typing import Any

from whatsync.model.arrival import Arrival, Reading, SeenNumber, SetAside, in_order
from whatsync.model.canonical import parse_lenient
from whatsync.model.javascript import NotJson
from whatsync.sources.whatsapp import elements
from whatsync.sources.whatsapp.changes import Change
from whatsync.sources.whatsapp.values import Fields, fields, text, word

SAMPLE_NUMBER = "123456123"
"""The ``phone_number_id`` in the example that Meta's dashboard sends to try a callback."""
SAMPLE_BUSINESS = "0"

_ELEMENT_LISTS = {
    "messages": ("messages", "statuses"),
    "smb_message_echoes": ("message_echoes",),
    "smb_app_state_sync": ("state_sync",),
    "calls": ("calls", "statuses"),
    "user_preferences": ("user_preferences",),
    "user_id_update": ("user_id_update",),
    "history": ("history", "messages"),
}
"""By field: the lists whose elements become events of their own. All other fields are one event as a whole."""

logger = logging.getLogger(__name__)


def read(raw: bytes, received_ms: int) -> Reading:
    """Read a body."""
    try:
        body = parse_lenient(raw)
    except NotJson as problem:
        return Reading(set_aside=(SetAside("", "not_json", f"the body {problem}"),))
    walk = _Walk(received_ms)
    walk.guarded(walk.body, body, "")
    return Reading(
        in_order(walk.arrivals),
        tuple(walk.sightings),
        tuple(walk.set_aside),
        tuple(walk.numbers.values()),
        walk.is_sample(),
    )


class _Walk:
    """One walk through a body, and what it has found."""

    def __init__(self, received_ms: int) -> None:
        self.received_ms = received_ms
        self.arrivals: list[Arrival] = []
        self.sightings: list[Any] = []
        self.set_aside: list[SetAside] = []
        self.numbers: dict[str, SeenNumber] = {}
        self._businesses: set[str | None] = set()

    def is_sample(self) -> bool:
        """Whether all of it is Meta's fixed example."""
        return self._businesses == {SAMPLE_BUSINESS} and set(self.numbers) <= {SAMPLE_NUMBER}

    def guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        """Take a step; a mistake of ours costs the element it is about and none beside it."""
        try:
            step(*arguments)
        except Exception as bug:
            logger.exception("an element of a WhatsApp body met a mistake of WhatsSync's own")
            path = arguments[-1] if isinstance(arguments[-1], str) else ""
            words = f"WhatsSync met a mistake of its own ({type(bug).__name__}); process it again after an upgrade"
            self.set_aside.append(SetAside(path, "internal_error", words))

    def aside(self, path: str, reason: str, sentence: str, number: str | None = None) -> None:
        """Set an element aside."""
        self.set_aside.append(SetAside(path, reason, sentence, number))

    # Down to the elements

    def body(self, body: Any, path: str) -> None:
        """The whole."""
        if not isinstance(body, dict):
            self.aside(path, "not_an_object", "the body is no JSON object")
            return
        for at, entry in self.items(body, "entry", path):
            self.guarded(self.entry, body, entry, at)

    def items(self, holder: Fields, name: str, path: str, number: str | None = None) -> list[tuple[str, Fields]]:
        """The objects of a list, each with its path; what is no object is set aside."""
        at = f"{path}.{name}" if path else name
        listed = holder.get(name)
        if not isinstance(listed, list):
            self.aside(at, "not_a_list", f"{name} is missing or no list", number)
            return []
        found = []
        for position, item in enumerate(listed):
            place = f"{at}[{position}]"
            if isinstance(item, dict):
                found.append((place, item))
            else:
                self.aside(place, "not_an_object", "the element is no JSON object", number)
        return found

    def entry(self, body: Fields, entry: Fields, path: str) -> None:
        """The changes of one business account."""
        self._businesses.add(text(entry.get("id")))
        for at, change in self.items(entry, "changes", path):
            self.guarded(self.change, body, entry, change, at)

    def change(self, body: Fields, entry: Fields, given: Fields, path: str) -> None:
        """One change, by its field."""
        value = given.get("value")
        if not isinstance(value, dict):
            self.aside(f"{path}.value", "not_an_object", "value is missing or no JSON object")
            return
        field = word(given.get("field"))
        if field is None:
            field = "messages" if "messages" in value or "statuses" in value else "unknown"
        change = Change(word(body.get("object")), entry, field, value, f"{path}.value", self.received_ms)
        self._note_number(change)
        names = [name for name in _ELEMENT_LISTS.get(field, ()) if name in value]
        if names:
            for name in names:
                self._elements(change, name)
        elif field == "messages" and "errors" in value:
            self.arrivals.append(elements.other(change, "errors", value.get("errors"), change.path, value))
        else:
            self.arrivals.append(elements.other(change, None, value, change.path))

    def _note_number(self, change: Change) -> None:
        number = change.number
        if number is not None and number not in self.numbers:
            self.numbers[number] = SeenNumber(number, change.display, change.business)

    def _elements(self, change: Change, name: str) -> None:
        number = change.number
        for at, element in self.items(change.value, name, change.path, number):
            if number is None:
                self.aside(at, "no_number", "metadata.phone_number_id is missing, so it is nobody's")
            else:
                self.guarded(self._element, change, name, element, at)

    def _element(self, change: Change, name: str, element: Fields, path: str) -> None:
        if change.field == "messages":
            made = (elements.message if name == "messages" else elements.status)(change, element, path)
            (self.set_aside if isinstance(made, SetAside) else self.arrivals).append(made)  # type: ignore[arg-type]
        elif name == "history":
            self._history(change, element, path)
        else:
            sighting = None
            if name == "state_sync":
                sighting = elements.synced(change, element)
            elif name == "user_id_update":
                sighting = elements.renamed(change, element)
            self.arrivals.append(elements.replaced(elements.other(change, name, element, path), sighting))

    # Old conversations

    def _history(self, change: Change, chunk: Fields, path: str) -> None:
        """A chunk of old conversations: one event a message, each in the envelope of its own thread."""
        if "threads" not in chunk:
            self.arrivals.append(elements.other(change, "history", chunk, path))
            return
        for at, thread in self.items(chunk, "threads", path, change.number):
            for place, message in self.items(thread, "messages", at, change.number):
                self.guarded(self._old_message, change, chunk, thread, message, place)

    def _old_message(self, change: Change, chunk: Fields, thread: Fields, message: Fields, path: str) -> None:
        narrow = {**chunk, "threads": [{**fields(thread), "messages": [message]}]}
        value = change.narrowed("history", narrow)
        self.arrivals.append(elements.other(change, "messages", message, path, value))
