"""Signing in by mail address and password, with a limit on guessing. Nobody learns from it who is known here.

Knows no HTTP.
"""

import ipaddress
from collections import OrderedDict

import msgspec

from whatsync.engine.directory import Directory
from whatsync.engine.sessions import Begun, Sessions, Visitor
from whatsync.engine.users import Users
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, LimitExceeded
from whatsync.model.user import User, clean_email
from whatsync.ports.clock import Clock
from whatsync.ports.passwords import Passwords

WRONG = "mail address or password is wrong"


class Failures:
    """Counts failures by a word over the last quarter of an hour; remembers a bounded number of words."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def wait_seconds(self, word: str, now: float) -> int:
        """How long to wait before the next try; 0 where one is free."""
        times = self._recent(word, now)
        if len(times) < self._most:
            return 0
        return max(1, round(times[-self._most] + limits.SIGN_IN_FAILURE_SECONDS - now))

    def add(self, word: str, now: float) -> None:
        """One more failure."""
        self._times[word] = [*self._recent(word, now), now][-self._most :]
        self._times.move_to_end(word)
        while len(self._times) > limits.SIGN_IN_REMEMBERED_MAX:
            self._times.popitem(last=False)

    def take_back(self, word: str, at: float) -> None:
        """What was added at this moment was none; the others stay."""
        times = [*self._times.get(word, ())]
        if at in times:
            times.remove(at)
            self._times[word] = times

    def forget(self, word: str) -> None:
        """It went well: begin anew."""
        self._times.pop(word, None)

    def _recent(self, word: str, now: float) -> list[float]:
        return [at for at in self._times.get(word, ()) if now - at < limits.SIGN_IN_FAILURE_SECONDS]


class SignIn:
    """Lets people in. Failures are counted for the address they come from and for the mail address, known or not."""

    def __init__(
        self, *, directory: Directory, users: Users, sessions: Sessions, passwords: Passwords, clock: Clock
    ) -> None:
        self._directory = directory
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._clock = clock
        self._by_email = Failures(limits.SIGN_IN_FAILURES_PER_EMAIL)
        self._by_address = Failures(limits.SIGN_IN_FAILURES_PER_ADDRESS)

    async def enter(self, email: str, password: str, visitor: Visitor) -> Begun:
        """Begin a session. Raises Invalid where address or password is wrong, LimitExceeded, Unavailable, Conflict."""
        email = clean_email(email)[: limits.EMAIL_CHARS_MAX]
        address = network_of(visitor.address)
        now = self._clock.monotonic()
        wait = max(self._by_email.wait_seconds(email, now), self._by_address.wait_seconds(address, now))
        if wait:
            raise LimitExceeded("sign_in_limit", f"too many tries; wait {_minutes(wait)} and try again", wait)
        # Counted before it is known, so that many tries at the same moment don't slip through.
        self._by_email.add(email, now)
        self._by_address.add(address, now)
        user = self._directory.user_of(email)
        hashed = None if user is None else user.password_hash
        right = await self._passwords.matches(password[: limits.PASSWORD_CHARS_MAX], hashed)
        if user is None or not right:
            raise Invalid([FieldError("email", WRONG)])
        self._by_email.forget(email)
        # Of the address only this try: else who has one good password could guess others' without end.
        self._by_address.take_back(address, now)
        begun = self._sessions.draft(visitor, user)
        after = msgspec.structs.replace(user, signed_in_ms=self._clock.now_ms())
        entry = self._users.entry(0, f"user:{user.id}", "user.signed_in", user, after)
        await self._users.write(user, after, entry, more=(begun.put,), deletes=begun.deletes)
        return begun

    async def change_password(self, user: User, old: str, new: str, visitor: Visitor, actor: str) -> Begun:
        """Set a new password for who knows the old one, with the same limit on guessing as signing in.

        Raises Invalid, LimitExceeded, Conflict, Unavailable.
        """
        now = self._clock.monotonic()
        word = f"password of {user.id}"
        wait = self._by_email.wait_seconds(word, now)
        if wait:
            raise LimitExceeded("password_limit", f"too many tries; wait {_minutes(wait)} and try again", wait)
        self._by_email.add(word, now)
        begun = await self._users.change_password(user.id, old, new, visitor, actor)
        self._by_email.forget(word)
        return begun


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the network that one customer of a provider has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def _minutes(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 60 else f"{-(-seconds // 60)} minutes"
