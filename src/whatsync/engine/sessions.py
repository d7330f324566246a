"""Sessions: begun, recognised, ended. The browser has a random token; only an id derived from it is kept here.

Knows no HTTP.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import LINK, SESSION, Directory
from whatsync.model import limits
from whatsync.model.errors import NotFound, Problem
from whatsync.model.ids import derived_id
from whatsync.model.user import LinkPurpose, Role, Session, Theme, User
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Change, Delete, Put

TOKEN_BYTES = 32
_KEPT_MS = dict.fromkeys(LinkPurpose, 7 * 86400000) | {LinkPurpose.EMBED: 3_600_000}
"""How long a used or expired link is remembered, so that who opens it again is told what became of it. Other products
make one for each visit.
"""


def session_id(token: str) -> str:
    """The id of the session whose browser has this token: 130 bits of its SHA-256."""
    return derived_id("ses_", token)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from, as far as a session remembers it."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A new session with its token, which nobody can read again, and the write that makes it true."""

    token: str
    session: Session
    put: Put
    deletes: tuple[Delete, ...] = ()
    """The person's oldest sessions, where there are too many."""


class Sessions:
    """All sessions of this installation."""

    def __init__(
        self, directory: Directory, configuration: Configuration, clock: Clock, randomness: Randomness
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._clock = clock
        self._randomness = randomness

    def draft(self, visitor: Visitor, user: User) -> Begun:
        """A person's new session; whoever asks writes it together with what led to it."""
        token, session = self._new(visitor, limits.SESSION_SECONDS_MAX)
        made = msgspec.structs.replace(session, user=user.id)
        surplus = self.of(user.id)[limits.USER_SESSIONS_MAX - 1 :]
        deletes = tuple(Delete(SESSION, old.id) for old in surplus)
        return Begun(token, made, Put(SESSION, made.id, 0, msgspec.json.encode(made), 0), deletes)

    def draft_embedded(
        self, visitor: Visitor, account: str, role: Role | None, frame: bool = False, theme: Theme | None = None
    ) -> Begun:
        """A session that opens one account's configuration and history, in a ``frame`` or in a window of its own."""
        token, session = self._new(visitor, limits.EMBEDDED_SESSION_SECONDS)
        made = msgspec.structs.replace(session, account=account, role=role, frame=frame, theme=theme)
        row = self._directory.accounts_by_id[account].row
        return Begun(token, made, Put(SESSION, made.id, row, msgspec.json.encode(made), 0))

    def find(self, token: str | None) -> Session | None:
        """The living session of a token."""
        held = None if token is None else self._directory.sessions.get(session_id(token))
        return None if held is None or held[1].ended(self._clock.now_ms()) else held[1]

    def of(self, user_id: str) -> list[Session]:
        """A person's living sessions, the last seen first."""
        now_ms = self._clock.now_ms()
        own = (self._directory.sessions[name][1] for name in self._directory.sessions_by_user.get(user_id, ()))
        return sorted((s for s in own if not s.ended(now_ms)), key=lambda s: s.seen_ms, reverse=True)

    async def seen(self, session: Session, visitor: Visitor) -> None:
        """Write down, now and then, that a session is alive. Where that can't be written, nothing is lost."""
        now_ms = self._clock.now_ms()
        held = self._directory.sessions.get(session.id)
        if held is None or now_ms - held[1].seen_ms < limits.SESSION_SEEN_SECONDS * 1000:
            return
        document, current = held
        after = msgspec.structs.replace(current, seen_ms=now_ms, address=visitor.address, agent=visitor.agent)
        put = Put(SESSION, session.id, document.account, msgspec.json.encode(after), document.version)
        try:
            await self._configuration.change(Change(document.account, (put,), routing=False))
        except Problem:
            return

    async def end(self, session_id: str, user_id: str | None, actor: str) -> None:
        """End a session of this person at once. Raises NotFound."""
        held = self._directory.sessions.get(session_id)
        if held is None or held[1].user != user_id:
            raise NotFound("session_not_found", "there is no such session; it may have ended already")
        entry = audit.entry(held[0].account, self._clock.now_ms(), actor, "session.ended", subject=session_id)
        change = Change(held[0].account, deletes=(Delete(SESSION, session_id),), audit=(entry,), routing=False)
        await self._configuration.change(change)

    async def end_others(self, user_id: str, kept: str, actor: str) -> int:
        """End a person's sessions except one; how many there were."""
        ended = [session.id for session in self.of(user_id) if session.id != kept]
        if ended:
            entry = audit.entry(0, self._clock.now_ms(), actor, "session.others_ended", subject=user_id)
            await self._configuration.change(Change(0, deletes=_deletes(ended), audit=(entry,), routing=False))
        return len(ended)

    def deletes(self, user_id: str) -> tuple[Delete, ...]:
        """The writes that end all of a person's sessions, ended ones included."""
        return _deletes(self._directory.sessions_by_user.get(user_id, ()))

    async def clear(self) -> None:
        """Remove sessions that have ended and links of long ago. Called from time to time."""
        now_ms = self._clock.now_ms()
        gone: dict[int, list[Delete]] = {}
        for document, session in self._directory.sessions.values():
            if session.ended(now_ms):
                gone.setdefault(document.account, []).append(Delete(SESSION, session.id))
        for document, link in self._directory.links.values():
            if min(link.expires_ms, link.used_ms or link.expires_ms) < now_ms - _KEPT_MS[link.purpose]:
                gone.setdefault(document.account, []).append(Delete(LINK, link.id))
        for account, deletes in gone.items():
            for at in range(0, len(deletes), limits.JOB_STEP_ITEMS):
                step = tuple(deletes[at : at + limits.JOB_STEP_ITEMS])
                try:
                    await self._configuration.change(Change(account, deletes=step, routing=False))
                except Problem:
                    return

    def _new(self, visitor: Visitor, seconds: int) -> tuple[str, Session]:
        token = self._randomness.token(TOKEN_BYTES).hex()
        now_ms = self._clock.now_ms()
        session = Session(
            id=session_id(token),
            created_ms=now_ms,
            seen_ms=now_ms,
            expires_ms=now_ms + seconds * 1000,
            address=visitor.address,
            agent=visitor.agent,
        )
        return token, session


def _deletes(ids: Iterable[str]) -> tuple[Delete, ...]:
    return tuple(Delete(SESSION, one) for one in ids)
