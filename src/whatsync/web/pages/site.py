"""Answers requests for pages: who comes, may he, is the form ours, what does the view say, how does it look.

Knows Starlette's requests; views know none of this.
"""

import asyncio
import gzip
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path
from starlette.types import Receive, Scope, Send

from whatsync import __version__
from whatsync.config import Config, shown
from whatsync.engine.services import Services
from whatsync.engine.sessions import Visitor
from whatsync.engine.tally import Tally
from whatsync.engine.users import role_in
from whatsync.model import limits
from whatsync.model.errors import Forbidden, Malformed, NotFound, Problem, TooLarge, Unavailable
from whatsync.model.user import Role, Session, User
from whatsync.ports.store import StoreUnavailable
from whatsync.web.arriving import Arriving
from whatsync.web.pages import guard
from whatsync.web.pages.agents import agent_words
from whatsync.web.pages.assets import installed
from whatsync.web.pages.cookies import Jar
from whatsync.web.pages.failure import bare_failure, failed
from whatsync.web.pages.frames import Frames, NoCookies, cookieless, ended
from whatsync.web.pages.navigation import in_last_account
from whatsync.web.pages.page import Download, Entry, Facts, Form, Given, Need, Page, Redirect, Show, Visit
from whatsync.web.pages.rendering import Renderer
from whatsync.web.problems import MethodNotAllowed, Timeout
from whatsync.web.wire import encode_headers

logger = logging.getLogger(__name__)

HTML = "text/html; charset=utf-8"
SIGN_IN = "/sign-in"
_API = ("/v1", "/healthz", "/readyz", "/metrics", "/openapi.json")
_FOREVER = "public, max-age=31536000, immutable"
_TOKEN_BYTES = 32


class SignInFirst(Problem):
    """The page is for those who are signed in."""

    status = 401


