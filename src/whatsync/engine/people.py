"""Who people are: one stable contact for all the names somebody goes by, and an event only when something changes.

Works out what an intake writes about people; the store's versions decide whether it was right. Knows no payload.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from whatsync.engine.directory import RunningAccount
from whatsync.model import limits
from whatsync.model.arrival import Sighting
from whatsync.model.details import Details
from whatsync.model.documented import ContactUpdate
from whatsync.model.draft import Draft, draft_of_data
from whatsync.model.ids import derived_id
from whatsync.ports.arrivals import ContactRow
from whatsync.ports.history import History

CONTACT_UPDATE = "contact.update"
_SAME_PHONE_TRIES = 4
"""So many people can have had one phone number after another, each with a contact of his own."""


class People:
    """What is remembered of people in memory. A remembered one may be out of date: then the store says so."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._contacts: dict[tuple[int, str], ContactRow] = {}
        self._words: dict[tuple[int, str], str] = {}

    async def look_up(self, account: RunningAccount, sightings: Iterable[Sighting]) -> None:
        """Ask the store for those of the seen who are not remembered."""
        unknown = [sighting for sighting in sightings if not self._is_known(account, sighting)]
        words = dict.fromkeys(word for sighting in unknown for word in asked_for(account, sighting))
        missing = [word for word in words if (account.row, word) not in self._words]
        if not missing:
            return
        for contact in await self._history.contacts(account.row, missing):
            known = self._contacts.get((account.row, contact.id))
            if known is None or known.version < contact.version:
                self.remember(contact)

    def _is_known(self, account: RunningAccount, sighting: Sighting) -> bool:
        """Whether all names of a sighting lead to the one who has them now: then nobody new can come of it."""
        words = (*sighting.former, *sighting.words)
        if any((account.row, word) not in self._words for word in words):
            return False
        known = self.find(account.row, words)
        return known is not None and not is_somebody_else(known, sighting)

    def find(self, account: int, words: Sequence[str]) -> ContactRow | None:
        """The first person that one of the words leads to."""
        for word in words:
            id_ = self._words.get((account, word))
            if id_ is not None:
                return self._contacts.get((account, id_))
        return None

    def remember(self, contact: ContactRow) -> None:
        """Take over what is (about to be) stored."""
        if len(self._contacts) >= limits.PEOPLE_KEPT:
            self.clear()
        self._contacts[contact.account, contact.id] = contact
        for word in (*contact.words, own_word(contact.id)):
            self._words[contact.account, word] = contact.id

    def clear(self) -> None:
        """Let go of everybody."""
        self._contacts.clear()
        self._words.clear()

    def forget(self, contacts: Iterable[tuple[int, str]]) -> None:
        """Let go of people who are not as they were remembered; the store is asked again."""
        for key in contacts:
            known = self._contacts.pop(key, None)
            for word in () if known is None else (*known.words, own_word(known.id)):
                self._words.pop((key[0], word), None)


class Meeting:
    """What one intake says about the people of one account, in order."""

    def __init__(self, people: People, account: RunningAccount, now_ms: int) -> None:
        self._people = people
        self._account = account
        self._now_ms = now_ms
        self.contacts: list[ContactRow] = []
        self.drafts: list[Draft] = []

    def see(self, sighting: Sighting) -> str:
        """Take a sighting in; the id of the person it is about."""
        account = self._account.row
        known = self._people.find(account, (*sighting.former, *sighting.words))
        if known is not None and is_somebody_else(known, sighting):
            known = None
        if known is None:
            contact = ContactRow(
                account,
                self._new_id(sighting.words[0]),
                sighting.words,
                1,
                sighting.at_ms,
                sighting.phone,
                sighting.user_id,
                sighting.name,
            )
            return self._changed(contact, ["seen"], sighting)
        newer = sighting.at_ms > known.seen_ms
        changes = [
            name
            for name in ("name", "phone")
            if (said := getattr(sighting, name)) is not None
            and said != (had := getattr(known, name))
            and (newer or had is None)
        ]
        words = [word for word in sighting.words if word not in known.words]
        later = sighting.at_ms - known.seen_ms >= limits.SEEN_AGAIN_SECONDS * 1000
        if not changes and not words and not later:
            return known.id
        said = {name: getattr(sighting, name) for name in changes}
        if sighting.user_id is not None and (newer or known.user_id is None):
            said["user_id"] = sighting.user_id
        contact = replace(
            known,
            version=known.version + 1,
            words=tuple(sorted({*known.words, *words} - {own_word(known.id)})),
            seen_ms=max(known.seen_ms, sighting.at_ms),
            **said,
        )
        return self._changed(contact, changes, sighting)

    def _new_id(self, word: str) -> str:
        id_ = ""
        for number in range(_SAME_PHONE_TRIES):
            id_ = contact_id(self._account.account.id, word, number)
            if self._people.find(self._account.row, (own_word(id_),)) is None:
                break
        return id_

    def _changed(self, contact: ContactRow, changes: list[str], sighting: Sighting) -> str:
        self.contacts.append(replace(contact, words=(*contact.words, own_word(contact.id))))
        self._people.remember(contact)
        if changes:
            self.drafts.append(self._draft(contact, changes, sighting))
        return contact.id

    def _draft(self, contact: ContactRow, changes: list[str], sighting: Sighting) -> Draft:
        data = ContactUpdate(contact.id, contact.phone, contact.name)
        details = Details(
            number=sighting.number, contact_id=contact.id, profile_name=contact.name, user_id=contact.user_id
        )
        identity = contact_update_id(sighting.number, "+".join(changes), sighting.reference)
        draft = draft_of_data(CONTACT_UPDATE, identity, self._now_ms, data, details)
        return msgspec.structs.replace(draft, timestamp_given=False)


def is_somebody_else(known: ContactRow, sighting: Sighting) -> bool:
    """A phone number that its owner has given up is used by another person."""
    if sighting.former or sighting.phone is None or known.phone in (None, sighting.phone):
        return False
    if sighting.user_id is not None and "user:" + sighting.user_id in known.words:
        return False
    return sighting.at_ms > known.seen_ms


def own_word(id_: str) -> str:
    """The word by which a contact is found that may have lost all others."""
    return "id:" + id_


def asked_for(account: RunningAccount, sighting: Sighting) -> tuple[str, ...]:
    """The words to look up for a sighting: those it names, and the contacts a new one must not be taken for."""
    own = [own_word(contact_id(account.account.id, sighting.words[0], number)) for number in range(_SAME_PHONE_TRIES)]
    return (*sighting.former, *sighting.words, *own)


def contact_id(account_id: str, word: str, number: int = 0) -> str:
    """The id of whoever is the first, second, … to go by a word in an account."""
    return derived_id("contact_", account_id, word, *([str(number)] if number else []))


def contact_update_id(number: str, what: str, reference: str) -> str:
    """The id of the event that tells of a change: by what has changed, and what said so."""
    return derived_id("contact_update_", number, what, reference)
