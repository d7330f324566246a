"""The way commands speak to a server: its URL and key found, calls made, problems turned into sentences.

Knows the HTTP API only by paths that the commands name; opens no store.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import httpx

from whatsync import __version__
from whatsync.cli.failure import FAILED, WRONG_USE, Failure, wrong_use
from whatsync.cli.hints import as_commands
from whatsync.cli.local import Local, read_config, running_here
from whatsync.model.errors import Problem

ACCOUNT_HEADER = "X-WhatsSync-Account"
TIMEOUT_SECONDS = 40.0
"""Above the longest that the API takes for an answer: a long poll, or a test of a slow endpoint."""
UPLOAD_SECONDS = 600.0
"""Without a byte moving, or an answer."""

Query = Mapping[str, str | int | bool | None]


class ApiFailure(Failure):
    """The server answered with a problem. ``status`` is its HTTP status, ``code`` its stable word."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, WRONG_USE if status in (400, 422) else FAILED)
        self.status = status
        self.code = code


def refused(problem: Problem) -> ApiFailure:
    """The failure that the server's answer would be, of a problem that was found before asking it."""
    errors = [{"field": error.field, "message": error.message} for error in problem.errors]
    sentence = _sentence(problem.status, {"detail": problem.detail, "errors": errors})
    return ApiFailure(problem.status, problem.code, sentence)


class Unreachable(Failure):
    """No server answered."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which server to speak to, with which key, about which account."""

    url: str
    key: str
    account: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every call."""
        headers = {"Authorization": f"Bearer {self.key}", "User-Agent": f"WhatsSync-CLI/{__version__}"}
        return headers if self.account is None else headers | {ACCOUNT_HEADER: self.account}


def find_access(account: str | None = None) -> Access:
    """Say which server the settings mean: WHATSYNC_URL and WHATSYNC_API_KEY, else the one of the data folder.

    The data folder's token is never sent to any other server than its own. Raises Failure.
    """
    config = read_config()
    local = running_here(config.data_dir)
    url = config.url or (None if local is None else local.url)
    if url is None:
        raise Unreachable(
            f"no server is running on the data folder {config.data_dir}. Start one with `whatsync serve`, or name one: "
            "WHATSYNC_URL=https://… and WHATSYNC_API_KEY=wsk_…"
        )
    return Access(url, config.api_key or _local_token(url, local), account)


def _local_token(url: str, local: Local | None) -> str:
    if local is None or local.url != url:
        raise wrong_use(f"WHATSYNC_API_KEY is not set. The server {url} needs one: WHATSYNC_API_KEY=wsk_…")
    if local.token is None:
        raise wrong_use(
            f"the token of the server in {local.folder} can't be read: it belongs to whoever started the server. "
            "Run the command as that user, or set WHATSYNC_API_KEY=wsk_…"
        )
    return local.token


class Client:
    """Calls of one command, over one connection. Every failure is a Failure with a sentence."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._http = httpx.Client(base_url=access.url, headers=access.headers, timeout=TIMEOUT_SECONDS)

    def get(self, path: str, query: Query | None = None) -> Any:
        """Read something."""
        return self.call("GET", path, query)

    def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """Make or do something."""
        return self.call("POST", path, None, body, headers)

    def upload(self, path: str, file: tuple[str, IO[bytes], str], fields: Mapping[str, str]) -> Any:
        """Send a file as a form: its name, the open file, its media type. Read piece by piece."""
        try:
            answer = self._http.post(path, files={"file": file}, data=fields, timeout=UPLOAD_SECONDS)
        except httpx.HTTPError as problem:
            raise unreachable(self.access.url, problem) from None
        return read_answer(answer)

    def patch(self, path: str, body: object) -> Any:
        """Change something."""
        return self.call("PATCH", path, None, body)

    def delete(self, path: str, query: Query | None = None) -> Any:
        """Remove something."""
        return self.call("DELETE", path, query)

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Make one call and return the answer's JSON, None where the answer is empty. Raises Failure."""
        typed = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._http.request(
                method,
                path,
                params=query_text(query),
                content=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
                headers={**typed, **(headers or {})},
            )
        except httpx.HTTPError as problem:
            raise unreachable(self.access.url, problem) from None
        return read_answer(answer)


def connect(account: str | None = None) -> Client:
    """Make a client of the server that the settings mean. Raises Failure."""
    return Client(find_access(account))


def query_text(query: Query | None) -> dict[str, str]:
    """Write a query as text; what is None is left out."""
    words = {True: "true", False: "false"}
    return {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in (query or {}).items()
        if value is not None
    }


def unreachable(url: str, problem: httpx.HTTPError) -> Unreachable:
    """The failure of a call that got no answer."""
    if isinstance(problem, httpx.TimeoutException):
        return Unreachable(f"the server {url} did not answer in time. Look at its log, and at {url}/readyz")
    if isinstance(problem, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return Unreachable(f"{url} is no server's URL ({problem}). Correct WHATSYNC_URL")
    return Unreachable(
        f"no server answers at {url} ({str(problem) or type(problem).__name__}). Start one with `whatsync serve`, "
        "or correct WHATSYNC_URL"
    )


def read_answer(answer: httpx.Response) -> Any:
    """Return an answer's JSON. Raises ApiFailure where it tells a problem, Unreachable where it is not WhatsSync's."""
    if answer.is_success and not answer.content:
        return None
    try:
        document = answer.json()
    except ValueError:
        document = None
    if answer.is_success and document is not None:
        return document
    if not isinstance(document, dict) or "detail" not in document:
        what = f"answers {answer.status_code} with something that is not WhatsSync's"
        raise Unreachable(f"{answer.url.copy_with(query=None)} {what}. Check WHATSYNC_URL")
    raise ApiFailure(answer.status_code, str(document.get("code", "")), _sentence(answer.status_code, document))


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    errors = problem.get("errors") or []
    if len(errors) > 1:
        lines = [f"\n  {error['field'] or 'body'}: {as_commands(error['message'])}" for error in errors]
        return "the server refused that:" + "".join(lines)
    hint = {
        401: " (WHATSYNC_API_KEY, or the data folder's token)",
        429: "; wait a little and try again",
        500: ". This is a bug of WhatsSync's",
    }.get(status, "")
    return f"{as_commands(problem['detail'])}{hint}"
