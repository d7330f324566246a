"""Fetches one media file from WhatsApp in the two documented steps: ask for its short-lived URL, then get that.

The access token goes to Meta's own hosts only, and never along a redirect. Knows no store and no schedule.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from whatsync.engine.media_work import Fetched, NotFetched
from whatsync.model import limits, retry
from whatsync.model.media import MediaTask, bare_type, type_problem
from whatsync.model.source import GRAPH_URL
from whatsync.ports.clock import Clock
from whatsync.ports.media_store import UnfinishedFile
from whatsync.ports.web_client import WebAnswer, WebClient, WebRequest, WebTrouble

_TOKEN_HOSTS = (".fbsbx.com", ".facebook.com")
"""Ends of the hosts that may see the token."""
_ASK_SECONDS = 15.0
_REDIRECTS_MAX = 3
_RATE_CODES = frozenset({4, 17, 32, 613, 80007, 130429})
_TOKEN_CODES = frozenset({0, 190, 102, 463, 467})
_PERMISSION_CODES = frozenset({3, 10, *range(200, 300)})
_SHA256_BYTES = 32


class GraphMedia:
    """The fetch that ``engine.media_work`` is given. ``token_of`` and ``version_of`` answer for a ``phoneNumberId``."""

    def __init__(
        self,
        *,
        client: WebClient,
        clock: Clock,
        token_of: Callable[[str], str | None],
        version_of: Callable[[str], str],
        base_url: str = GRAPH_URL,
    ) -> None:
        self._client = client
        self._clock = clock
        self._token_of = token_of
        self._version_of = version_of
        self._base_url = base_url.rstrip("/")

    async def fetch(self, task: MediaTask, unfinished: UnfinishedFile) -> Fetched | NotFetched:
        """Get the file's bytes. Raises MediaUnavailable from the file."""
        token = self._token_of(task.number)
        if token is None:
            return NotFetched("no_token", "the number has no access token; give it or its source one")
        place = await self._place(task, token)
        if isinstance(place, NotFetched):
            return place
        if place.size is not None and place.size > limits.MEDIA_BYTES_MAX:
            return _too_large()
        answer = await self._client.download(self._download(place.url, token), unfinished.write)
        problem = self._problem_of(answer) or _check(task, place, answer, unfinished)
        return problem or Fetched(place.mime_type)

    # The first step

    async def _place(self, task: MediaTask, token: str) -> "_Place | NotFetched":
        version, media_id = self._version_of(task.number), quote(task.media_id, safe="")
        url = f"{self._base_url}/{version}/{media_id}?phone_number_id={quote(task.number, safe='')}"
        answer = await self._client.ask(
            WebRequest(url, headers={"Authorization": f"Bearer {token}"}, timeout_seconds=_ASK_SECONDS)
        )
        if isinstance(answer, WebTrouble):
            return _trouble(answer)
        if answer.status != 200:
            return self._refused(answer)
        return _read_place(answer.body)

    def _refused(self, answer: WebAnswer) -> NotFetched:
        """What Meta's error means. Decided by its code: the status of one and the same varies."""
        code = _error_code(answer.body)
        if code in _RATE_CODES or answer.status == 429:
            return NotFetched(
                "rate_limited", "WhatsApp asks for fewer requests", retry_after_seconds=self._later(answer)
            )
        if code in _TOKEN_CODES or answer.status == 401:
            return NotFetched(
                "token_rejected", "WhatsApp refuses the access token; give the number or source a valid one"
            )
        if code in _PERMISSION_CODES or answer.status == 403:
            words = "the access token may not read this number's media; it needs whatsapp_business_messaging"
            return NotFetched("not_permitted", words)
        if answer.status >= 500:
            return NotFetched(f"http_{answer.status}", f"WhatsApp answered {answer.status}")
        words = "WhatsApp knows no such file; it may have expired, or the access token is another app's"
        return NotFetched("not_found", words)

    # The second step

    def _download(self, url: str, token: str) -> WebRequest:
        headers = {"Authorization": f"Bearer {token}"} if self._may_see_token(url) else {}
        return WebRequest(
            url,
            headers=headers,
            timeout_seconds=limits.MEDIA_FETCH_SECONDS,
            body_bytes_max=limits.MEDIA_BYTES_MAX,
            redirects_max=_REDIRECTS_MAX,
        )

    def _may_see_token(self, url: str) -> bool:
        try:
            parts, own = urlsplit(url), urlsplit(self._base_url)
        except ValueError:
            return False
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            return True
        return parts.scheme == "https" and (parts.hostname or "").endswith(_TOKEN_HOSTS)

    def _problem_of(self, answer: WebAnswer | WebTrouble) -> NotFetched | None:
        if isinstance(answer, WebTrouble):
            return _too_large() if answer.code == "too_large" else _trouble(answer)
        if answer.status == 200:
            return None
        if answer.status == 429:
            return NotFetched(
                "rate_limited", "WhatsApp asks for fewer requests", retry_after_seconds=self._later(answer)
            )
        if answer.status in (401, 403, 404, 410):
            return NotFetched(
                "url_expired", f"the file's address answered {answer.status}; a new one will be asked for"
            )
        return NotFetched(f"http_{answer.status}", f"the file's address answered {answer.status}")

    def _later(self, answer: WebAnswer) -> float:
        given = answer.headers.get("retry-after")
        found = None if given is None else retry.parse_retry_after(given, self._clock.now_ms())
        return found or 0.0


