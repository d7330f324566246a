"""Signing in by mail address and password, with a limit on guessing. Nobody learns from it who is known here.

Knows no HTTP.
"""

import msgspec

from whatsync.engine.directory import Directory
from whatsync.engine.sessions import Begun, Sessions, Visitor
from whatsync.engine.tries import Failures, Tries
from whatsync.engine.users import Users
from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, LimitExceeded
from whatsync.model.user import User, clean_email
from whatsync.ports.clock import Clock
from whatsync.ports.passwords import Passwords

WRONG = "mail address or password is wrong"


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
        self._tries = Tries(limits.SIGN_IN_FAILURES_PER_EMAIL, limits.SIGN_IN_FAILURES_PER_ADDRESS, clock)
        self._changes = Failures(limits.SIGN_IN_FAILURES_PER_EMAIL)

    async def enter(self, email: str, password: str, visitor: Visitor) -> Begun:
        """Begin a session. Raises Invalid where address or password is wrong, LimitExceeded, Unavailable, Conflict."""
        email = clean_email(email)[: limits.EMAIL_CHARS_MAX]
        # Counted before it is known, so that many tries at the same moment don't slip through.
        one = self._tries.begin(email, visitor.address)
        if one.wait_seconds:
            words = f"too many tries; wait {_minutes(one.wait_seconds)} and try again"
            raise LimitExceeded("sign_in_limit", words, one.wait_seconds)
        user = self._directory.user_of(email)
        hashed = None if user is None else user.password_hash
        right = await self._passwords.matches(password[: limits.PASSWORD_CHARS_MAX], hashed)
        if user is None or not right:
            raise Invalid([FieldError("email", WRONG)])
        self._tries.went_well(one)
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
        wait = self._changes.wait_seconds(word, now)
        if wait:
            raise LimitExceeded("password_limit", f"too many tries; wait {_minutes(wait)} and try again", wait)
        self._changes.add(word, now)
        begun = await self._users.change_password(user.id, old, new, visitor, actor)
        self._changes.forget(word)
        return begun


def _minutes(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 60 else f"{-(-seconds // 60)} minutes"
