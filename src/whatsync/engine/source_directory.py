"""Sources and numbers in memory, as the door needs them: secrets opened once, numbers by Meta's id.

A part of the directory; knows documents, not the store.
"""

import msgspec

from whatsync.model.source import Number, Source
from whatsync.ports.store import Document
from whatsync.ports.vault import Vault

SOURCE = "source"
NUMBER = "number"


class RunningSource:
    """A source with its secrets opened."""

    __slots__ = ("access_token", "document", "password", "previous", "row", "secret", "source", "verify_token")

    def __init__(self, document: Document, vault: Vault) -> None:
        self.document = document
        self.row = document.row
        source = self.source = msgspec.json.decode(document.body, type=Source)
        self.verify_token = vault.unseal(source.verify_token)
        self.secret = _opened(source.app_secret, vault)
        self.previous = _opened(source.previous_secret, vault)
        self.access_token = _opened(source.access_token, vault)
        self.password = _opened(source.password, vault)

    def secrets(self, now_ms: int) -> list[str]:
        """The app secrets good at ``now_ms``."""
        found = [] if self.secret is None else [self.secret]
        if self.previous is not None and now_ms < (self.source.previous_until_ms or 0):
            found.append(self.previous)
        return found


class RunningNumber:
    """A number with its token opened."""

    __slots__ = ("access_token", "account", "document", "number")

    def __init__(self, document: Document, vault: Vault) -> None:
        self.document = document
        self.account = document.account
        """Row of its account, 0 where it has none."""
        self.number = msgspec.json.decode(document.body, type=Number)
        self.access_token = _opened(self.number.access_token, vault)

    def former_at(self, at_ms: int) -> str | None:
        """The id of the earlier account whose the number was at a time; ``None`` where it counts as the present one's.

        What came before the first account is the first one's; what came between two is the later one's.
        """
        former = self.number.former
        if not former or at_ms >= former[-1].until_ms:
            return None
        return next(one.account for one in former if at_ms < one.until_ms)


def _opened(sealed: str | None, vault: Vault) -> str | None:
    return None if sealed is None else vault.unseal(sealed)


class SourceDirectory:
    """All sources by id, all numbers by Meta's id and by business account."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.sources: dict[str, RunningSource] = {}
        self.numbers: dict[str, RunningNumber] = {}
        self.by_business: dict[str, dict[str, RunningNumber]] = {}

    def put(self, document: Document) -> None:
        """Take over a document."""
        if document.kind == SOURCE:
            self.sources[document.id] = RunningSource(document, self._vault)
            return
        self._drop_number(document.id)
        running = self.numbers[document.id] = RunningNumber(document, self._vault)
        if running.number.business is not None:
            self.by_business.setdefault(running.number.business, {})[document.id] = running

    def delete(self, kind: str, id_: str) -> None:
        """Let go of a document."""
        if kind == SOURCE:
            self.sources.pop(id_, None)
        else:
            self._drop_number(id_)

    def of_account(self, account: int) -> list[Document]:
        """Documents of an account's numbers."""
        return [running.document for running in self.numbers.values() if running.account == account]

    def of_source(self, source: str) -> list[RunningNumber]:
        """The numbers that came through a source."""
        return [running for running in self.numbers.values() if running.number.source == source]

    def of_business(self, business: str, display: str | None) -> list[RunningNumber]:
        """Numbers of a business account; where one of them is named, that one alone."""
        known = list(self.by_business.get(business, {}).values())
        return [one for one in known if display is not None and one.number.display == display] or known

    def _drop_number(self, id_: str) -> None:
        known = self.numbers.pop(id_, None)
        if known is not None and known.number.business is not None:
            self.by_business.get(known.number.business, {}).pop(id_, None)
