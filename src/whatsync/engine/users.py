"""People: added, given roles, removed; their passwords set. A person's sessions end with every change that takes away
trust. Knows no HTTP.
"""

from collections.abc import Callable, Mapping

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import LINK, USER, Directory, RunningAccount
from whatsync.engine.sessions import Begun, Sessions, Visitor
from whatsync.model import limits
from whatsync.model.errors import Conflict, FieldError, Invalid, NotFound
from whatsync.model.ids import TOKEN_BYTES, random_id
from whatsync.model.user import Role, User, clean_email, email_problem, password_errors
from whatsync.ports.clock import Clock
from whatsync.ports.passwords import Passwords
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import AuditEntry, Change, Delete, Put


class Users:
    """All people of this installation."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        sessions: Sessions,
        passwords: Passwords,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._directory = directory
        self._configuration = configuration
        self._sessions = sessions
        self._passwords = passwords
        self._clock = clock
        self._randomness = randomness

    def page(self, before: int | None = None, limit: int = limits.PAGE_ITEMS_DEFAULT) -> tuple[list[User], int | None]:
        """List people, newest first; and where the next page begins."""
        held = sorted(
            ((document.row, user) for document, user in self._directory.users.values()),
            key=lambda pair: pair[0],
            reverse=True,
        )
        found = [pair for pair in held if before is None or pair[0] < before]
        page = found[:limit]
        return [user for _, user in page], page[-1][0] if len(found) > limit else None

    def all(self) -> list[User]:
        """Everybody, by mail address."""
        return sorted((user for _, user in self._directory.users.values()), key=lambda user: user.email)

    def team(self, account: RunningAccount) -> list[tuple[User, Role]]:
        """Who belongs to an account and with which role, by mail address. Operators are not listed for being so."""
        held = ((user, user.memberships.get(account.account.id)) for user in self.all())
        return [(user, role) for user, role in held if role is not None]

    def find(self, user_id: str) -> User:
        """The person with this id. Raises NotFound."""
        held = self._directory.users.get(user_id)
        if held is None:
            raise NotFound("user_not_found", f"there is no user {user_id[:40]!r}")
        return held[1]

    def by_email(self, email: str) -> User | None:
        """The person with this mail address, however it is spelt."""
        return self._directory.user_of(clean_email(email))

    def member(self, account: RunningAccount, user_id: str) -> User:
        """A person of this account's team. Raises NotFound for all others."""
        user = self.find(user_id)
        if account.account.id not in user.memberships:
            raise NotFound("user_not_found", f"there is no user {user_id[:40]!r} in this account")
        return user

    async def add(
        self, email: str, memberships: Mapping[str, Role], actor: str, *, operator: bool = False, account: int = 0
    ) -> User:
        """Add a person without a password: a link lets him choose one. Raises Invalid, Conflict."""
        user = self.draft(email, memberships, operator=operator)
        entry = self.entry(account, actor, "user.added", None, user)
        await self._configuration.change(Change(0, (put_of(user),), audit=(entry,), routing=False))
        return user

    async def add_first(self, email: str, password: str, account: RunningAccount, actor: str) -> User:
        """Add the installation's first operator with a password. Raises Invalid, Conflict."""
        user = self.draft(email, {account.account.id: Role.OWNER}, operator=True)
        user = await self.with_password(user, password)
        entry = self.entry(0, actor, "user.added", None, user)
        await self._configuration.change(Change(0, (put_of(user),), audit=(entry,), routing=False))
        return user

    def draft(self, email: str, memberships: Mapping[str, Role], *, operator: bool) -> User:
        """A new person, not yet written. Raises Invalid, Conflict."""
        email = clean_email(email)
        problem = email_problem(email)
        if problem is not None:
            raise Invalid([FieldError("email", problem)])
        if self._directory.user_of(email) is not None:
            raise Conflict("user_exists", "there is a user with this mail address already; change the role instead")
        for account in memberships:
            if account not in self._directory.accounts_by_id:
                raise Invalid([FieldError("account", "is no account of this installation")])
        now_ms = self._clock.now_ms()
        new_id = random_id("usr_", self._randomness.token(TOKEN_BYTES))
        return User(new_id, email, now_ms, memberships=dict(memberships), operator=operator)

    async def with_password(self, user: User, password: str) -> User:
        """The same person with a new password, not yet written. Raises Invalid, Unavailable."""
        errors = password_errors(password, user.email)
        if errors:
            raise Invalid(errors)
        hashed = await self._passwords.hash(password)
        return msgspec.structs.replace(user, password_hash=hashed, password_ms=self._clock.now_ms())

    async def change_password(self, user_id: str, old: str, new: str, visitor: Visitor, actor: str) -> Begun:
        """Set a new password for who knows the old one. All sessions end; a fresh one takes this one's place.

        Raises Invalid, Conflict, Unavailable.
        """
        user = self.find(user_id)
        if not await self._passwords.matches(old, user.password_hash):
            raise Invalid([FieldError("old", "is not your password")])
        after = await self.with_password(user, new)
        begun = self._sessions.draft(visitor, after)
        entry = self.entry(0, actor, "user.password_changed", user, after)
        await self.write(user, after, entry, more=(begun.put,), deletes=self._sessions.deletes(user_id))
        return begun

    async def set_role(self, user_id: str, account: RunningAccount, role: Role | None, actor: str) -> User | None:
        """Give a person another role in an account, or none. Who then belongs nowhere is removed.

        Raises NotFound, Conflict where the account would be left without an owner.
        """
        user = self.find(user_id)
        account_id = account.account.id
        memberships = dict(user.memberships)
        before = memberships.pop(account_id, None)
        if before is role:
            return user
        self._check_owner(account_id, user_id, before, role)
        if role is not None:
            memberships[account_id] = role
        after = msgspec.structs.replace(user, memberships=memberships)
        if not memberships and not user.operator:
            await self._remove(user, account.row, actor)
            return None
        entry = self.entry(account.row, actor, "user.role_changed", user, after)
        await self.write(user, after, entry, deletes=self._outgrown(user, after))
        return after

    async def set_memberships(self, user_id: str, roles: Mapping[str, Role | None], actor: str) -> User:
        """Give roles in several accounts, or take them away. The person stays, wherever he then belongs.

        Raises NotFound, Invalid, Conflict.
        """
        user = self.find(user_id)
        memberships = dict(user.memberships)
        for account_id, role in roles.items():
            before = memberships.pop(account_id, None)
            if account_id in self._directory.accounts_by_id:
                self._check_owner(account_id, user_id, before, role)
                if role is not None:
                    memberships[account_id] = role
            elif role is not None:
                raise Invalid([FieldError(f"memberships.{account_id[:40]}", "is no account of this installation")])
        after = msgspec.structs.replace(user, memberships=memberships)
        if after != user:
            entry = self.entry(0, actor, "user.roles_changed", user, after)
            await self.write(user, after, entry, deletes=self._outgrown(user, after))
        return after

    async def set_operator(self, user_id: str, operator: bool, actor: str) -> User:
        """Make a person operator, or no longer. Raises NotFound, Conflict."""
        user = self.find(user_id)
        if user.operator and not operator:
            self._check_operators(user)
        after = msgspec.structs.replace(user, operator=operator)
        entry = self.entry(0, actor, "user.operator_changed", user, after)
        await self.write(user, after, entry, deletes=self._outgrown(user, after))
        return after

    async def remove(self, user_id: str, actor: str) -> None:
        """Remove a person with all sessions and links. Raises NotFound, Conflict."""
        user = self.find(user_id)
        if user.operator:
            self._check_operators(user)
        for account_id, role in user.memberships.items():
            if account_id in self._directory.accounts_by_id:
                self._check_owner(account_id, user_id, role, None)
        await self._remove(user, 0, actor)

    async def write(
        self,
        before: User,
        after: User,
        entry: AuditEntry,
        *,
        more: tuple[Put, ...] = (),
        deletes: tuple[Delete, ...] = (),
    ) -> None:
        """Write a changed person together with what else belongs to it. Raises Conflict."""
        put = Put(USER, after.id, 0, msgspec.json.encode(after), self._version(before))
        await self._configuration.change(Change(0, (put, *more), deletes, (entry,), routing=False))

    def entry(self, account: int, actor: str, action: str, before: User | None, after: User) -> AuditEntry:
        """The audit log's entry of a change of a person."""
        now_ms = self._clock.now_ms()
        return audit.entry(account, now_ms, actor, action, subject=after.id, before=before, after=after)

    def _version(self, user: User) -> int:
        held = self._directory.users.get(user.id)
        if held is None or held[1] != user:
            raise Conflict("changed_meanwhile", "somebody else has just changed this user; read it and try again")
        return held[0].version

    async def _remove(self, user: User, account: int, actor: str) -> None:
        deletes = [Delete(USER, user.id), *self._sessions.deletes(user.id)]
        deletes += [Delete(LINK, link.id) for _, link in self._directory.links.values() if link.user == user.id]
        entry = audit.entry(account, self._clock.now_ms(), actor, "user.removed", subject=user.id, before=user)
        await self._configuration.change(Change(0, deletes=tuple(deletes), audit=(entry,), routing=False))

    def _outgrown(self, before: User, after: User) -> tuple[Delete, ...]:
        """The unused links of who has no password and is given more than he was invited to.

        An owner of the account he was invited to may still have one: it must not lead to what is another's.
        """
        more = after.operator > before.operator or not after.memberships.keys() <= before.memberships.keys()
        if before.password_hash is not None or not before.memberships or not more:
            return ()
        links = self._directory.links.values()
        return tuple(Delete(LINK, link.id) for _, link in links if link.user == before.id and link.used_ms is None)

    def _check_owner(self, account_id: str, user_id: str, before: Role | None, after: Role | None) -> None:
        """Refuse to leave a team without anybody who may change it. Raises Conflict."""
        if before is not Role.OWNER or after is Role.OWNER:
            return
        team = self._others(user_id, lambda user: account_id in user.memberships)
        if team and not any(user.memberships[account_id] is Role.OWNER for user in team):
            raise Conflict("last_owner", f"this is the last owner of {account_id}; make somebody else owner first")

    def _check_operators(self, user: User) -> None:
        if not self._others(user.id, lambda other: other.operator):
            raise Conflict("last_operator", "this is the last operator; make somebody else operator first")

    def _others(self, but: str, fits: Callable[[User], bool]) -> list[User]:
        return [user for _, user in self._directory.users.values() if user.id != but and fits(user)]


def put_of(user: User) -> Put:
    """The write that adds a person."""
    return Put(USER, user.id, 0, msgspec.json.encode(user), 0)


def role_in(user: User, account: str) -> Role | None:
    """A person's role in an account; operators own all of them."""
    return Role.OWNER if user.operator else user.memberships.get(account)
