"""One-time links: made for a first start, an invitation, a lost password or another product, and used up once.

Only an id derived from a link's token is kept. Using one is a single transaction with what it leads to. Knows no HTTP.
"""

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import LINK, USER, Directory, RunningAccount
from whatsync.engine.sessions import TOKEN_BYTES, Begun, Sessions, Visitor
from whatsync.engine.users import Users, put_of
from whatsync.model import limits
from whatsync.model.errors import Conflict, FieldError, Gone, Invalid, NotFound
from whatsync.model.ids import derived_id
from whatsync.model.user import Embedding, Link, LinkPurpose, Role, Session, User, inner_path_problem
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import AuditEntry, Change, Delete, Document, Put

_SECONDS = {
    LinkPurpose.FIRST: limits.LINK_SECONDS,
    LinkPurpose.INVITE: limits.INVITE_LINK_SECONDS,
    LinkPurpose.RESET: limits.LINK_SECONDS,
    LinkPurpose.EMBED: limits.EMBED_LINK_SECONDS,
}


class MadeLink(msgspec.Struct, frozen=True):
    """A new link with its token, which nobody can read again."""

    link: Link
    token: str
    base_url: str

    @property
    def path(self) -> str:
        """Where it leads, below the installation's address."""
        return f"/link/{self.token}"

    @property
    def url(self) -> str:
        """Where it leads."""
        return self.base_url + self.path


