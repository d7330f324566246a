"""One-time links by mail: to who is invited, and to who has forgotten the password. Knows no HTTP and no SMTP.

A link is mailed to its own person only, and once. Who asks for a forgotten password learns nothing about who is known.
"""

import asyncio
import logging

from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.links import Links, MadeLink
from whatsync.engine.sessions import Visitor
from whatsync.engine.tries import Tries
from whatsync.model import limits
from whatsync.model.envelope import format_time
from whatsync.model.errors import Conflict, LimitExceeded, NotFound, Problem, Unavailable
from whatsync.model.user import LinkPurpose, User, clean_email
from whatsync.ports.clock import Clock
from whatsync.ports.mailer import Mailer, MailRefused
from whatsync.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

_INVITED = "You are invited to {place}"
_FORGOTTEN = "A new password for WhatsSync"
_TEXT = """{why}

Choose a password here. The link works once, until {until}:

{url}

If you did not expect this, do nothing: without the link nothing changes.
"""


class LinkMails:
    """Sends links, where this installation can send mail."""

    def __init__(self, *, directory: Directory, links: Links, mailer: Mailer | None, clock: Clock) -> None:
        self._directory = directory
        self._links = links
        self._mailer = mailer
        self._asked = Tries(limits.FORGOTTEN_MAILS_PER_EMAIL, limits.FORGOTTEN_MAILS_PER_ADDRESS, clock)
        self._mailed: dict[str, None] = {}
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def possible(self) -> bool:
        """Whether this installation can send mail."""
        return self._mailer is not None

    async def send(self, made: MadeLink, account: RunningAccount | None = None) -> User:
        """Mail a link to whom it is for. Raises NotFound, Gone, Conflict where it was mailed already or nothing can be
        mailed, Unavailable where the mail server does not take it.
        """
        link = self._links.find(made.token)
        if self._mailer is None or link.purpose not in (LinkPurpose.INVITE, LinkPurpose.RESET):
            raise Conflict("no_mail", "this installation can't send mail; hand the link over yourself")
        user = self._links.user_of(link)
        if link.id in self._mailed:
            raise Conflict("mailed_already", "this link was mailed already; make a new one to send another")
        invited = link.purpose is LinkPurpose.INVITE
        place = "WhatsSync" if account is None else f"{account.account.name} at WhatsSync"
        why = f"You are invited to {place}." if invited else "Somebody asked for a new password for you at WhatsSync."
        text = _TEXT.format(why=why, until=format_time(link.expires_ms), url=made.url)
        self._mailed[link.id] = None
        while len(self._mailed) > limits.SIGN_IN_REMEMBERED_MAX:
            del self._mailed[next(iter(self._mailed))]
        try:
            await self._mailer.send([user.email], _INVITED.format(place=place) if invited else _FORGOTTEN, text)
        except MailRefused as refused:
            self._mailed.pop(link.id, None)
            raise Unavailable("mail_refused", f"the mail was not sent: {refused.reason}") from None
        return user

    async def forgotten(self, email: str, visitor: Visitor) -> None:
        """Mail a link to who has forgotten the password, if he is known. Raises Conflict where nothing can be mailed,
        LimitExceeded.
        """
        if self._mailer is None:
            raise Conflict("no_mail", "this installation can't send mail; ask whoever runs it for a link")
        email = clean_email(email)[: limits.EMAIL_CHARS_MAX]
        wait = self._asked.begin(email, visitor.address).wait_seconds
        if wait:
            raise LimitExceeded("forgotten_limit", f"too many mails were asked for; try again in {wait} seconds", wait)
        user = self._directory.user_of(email)
        if user is not None:
            # Not waited for: how long an answer takes would tell who is known here.
            task = asyncio.get_running_loop().create_task(self._remind(user))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def sent(self) -> None:
        """Return when nothing is being sent in the background."""
        await asyncio.gather(*self._sending)

    async def _remind(self, user: User) -> None:
        try:
            await self.send(await self._links.make_for(user, f"user:{user.id}"))
        except (Problem, StoreUnavailable, NotFound) as problem:
            logger.warning("a link for a forgotten password was not mailed: %s", problem)
