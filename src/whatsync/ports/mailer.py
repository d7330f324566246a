"""Sending mail, as the engine asks for it. Only for alerts; a mail is plain text."""

from collections.abc import Sequence
from typing import Protocol


class MailRefused(Exception):  # noqa: N818 - what happened, as a sentence for operators
    """The mail was not taken. ``lasting``: trying again will not help."""

    def __init__(self, reason: str, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


class Mailer(Protocol):
    """Hands mails to a mail server."""

    async def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Send one mail. Raises MailRefused."""