class _Place(msgspec.Struct):
    """Where a file is, for the next minutes, and what it is said to be."""

    url: str
    mime_type: str | None = None
    sha256: str | None = None
    size: int | None = None


def _read_place(body: bytes) -> "_Place | NotFetched":
    said = _object(body)
    url = said.get("url")
    if not isinstance(url, str):
        return NotFetched("bad_response", "WhatsApp's answer names no address for the file")
    size = said.get("file_size")
    text = str(size) if isinstance(size, int | str) else ""
    return _Place(url, _text(said, "mime_type"), _text(said, "sha256"), int(text) if text.isdigit() else None)


def _check(
    task: MediaTask, place: _Place, answer: WebAnswer | WebTrouble, unfinished: UnfinishedFile
) -> NotFetched | None:
    """Whether the bytes are the ones that were meant."""
    assert isinstance(answer, WebAnswer)
    wanted = {digest for digest in map(decode_sha256, (task.sha256, place.sha256)) if digest is not None}
    if wanted:
        if unfinished.sha256() in wanted:
            return None
        return NotFetched("wrong_hash", "what came is not the file WhatsApp spoke of (SHA-256 differs)")
    if place.size is not None and unfinished.size != place.size:
        return NotFetched("wrong_size", f"{unfinished.size:,} bytes came instead of {place.size:,}")
    expected = bare_type(task.mime_type or place.mime_type)
    if bare_type(answer.headers.get("content-type")) == "text/html" != expected:
        return NotFetched("wrong_type", "a web page came instead of the file")
    problem = type_problem(task.mime_type or place.mime_type, unfinished.beginning)
    return None if problem is None else NotFetched("wrong_type", f"what came {problem}")


def decode_sha256(text: str | None) -> bytes | None:
    """A hash as WhatsApp writes it, hexadecimal in one place and base64 in another; ``None`` where it is neither."""
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text) if len(text) == 2 * _SHA256_BYTES else b64decode(text.translate(_STANDARD) + "=")
    except (ValueError, binascii.Error):
        return None
    return digest if len(digest) == _SHA256_BYTES else None


_STANDARD = str.maketrans("-_", "+/")


def _trouble(trouble: WebTrouble) -> NotFetched:
    return NotFetched(trouble.code, f"WhatsApp could not be reached: {trouble.detail}")


def _too_large() -> NotFetched:
    words = f"the file is larger than the {limits.MEDIA_BYTES_MAX // 2**20} MiB a file may have here"
    return NotFetched("too_large", words, final=True)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and value else None


def _error_code(body: bytes) -> int | None:
    error = _object(body).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None