class Site:
    """All pages over one server's services."""

    def __init__(self, services: Services, config: Config, pages: Iterable[Page], entries: Sequence[Entry]) -> None:
        self._services = services
        self._hosts = guard.Hosts(config)
        self._frames = Frames(config.embed_origins)
        table = tuple(pages)
        self._renderer = Renderer(entries, frozenset(page.path for page in table if page.method == "GET"))
        self._facts = Facts(
            version=__version__,
            base_url=config.base_url,
            public=config.public_url is not None,
            support_url=config.support_url,
            mail=config.smtp_url is not None and config.mail_from is not None,
            retention_days=config.retention_days,
            embed_origins=config.embed_origins,
            settings=shown(config),
        )
        paths: dict[str, dict[str, Page]] = {}
        for page in table:
            methods = paths.setdefault(page.path, {})
            if page.method in methods:
                raise ValueError(f"{page.method} {page.path} is declared twice")
            methods[page.method] = page
        ordered = sorted(paths.items(), key=lambda item: ("{" in item[0].removeprefix("/a/{account}"), item[0]))
        doors: list[BaseRoute] = [Path(path, Door(self, methods)) for path, methods in ordered]
        read = ["/docs", *(path for path, methods in ordered if "GET" in methods)]
        self.routes: list[BaseRoute] = [
            Path("/assets/{word}/{name:path}", AssetDoor()),
            *doors,
            *(Path(f"{path}/", to_page, methods=["GET"]) for path in read if path != "/"),
            Path("/{rest:path}", Door(self, {})),
        ]

    async def answer(self, methods: Mapping[str, Page], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a path with these pages."""
        request = Request(scope, receive)
        if not methods and (request.url.path.startswith(_API) or "text/html" not in request.headers.get("accept", "")):
            raise NotFound("no_such_path", "there is nothing at this path; see /docs for what there is")
        host = request.headers.get("host", "")
        turn = await self._turn(request, self._hosts.secure(host, request.url.scheme))
        visit = self._visit(turn, methods)
        code = "form_refused"
        try:
            self._hosts.check(host)
            visit = await self._admitted(_page_of(methods, request.method), visit, turn)
            given = await self._viewed(visit)
        except ClientDisconnect:
            return
        except SignInFirst:
            given = ended(visit) if visit.framed else Redirect(visit.to(SIGN_IN, next=_where(request)))
        except NoCookies:
            given = cookieless(visit)
        except Problem as problem:
            code = problem.code
            given = failed(problem, visit)
        except StoreUnavailable as trouble:
            code = "store_unavailable"
            given = failed(Unavailable(code, trouble.reason), visit)
        except Exception:
            logger.exception("request %s died of a bug", scope["request_id"])
            code = "internal_error"
            given = failed(_bug(scope["request_id"]), visit)
        written = self._written(given, visit, scope["request_id"])
        if isinstance(written, Written) and written.status >= HTTPStatus.BAD_REQUEST:
            self._services.journal.refused(scope["request_id"], written.status, code)
        await self._send(written, visit, turn, send)

    async def _turn(self, request: Request, secure: bool) -> "Turn":
        """The request with its session, which another node may have begun just now."""
        framed = self._frames.asked(request.headers)
        turn = Turn(self._services, request, secure, framed)
        if turn.session is None and turn.jar.session and await self._services.standing.refreshed():
            return Turn(self._services, request, secure, framed)
        return turn

    async def _viewed(self, visit: Visit) -> Given:
        """What the view gives. What is not known here may have been made at another node just now."""
        try:
            return await visit.page.view(visit)
        except NotFound:
            if not await self._services.standing.refreshed():
                raise
            return await visit.page.view(visit)

    async def _admitted(self, page: Page, visit: Visit, turn: "Turn") -> Visit:
        """The visit with its form and account, where all of it is in order. Raises what is not."""
        form = Form()
        if page.method == "POST":
            headers = turn.request.headers
            guard.check_origin(headers.get("host", ""), headers.get("origin"), headers.get("sec-fetch-site"))
            form = Form(await read_form(turn.request, self._services.tally))
            if turn.framed:
                _check_cookies(page, turn)
            guard.check_csrf(turn.secret, headers.get(guard.CSRF_HEADER) or form.raw("csrf"))
        visit = replace(visit, page=page, form=form)
        try:
            visit = self._admit(page, visit)
        except NotFound:
            if not await self._services.standing.refreshed():
                raise
            visit = self._admit(page, visit)
        if visit.session is not None:
            await self._services.sessions.seen(visit.session, visit.visitor)
        return visit

    def _admit(self, page: Page, visit: Visit) -> Visit:
        """Let the visitor in, with his role in the account he asks about. Raises SignInFirst, Forbidden, NotFound."""
        if visit.framed and not page.embedded:
            if visit.session is None:
                raise SignInFirst("sign_in", "the visit has ended")
            raise _not_opened()
        if page.needs is Need.EVERYONE:
            return visit
        if visit.session is None:
            raise SignInFirst("sign_in", "sign in first")
        if visit.embedded and not page.embedded:
            raise _not_opened()
        needed = page.needs.role
        if needed is None:
            if page.needs is Need.OPERATOR and not visit.operator:
                raise Forbidden("operator_only", "only operators of this installation may do this")
            return in_last_account(visit)
        visit = self._in_account(visit)
        if visit.role is None or not visit.role.includes(needed):
            raise Forbidden("role", f"this needs the role {needed}; ask an owner of the account for it")
        return visit

    def _in_account(self, visit: Visit) -> Visit:
        """The visit with the account of its path, where the visitor belongs to it. Raises NotFound, Forbidden."""
        running = self._services.directory.accounts_by_id.get(visit.parameters.get("account", ""))
        role = None if running is None else _role(visit.user, visit.session, running.account.id)
        if visit.framed and role is None:
            # Another frame of the same product began a visit to another account meanwhile.
            raise SignInFirst("sign_in", "the visit to this account has ended")
        if running is None or role is None or running.account.deleted_ms is not None:
            raise NotFound("account_not_found", "there is no such account, or you are not part of it")
        if running.account.suspended and not visit.operator:
            raise Forbidden("account_suspended", "this account is suspended; ask the operator of this installation")
        return replace(visit, running=running, role=role)

    def _visit(self, turn: "Turn", methods: Mapping[str, Page]) -> Visit:
        request, choices = turn.request, turn.jar.choices
        headers = request.headers
        address = request.client.host if request.client is not None else ""
        return Visit(
            services=self._services,
            facts=self._facts,
            page=next(iter(methods.values()), _NOWHERE),
            method=request.method,
            path=request.url.path,
            parameters=request.path_params,
            query=request.query_params.multi_items(),
            form=Form(),
            visitor=Visitor(address, agent_words(headers.get("user-agent", ""))),
            csrf=guard.csrf_token(turn.secret, self._services.randomness.token(guard.PAD_BYTES)),
            session=turn.session,
            user=turn.user,
            htmx=headers.get("hx-request") == "true" and headers.get("hx-history-restore-request") != "true",
            theme=(turn.session and turn.session.theme) or choices.get("theme"),
            framed=turn.framed,
            flash=turn.jar.flash(turn.secret),
            choices=choices,
        )

    def _written(self, given: Given, visit: Visit, request_id: str) -> "Redirect | Download | Written":
        """What a view gave, as text where it is a page; a page of the mistake where its template has one."""
        if not isinstance(given, Show):
            return given
        try:
            return self._rendered(given, visit)
        except Exception:
            logger.exception("request %s met a mistake in %s", request_id, given.template)
        try:
            return self._rendered(failed(_bug(request_id), visit), visit)
        except Exception:
            logger.exception("request %s met a mistake in the page of mistakes", request_id)
        return Written(bare_failure(request_id).encode(), 500, {})

    def _rendered(self, given: Show, visit: Visit) -> "Written":
        text = self._renderer.render(given, visit, self._services.clock.now_ms())
        return Written(text.encode(), given.status, given.headers)

    async def _send(self, given: "Redirect | Download | Written", visit: Visit, turn: "Turn", send: Send) -> None:
        """Turn what a view gave into an answer."""
        kept = self._frames.headers if turn.framed else guard.HEADERS
        headers = {"x-request-id": turn.request.scope["request_id"], **kept, "vary": "HX-Request"}
        if isinstance(given, Download):
            await self._stream(given, headers, turn, send)
            return
        body = b""
        if isinstance(given, Redirect):
            turn.remember(given)
            # htmx follows this itself; a plain 303 would be swallowed by the browser's fetch.
            status = 200 if visit.htmx else 303
            headers["hx-redirect" if visit.htmx else "location"] = given.path
        else:
            status = given.status
            turn.jar.drop_flash()
            headers |= {"content-type": HTML, **given.headers}
            body = given.body
            if len(body) >= limits.PAGE_BYTES_GZIP_MIN and _takes_gzip(turn.request):
                body = gzip.compress(body, 4, mtime=0)
                headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body))
        await turn.start(send, status, headers)
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, given: Download, headers: dict[str, str], turn: "Turn", send: Send) -> None:
        headers["content-type"] = given.content_type
        headers["content-disposition"] = f'attachment; filename="{given.name}"'
        await turn.start(send, 200, headers)
        async with aclosing(given.parts) as parts:
            async for part in parts:
                if await turn.request.is_disconnected():
                    return  # Nobody is left to send it to: what is still to come isn't even looked up.
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True, slots=True)
class Written:
    """A page as it goes out."""

    body: bytes
    status: int
    headers: Mapping[str, str]


class Turn:
    """One request with its cookies: whose session it is, and the secret that its forms are bound to.

    In a frame only a session that began in one counts, and outside none that did.
    """

    def __init__(self, services: Services, request: Request, secure: bool, framed: bool) -> None:
        self._services = services
        self.request = request
        self.framed = framed
        self.jar = Jar(request.cookies, secure, framed)
        found = services.sessions.find(self.jar.session)
        self.session = found if found is None or found.frame == framed else None
        self.user: User | None = None
        if self.session is not None and self.session.user is not None:
            held = services.directory.users.get(self.session.user)
            self.session, self.user = (None, None) if held is None else (self.session, held[1])
        known = self.jar.session if self.session is not None else self.jar.visitor
        self.secret = known or self._new_visitor()

    def remember(self, given: Redirect) -> None:
        """Set the cookies that a redirect brings."""
        secret = self.secret
        if given.session is not None:
            self.jar.keep_session(given.session)
            secret = given.session or self._new_visitor()
        if given.flash is not None:
            self.jar.keep_flash(given.flash, secret)
        self.jar.keep_choices(given.choices)

    async def start(self, send: Send, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of the answer, cookies included."""
        cookies = [(b"set-cookie", cookie.encode("latin-1")) for cookie in self.jar.set]
        await send({"type": "http.response.start", "status": status, "headers": [*encode_headers(headers), *cookies]})

    def _new_visitor(self) -> str:
        token = self._services.randomness.token(_TOKEN_BYTES).hex()
        self.jar.keep_visitor(token)
        return token


class Door:
    """All methods of one path, as an ASGI callable."""

    def __init__(self, site: Site, methods: Mapping[str, Page]) -> None:
        self._site = site
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._site.answer(self._methods, scope, receive, send)


async def to_page(request: Request) -> Response:
    """Send a page's address with a slash at its end to the page. Only paths that begin with a page's own first word
    come here, so it never leads to another host.
    """
    query = request.scope["query_string"].decode("latin-1")
    path = quote(request.scope["path"].removesuffix("/"))
    where = f"{path}?{query}" if query else path
    headers = {"location": where, "x-request-id": request.scope["request_id"], **guard.HEADERS}
    return Response(status_code=HTTPStatus.PERMANENT_REDIRECT, headers=headers)


class AssetDoor:
    """Sends what browsers load besides pages.

    Under a word of another version a file is found as well, but not kept: a page may be older than we are.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        assets = installed()
        asset = assets.find(request.path_params["name"])
        if asset is None or request.method not in ("GET", "HEAD"):
            raise NotFound("no_such_path", "there is no such file")
        kept = request.path_params["word"] == assets.word
        zipped = asset.zipped if _takes_gzip(request) else None
        body = asset.plain if zipped is None else zipped
        headers = {
            "content-type": asset.content_type,
            "content-length": str(len(body)),
            "cache-control": _FOREVER if kept else "no-cache",
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "vary": "accept-encoding",
        }
        if zipped is not None:
            headers["content-encoding"] = "gzip"
        await send({"type": "http.response.start", "status": 200, "headers": encode_headers(headers)})
        await send({"type": "http.response.body", "body": body})


async def read_form(request: Request, tally: Tally) -> list[tuple[str, str]]:
    """Read a form's fields. Raises TooLarge, Malformed, Timeout, Unavailable."""
    arriving = Arriving(tally)
    size = 0
    try:
        async with asyncio.timeout(limits.REQUEST_ARRIVAL_SECONDS_MAX):
            async for part in request.stream():
                size += len(part)
                if size > limits.FORM_BYTES_MAX:
                    raise TooLarge("form_too_large", f"a form may have at most {limits.FORM_BYTES_MAX:,} bytes")
                arriving.add(part)
    except TimeoutError:
        raise Timeout("request_timeout", "the form did not arrive completely in time; send it again") from None
    finally:
        body = arriving.take()
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        if size:
            raise Malformed("not_a_form", "send the form as application/x-www-form-urlencoded")
        return []
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=limits.FORM_FIELDS_MAX)
    except (ValueError, UnicodeDecodeError):
        raise Malformed("malformed_form", "the form can't be read") from None


