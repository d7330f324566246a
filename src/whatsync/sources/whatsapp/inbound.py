"""The callback Meta calls: its challenge, and its webhooks. Proof first, then one durable write, then the answer.

Nothing else happens before the answer. Knows the engine, and no HTTP library.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping

from whatsync.engine.intake import Reception, Refused, Taken
from whatsync.engine.source_directory import RunningSource
from whatsync.engine.sources import Sources
from whatsync.model import limits
from whatsync.model.errors import Forbidden, Malformed, TooLarge
from whatsync.model.source import Auth
from whatsync.ports.clock import Clock
from whatsync.sources.whatsapp import signature
from whatsync.sources.whatsapp.payloads import read

_GZIP = frozenset({"gzip", "x-gzip"})
_NO_SECRET = Refused(
    "no_secret", "this source has no app secret yet, so nothing can be checked; store it, Meta tries again for 7 days"
)
_WRONG_SIGNATURE = Refused(
    "wrong_signature", "X-Hub-Signature-256 is missing or was not made with this source's app secret over this body"
)
_WRONG_PASSWORD = Refused("wrong_credentials", "the user name or password is not this source's")


class Inbound:
    """The door of all WhatsApp sources."""

    def __init__(self, sources: Sources, reception: Reception, clock: Clock) -> None:
        self._sources = sources
        self._reception = reception
        self._clock = clock

    def challenge(self, source_id: str, mode: str | None, token: str | None, challenge: str | None) -> str:
        """What to answer when Meta checks the callback. Raises NotFound, Malformed, Forbidden."""
        source = self._sources.find(source_id)
        if mode != "subscribe" or token is None or challenge is None:
            words = "this is the callback for Meta: it asks with hub.mode, hub.verify_token and hub.challenge"
            raise Malformed("no_challenge", words)
        if not signature.is_same(token, source.verify_token):
            raise Forbidden("wrong_verify_token", "the verify token is not this source's; copy it from the source")
        return challenge

    async def receive(self, source_id: str, headers: Mapping[str, str], body: bytes) -> Taken | Refused:
        """Take a request in. Raises NotFound, Malformed, TooLarge; Unavailable where it could not be written."""
        source = self._sources.find(source_id)
        proven = self._proven(source, headers, body)
        if isinstance(proven, Refused):
            self._sources.rejected(source)
            return proven
        taken = await self._reception.take_in(source, proven, read(proven, self._clock.now_ms()))
        self._sources.accepted(source)
        return taken

    def proof(self, source: RunningSource, body: bytes) -> Mapping[str, str]:
        """The headers that prove that a body is the source's, for samples of our own."""
        record = source.source
        if record.auth is Auth.BASIC:
            credentials = f"{record.username or ''}:{source.password or ''}".encode()
            return {"authorization": "Basic " + b64encode(credentials).decode()}
        return {} if source.secret is None else {signature.HEADER: signature.sign(source.secret, body)}

    def _proven(self, source: RunningSource, headers: Mapping[str, str], body: bytes) -> bytes | Refused:
        """The bytes that are proven to be the source's, plain. Nothing is unpacked for who shows no proof at all."""
        record = source.source
        if record.auth is Auth.BASIC:
            right = signature.has_password(record.username or "", source.password or "", headers.get("authorization"))
            return _plain(headers, body) if right else _WRONG_PASSWORD
        secrets = source.secrets(self._clock.now_ms())
        if not secrets:
            return _NO_SECRET
        given = headers.get(signature.HEADER)
        if not signature.is_shaped(given):
            return _WRONG_SIGNATURE
        if signature.is_signed(secrets, body, given):
            return _plain(headers, body)
        for form in _other_forms(headers, body):
            if signature.is_signed(secrets, form, given):
                return form
        return _WRONG_SIGNATURE


def _other_forms(headers: Mapping[str, str], body: bytes) -> Iterator[bytes]:
    """What Meta may have signed before a proxy packed it, or wrote its escaped characters out."""
    plain: bytes | None = body
    if headers.get("content-encoding", "").strip().lower() in _GZIP:
        plain = signature.unzipped(body, limits.SOURCE_BODY_BYTES_MAX)
        if plain is not None:
            yield plain
    if plain is not None and len(plain) <= limits.SOURCE_ESCAPED_BYTES_MAX:
        escaped = signature.escaped(plain)
        if escaped is not None:
            yield escaped


def _plain(headers: Mapping[str, str], body: bytes) -> bytes:
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in _GZIP:
        raise Malformed("unknown_encoding", "the body's Content-Encoding is not known here; send it plain or as gzip")
    plain = signature.unzipped(body, limits.SOURCE_BODY_BYTES_MAX)
    if plain is None:
        raise TooLarge(
            "bad_gzip", f"the body is no gzip, or holds more than {limits.SOURCE_BODY_BYTES_MAX:,} bytes unpacked"
        )
    return plain
