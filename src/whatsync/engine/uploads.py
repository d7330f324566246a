"""Uploads through the API: a file that is here already becomes a ``media.upload`` event, kept before the event commits.

Knows no HTTP; the bytes come in as an unfinished file.
"""

import hashlib

import msgspec

from whatsync.engine.directory import RunningAccount
from whatsync.engine.ingest import Ingest
from whatsync.engine.media import Media
from whatsync.engine.media_work import MEDIA_UPLOAD
from whatsync.engine.quota import Quota
from whatsync.engine.receipt import Receipt
from whatsync.model import limits
from whatsync.model.documented import MediaUpload
from whatsync.model.draft import Draft, draft_of_data
from whatsync.model.errors import FieldError, Invalid, TooLarge, Unavailable
from whatsync.model.ids import TOKEN_BYTES, derived_id, random_id
from whatsync.model.media import MEDIA_TYPES, bare_type, content_type, media_type_of, type_problem
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.media import MediaRow, MediaState
from whatsync.ports.media_store import MediaUnavailable, UnfinishedFile
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Idempotency


class UploadForm(msgspec.Struct, frozen=True):
    """What is said about an uploaded file."""

    mime_type: str | None
    message_id: str | None = None
    media_type: str | None = None
    caption: str | None = None


class Uploaded(msgspec.Struct, frozen=True):
    """A file that is kept, and the event that tells of it."""

    receipt: Receipt
    row: MediaRow
    url: str
    media_type: str


class Uploads:
    """Takes files in."""

    def __init__(
        self,
        *,
        media: Media,
        ingest: Ingest,
        history: History,
        quota: Quota,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._media = media
        self._ingest = ingest
        self._history = history
        self._quota = quota
        self._clock = clock
        self._randomness = randomness
        self.keeping: set[str] = set()
        """Names being kept now: the sweep leaves them alone."""

    async def begin(self, account: RunningAccount) -> UnfinishedFile:
        """Begin an upload. Raises LimitExceeded or Unavailable before a byte is read."""
        self._quota.admit(account, 1, 0)
        try:
            return await self._media.files.begin()
        except MediaUnavailable as problem:
            self._media.trouble = problem.reason
            raise _unavailable(problem) from None

    async def accept(
        self, account: RunningAccount, unfinished: UnfinishedFile, form: UploadForm, key: str | None = None
    ) -> Uploaded:
        """Keep the file, then accept its event. Under one ``Idempotency-Key`` it is one file and one event.

        Raises Invalid, TooLarge, LimitExceeded, Unavailable.
        """
        _check(form, unfinished)
        sha256 = unfinished.sha256()
        id_ = self._id(account, key)
        # The name depends on the bytes: another upload under the same key can't take this one's place.
        name = self._media.name_of(f"{id_}:{sha256.hex()}", form.mime_type)
        media_type = form.media_type or media_type_of(form.mime_type)
        draft = self._draft(id_, form, media_type, self._media.url_of(name))
        self._quota.take(account, 1, len(draft.body))
        now_ms = self._clock.now_ms()
        row = MediaRow(
            name,
            account.row,
            0,
            id_,
            now_ms,
            MediaState.STORED,
            mime_type=form.mime_type,
            size=unfinished.size,
            sha256=sha256,
        )
        self.keeping.add(name)
        try:
            await self._keep(unfinished, row)
            idempotency = None if key is None else Idempotency(key, _fingerprint(form, sha256))
            (receipt,) = await self._ingest.submit(account, draft, idempotency, row)
        finally:
            self.keeping.discard(name)
        if not receipt.repeated:
            self._media.tally.stored += 1
            self._media.tally.stored_bytes += unfinished.size
        return Uploaded(receipt, row, self._media.url_of(name), media_type)

    def _id(self, account: RunningAccount, key: str | None) -> str:
        if key is None:
            return random_id("media_", self._randomness.token(TOKEN_BYTES))
        return derived_id("media_", "upload", account.account.id, key)

    def _draft(self, id_: str, form: UploadForm, media_type: str, url: str) -> Draft:
        data = MediaUpload(form.message_id, media_type, url, form.mime_type or bare_type(None), form.caption)
        draft = draft_of_data(MEDIA_UPLOAD, id_, self._clock.now_ms(), data)
        if len(draft.body) > limits.BODY_BYTES_MAX:
            raise TooLarge(
                "event_too_large", f"the event would have over {limits.BODY_BYTES_MAX:,} bytes; shorten caption"
            )
        return msgspec.structs.replace(draft, timestamp_given=False)

    async def _keep(self, unfinished: UnfinishedFile, row: MediaRow) -> None:
        if await self._history.media(row.name) is not None:
            return  # A repeat: these very bytes are kept already, or were removed since.
        try:
            await self._media.files.keep(unfinished, row.name, content_type(row.mime_type))
        except MediaUnavailable as problem:
            self._media.trouble = problem.reason
            raise _unavailable(problem) from None
        self._media.trouble = None


def _check(form: UploadForm, unfinished: UnfinishedFile) -> None:
    """Raises Invalid with everything that is wrong."""
    errors = []
    if form.media_type is not None and form.media_type not in MEDIA_TYPES:
        errors.append(FieldError("mediaType", f"must be one of {', '.join(MEDIA_TYPES)}"))
    if form.message_id is not None and not 0 < len(form.message_id) <= limits.REFERENCE_CHARS_MAX:
        errors.append(FieldError("messageId", f"must have from 1 to {limits.REFERENCE_CHARS_MAX} characters"))
    if form.caption is not None and len(form.caption) > limits.TEXT_CHARS_MAX:
        errors.append(FieldError("caption", f"must have at most {limits.TEXT_CHARS_MAX:,} characters"))
    if unfinished.size == 0:
        errors.append(FieldError("file", "must not be empty"))
    elif (problem := type_problem(form.mime_type, unfinished.beginning)) is not None:
        errors.append(FieldError("file", f"{problem}; send it with its own Content-Type"))
    if errors:
        raise Invalid(errors)


def _fingerprint(form: UploadForm, sha256: bytes) -> bytes:
    said = msgspec.msgpack.encode([form.mime_type, form.message_id, form.media_type, form.caption])
    return hashlib.blake2b(b"media" + sha256 + said, digest_size=16).digest()


def _unavailable(problem: MediaUnavailable) -> Unavailable:
    return Unavailable("media_unavailable", f"the file can't be kept now: {problem.reason}")