def _page_of(methods: Mapping[str, Page], method: str) -> Page:
    page = methods.get("GET" if method == "HEAD" else method)
    if page is not None:
        return page
    if not methods:
        raise NotFound("no_such_page", "there is no such page; it may have been moved or removed")
    raise MethodNotAllowed(method, ", ".join(sorted(methods)))


def _check_cookies(page: Page, turn: Turn) -> None:
    """A form from inside a frame comes with a cookie, of a visit or of a link's page. Raises NoCookies, SignInFirst."""
    if turn.session is None and not (page.embedded and page.needs is Need.EVERYONE):
        raise SignInFirst("sign_in", "the visit has ended")
    if turn.session is None and turn.jar.visitor is None:
        raise NoCookies("no_cookies", "the browser keeps no cookies in this frame")


def _role(user: User | None, session: Session | None, account: str) -> Role | None:
    if user is not None:
        return role_in(user, account)
    return session.role if session is not None and session.account == account else None


def _not_opened() -> Forbidden:
    return Forbidden("embedded", "this page is not part of what was opened for you")


def _where(request: Request) -> str | None:
    """Where to go on after signing in."""
    if request.method != "GET" or request.url.path == "/":
        return None
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _bug(request_id: str) -> Problem:
    return Problem("internal_error", f"something went wrong here; the server's log tells about {request_id}")


async def _nowhere(visit: Visit) -> Given:
    raise NotFound("no_such_page", "there is no such page; it may have been moved or removed")


_NOWHERE = Page("GET", "/", Need.EVERYONE, _nowhere)
