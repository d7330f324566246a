"""Routes of media files: uploading one, and fetching one by its unguessable name."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.uploads import Uploaded, UploadForm
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.errors import FieldError, Invalid, Unavailable
from whatsync.model.media import UNKNOWN, bare_type, content_type, is_shown
from whatsync.ports.media import MediaRow
from whatsync.ports.media_store import MediaUnavailable
from whatsync.web.accepting import idempotency_of
from whatsync.web.api.call import Answer, Call, Route, Stream
from whatsync.web.multipart import FormReader
from whatsync.web.problems import RangeNotSatisfiable

_FIELDS = frozenset({"messageId", "caption", "mediaType"})
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
CACHE_SECONDS = 3_600
_SAFETY = {
    # Files come from strangers: whatever they hold, a browser runs nothing of it and takes it for nothing else.
    "content-security-policy": "default-src 'none'; img-src 'self'; media-src 'self'; sandbox",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    # The name is the secret, no cookie counts here: pages of the account's own may load it from anywhere.
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "Content-Length, Content-Range, ETag",
    "cross-origin-resource-policy": "cross-origin",
}


class UploadFields(msgspec.Struct, frozen=True, rename="camel"):
    """The parts of an upload's form."""

    file: Annotated[
        str,
        Meta(
            extra_json_schema={"format": "binary"},
            description="The file, with its media type as the part's Content-Type",
        ),
    ]
    message_id: Annotated[
        str, Meta(min_length=1, max_length=limits.REFERENCE_CHARS_MAX, description="The message it belongs to, `msg_…`")
    ] = ""
    caption: Annotated[str, Meta(max_length=limits.TEXT_CHARS_MAX, description="A text with it")] = ""
    media_type: Annotated[
        str,
        Meta(
            pattern="^(image|video|audio|voice|document|sticker)$",
            description="`image`, `video`, `audio`, `voice`, `document` or `sticker`; left out: by its type",
        ),
    ] = ""


class UploadView(msgspec.Struct, frozen=True, rename="camel"):
    """A file that is kept, and the event that told of it."""

    id: str
    event: str
    timestamp: str
    deliveries: int
    media_url: str
    media_type: str
    mime_type: str
    size: Annotated[int, Meta(description="In bytes")]
    sha256: Annotated[str, Meta(description="Of the bytes, in hexadecimal")]


# Uploading


async def post_media(call: Call) -> Answer:
    """Keeps a file and makes a `media.upload` event of it.

    Send `multipart/form-data` with the part `file`; it may have up to 128 MiB. A 201 means that the file and the event
    with all its deliveries are on disk. An `Idempotency-Key` makes repeating it safe: the same upload is answered 200
    with the first result.
    """
    assert call.stream is not None
    key = _key(call)
    uploads = call.services.uploads
    unfinished = await uploads.begin(call.account)
    try:
        reader = FormReader(call.headers.get("content-type"), _FIELDS, unfinished)
        form = await reader.read(call.stream)
        uploaded = await uploads.accept(call.account, unfinished, _form(form.fields, form.content_type), key)
    except MediaUnavailable as problem:
        raise Unavailable("media_unavailable", f"the file can't be kept now: {problem.reason}") from None
    finally:
        await unfinished.discard()
    return _uploaded(uploaded, keyed=key is not None)


def _key(call: Call) -> str | None:
    key = call.headers.get("idempotency-key")
    return None if key is None else idempotency_of(key.encode("latin-1"), b"").key


def _form(fields: dict[str, str], given: str | None) -> UploadForm:
    """The form as the engine takes it; an empty field counts as left out."""
    if given is not None and (len(given) > limits.WORD_CHARS_MAX or not given.isprintable()):
        raise Invalid(
            [FieldError("file", f"has a Content-Type of over {limits.WORD_CHARS_MAX} characters, or unreadable")]
        )
    known = given is not None and bare_type(given) != UNKNOWN
    return UploadForm(
        mime_type=given if known else None,
        message_id=fields.get("messageId") or None,
        media_type=fields.get("mediaType") or None,
        caption=fields.get("caption") or None,
    )


def _uploaded(uploaded: Uploaded, keyed: bool) -> Answer:
    receipt, row = uploaded.receipt, uploaded.row
    view = UploadView(
        receipt.id,
        receipt.event,
        receipt.timestamp,
        receipt.deliveries,
        uploaded.url,
        uploaded.media_type,
        row.mime_type or UNKNOWN,
        row.size or 0,
        row.sha256.hex(),
    )
    headers = {"location": uploaded.url}
    if receipt.repeated:
        return Answer(200, view, headers | ({"idempotent-replayed": "true"} if keyed else {}))
    return Answer(201, view, headers)


# Fetching


async def get_media(call: Call) -> Answer:
    """The file. Its name can't be guessed, and whoever knows it may fetch it: no key is needed.

    Where the bytes are still on their way here, the answer waits up to 20 seconds for them; then it is 425 with
    `Retry-After`. What will never come, or was removed, is 410 with the reason. Parts can be asked for with `Range`.
    Files that could harm a browser are sent for saving.
    """
    media = call.services.media
    row = await media.find(call.path["file"])
    headers = _headers(row)
    if _is_known(call.headers.get("if-none-match"), headers["etag"]):
        return Answer(304, None, headers)
    size = row.size or 0
    part = _part(call, headers["etag"], size)
    kind = content_type(row.mime_type)
    if part is None:
        return Answer(200, Stream(size, await media.read(row, 0, size)), headers, kind)
    start, length = part
    headers["content-range"] = f"bytes {start}-{start + length - 1}/{size}"
    return Answer(206, Stream(length, await media.read(row, start, length)), headers, kind)


def _headers(row: MediaRow) -> dict[str, str]:
    shown = "inline" if is_shown(row.mime_type) else "attachment"
    return {
        **_SAFETY,
        "etag": f'"{row.sha256.hex()}"',
        "cache-control": f"private, max-age={CACHE_SECONDS}, immutable",
        "accept-ranges": "bytes",
        "content-disposition": f'{shown}; filename="{row.name}"',
    }


def _is_known(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in known or etag in known


def _part(call: Call, etag: str, size: int) -> tuple[int, int] | None:
    """Start and length of the part that is asked for; ``None`` for all of it. Raises RangeNotSatisfiable.

    What is no single range of bytes is passed over, as the standard lets a server do.
    """
    asked = _RANGE.fullmatch(call.headers.get("range", "").strip())
    if asked is None or call.headers.get("if-range", etag) != etag:
        return None
    first, last = asked.groups()
    if first:
        start, end = int(first), int(last) if last else size - 1
        if end < start and last:
            return None
    elif last:
        start, end = max(size - int(last), 0), size - 1
        if int(last) == 0:
            start = size
    else:
        return None
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, min(end, size - 1) - start + 1


ROUTES = (
    Route(
        "POST", "/v1/media", Scope.EVENTS_WRITE, post_media, "Upload a file",
        takes=UploadFields, streams=True, gives={201: UploadView, 200: UploadView}, problems=(400, 413),
        headers={"Idempotency-Key": "1 to 255 printable ASCII characters; remembered for 8 days"},
    ),
    Route(
        "GET", "/media/{file}", None, get_media, "Fetch a file",
        gives={200: bytes, 206: bytes, 304: None}, problems=(404, 410, 416, 425), content_type="*/*",
        headers={"Range": "One range of bytes, such as `bytes=0-1023`"},
    ),
)  # fmt: skip