class Links:
    """All one-time links of this installation."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        sessions: Sessions,
        users: Users,
        clock: Clock,
        randomness: Randomness,
        base_url: str,
        frames: bool = False,
    ) -> None:
        """``frames``: other products' pages may show us in a frame."""
        self._directory = directory
        self._configuration = configuration
        self._sessions = sessions
        self._users = users
        self._clock = clock
        self._randomness = randomness
        self._base_url = base_url
        self._frames = frames

    async def make_first(self, actor: str) -> MadeLink:
        """A link for the installation's first user. Earlier ones count no more."""
        return await self._make(LinkPurpose.FIRST, actor)

    async def make_again(self, email: str | None, actor: str) -> MadeLink:
        """A link for who can't sign in: for a mail address, or for the first user where nobody is here yet.

        Raises Invalid, NotFound.
        """
        if email is None:
            if self._directory.users:
                raise Invalid([FieldError("email", "is needed: say whose link it is to be")])
            return await self.make_first(actor)
        user = self._users.by_email(email)
        if user is None:
            raise NotFound("user_not_found", "there is no user with this mail address")
        return await self.make_for(user, actor)

    async def make_for(self, user: User, actor: str, account: int = 0) -> MadeLink:
        """A link by which a person chooses a password; earlier ones of his count no more.

        ``account`` is the row of the account in whose log it is written.
        """
        purpose = LinkPurpose.INVITE if user.password_hash is None else LinkPurpose.RESET
        return await self._make(purpose, actor, user=user.id, logged=account)

    async def make_embedded(
        self, account: RunningAccount, role: Role, actor: str, embedding: Embedding | None = None
    ) -> MadeLink:
        """A link that opens configuration and history of one account, for another product's user.

        Raises Conflict, Invalid.
        """
        if account.account.suspended:
            raise Conflict("account_suspended", "the account is suspended; nobody can sign in to it")
        embedding = embedding or Embedding()
        if embedding.frame and not self._frames:
            words = "is not possible here: the operator sets WHATSYNC_EMBED_ORIGINS to the pages that may frame it"
            raise Invalid([FieldError("frame", words)])
        problem = inner_path_problem(embedding.path)
        if problem is not None:
            raise Invalid([FieldError("path", problem)])
        return await self._make(
            LinkPurpose.EMBED, actor, account=account, role=role, logged=account.row, embedding=embedding
        )

    def made(self, token: str) -> MadeLink:
        """A link that was made, by its token. Raises NotFound, Gone."""
        return MadeLink(self.find(token), token, self._base_url)

    def find(self, token: str) -> Link:
        """The usable link of a token. Raises NotFound, or Gone where it was used or has expired."""
        return self._find(token)[1]

    def live_first(self) -> bool:
        """Whether a link for the first user is about that can still be used."""
        now_ms = self._clock.now_ms()
        links = (link for _, link in self._directory.links.values())
        return any(link.purpose is LinkPurpose.FIRST and _usable(link, now_ms) for link in links)

    async def use_first(self, token: str, email: str, password: str, visitor: Visitor) -> Begun:
        """Add the installation's first operator, sign him in, and use the link up.

        Raises Invalid, Conflict, NotFound, Gone, Unavailable.
        """
        document, link = self._find(token)
        account = next((a for a in self._directory.accounts.values() if a.account.deleted_ms is None), None)
        memberships = {} if account is None else {account.account.id: Role.OWNER}
        user = self._users.draft(email, memberships, operator=True)
        user = self._signed_in(await self._users.with_password(user, password))
        begun = self._sessions.draft(visitor, user)
        entry = self._users.entry(0, f"user:{user.id}", "user.added", None, user)
        await self._use(document, link, (put_of(user), begun.put), (), entry)
        return begun

    async def use_password(self, token: str, password: str, visitor: Visitor) -> Begun:
        """Set the password of the link's user, end all of his sessions, sign him in, and use the link up.

        Raises Invalid, NotFound, Gone, Conflict, Unavailable.
        """
        document, link = self._find(token)
        user = self.user_of(link)
        after = self._signed_in(await self._users.with_password(user, password))
        begun = self._sessions.draft(visitor, after)
        held = self._directory.users[user.id][0]
        put = Put(USER, user.id, 0, msgspec.json.encode(after), held.version)
        entry = self._users.entry(0, f"user:{user.id}", "user.password_set", user, after)
        await self._use(document, link, (put, begun.put), self._sessions.deletes(user.id), entry)
        return begun

    def _signed_in(self, user: User) -> User:
        return msgspec.structs.replace(user, signed_in_ms=self._clock.now_ms())

    async def use_embedded(
        self, token: str, visitor: Visitor, frame: bool = False, present: Session | None = None
    ) -> Begun | None:
        """Begin an embedded session, in a ``frame`` or in a window of its own, and use the link up.

        Where the browser's ``present`` session is the same and far from its end, it goes on and ``None`` is returned:
        pages that are open in other tabs stay as they are. Raises NotFound, Gone, Conflict, Unavailable.
        """
        document, link = self._find(token)
        if link.account not in self._directory.accounts_by_id:
            raise _unknown()
        theme = None if link.embedding is None else link.embedding.theme
        now_ms = self._clock.now_ms()
        if present is not None and _goes_on(present, now_ms, (link.account, link.role, frame, theme)):
            entry = audit.entry(document.account, now_ms, "link", "session.embedded", subject=present.id)
            await self._use(document, link, (), (), entry)
            return None
        begun = self._sessions.draft_embedded(visitor, link.account, link.role, frame, theme)
        entry = audit.entry(document.account, now_ms, "link", "session.embedded", subject=begun.session.id)
        await self._use(document, link, (begun.put,), (), entry)
        return begun

    def user_of(self, link: Link) -> User:
        """Whom an invitation or reset is for. Raises NotFound where he is gone."""
        held = self._directory.users.get(link.user or "")
        if held is None:
            raise _unknown()
        return held[1]

    async def _make(
        self,
        purpose: LinkPurpose,
        actor: str,
        *,
        user: str | None = None,
        account: RunningAccount | None = None,
        role: Role | None = None,
        logged: int = 0,
        embedding: Embedding | None = None,
    ) -> MadeLink:
        token = self._randomness.token(TOKEN_BYTES).hex()
        now_ms = self._clock.now_ms()
        link = Link(
            id=_link_id(token),
            purpose=purpose,
            created_ms=now_ms,
            expires_ms=now_ms + _SECONDS[purpose] * 1000,
            user=user,
            account=None if account is None else account.account.id,
            role=role,
            embedding=embedding,
        )
        row = 0 if account is None else account.row
        put = Put(LINK, link.id, row, msgspec.json.encode(link), 0)
        entry = audit.entry(logged, now_ms, actor, f"link.{purpose}", subject=user or link.account or link.id)
        earlier = self._earlier(link)
        await self._configuration.change(Change(row, (put,), earlier, (entry,), routing=False))
        return MadeLink(link, token, self._base_url)

    def _earlier(self, link: Link) -> tuple[Delete, ...]:
        """Unused links for the same thing, which the new one replaces; many may embed at the same time."""
        if link.purpose is LinkPurpose.EMBED:
            return ()
        return tuple(
            Delete(LINK, other.id)
            for _, other in self._directory.links.values()
            if other.user == link.user and other.purpose is not LinkPurpose.EMBED and other.used_ms is None
        )

    def _find(self, token: str) -> tuple[Document, Link]:
        held = self._directory.links.get(_link_id(token))
        if held is None:
            raise _unknown()
        if held[1].used_ms is not None:
            raise Gone("link_used", "this link was used already; it works once")
        if held[1].purpose is LinkPurpose.FIRST and self._directory.users:
            raise Gone("link_used", "this link was for the first user, and there is one now")
        if held[1].expires_ms <= self._clock.now_ms():
            raise Gone("link_expired", "this link has expired")
        return held

    async def _use(
        self, document: Document, link: Link, puts: tuple[Put, ...], deletes: tuple[Delete, ...], entry: AuditEntry
    ) -> None:
        used = msgspec.structs.replace(link, used_ms=self._clock.now_ms())
        # The version guards it: of two who use a link at the same moment, on whatever server, one succeeds.
        put = Put(LINK, link.id, document.account, msgspec.json.encode(used), document.version)
        await self._configuration.change(Change(document.account, (put, *puts), deletes, (entry,), routing=False))


def _link_id(token: str) -> str:
    return derived_id("lnk_", token)


def _goes_on(session: Session, now_ms: int, wanted: tuple[object, ...]) -> bool:
    """Whether an embedded session is what a link would begin, and far from its end."""
    same = wanted == (session.account, session.role, session.frame, session.theme)
    return same and session.expires_ms - now_ms > limits.EMBEDDED_SESSION_SECONDS * 1000 // 2


def _usable(link: Link, now_ms: int) -> bool:
    return link.used_ms is None and link.expires_ms > now_ms


def _unknown() -> NotFound:
    return NotFound("link_not_found", "this link is not known here; it may have been replaced by a newer one")
