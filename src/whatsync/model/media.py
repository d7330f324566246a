"""Media files by name and kind: how their public names are made, what a type's extension is, what a browser may show.

Pure. Knows no file and no network.
"""

import hmac
import re
from base64 import b32encode

import msgspec
from msgspec import Raw

from whatsync.model import limits

PURPOSE = b"media names"
"""What the installation's key for names is derived for."""
_NAME_BYTES = 25
_NAME = re.compile(r"[a-z2-7]{40}\.[a-z0-9]{1,8}")
_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
UNKNOWN = "application/octet-stream"

_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/svg+xml": "svg",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/webm": "weba",
    "audio/flac": "flac",
    "video/mp4": "mp4",
    "video/3gpp": "3gp",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/mpeg": "mpeg",
    "application/pdf": "pdf",
    "application/json": "json",
    "application/xml": "xml",
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/gzip": "gz",
    "application/rtf": "rtf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.android.package-archive": "apk",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/css": "css",
    "text/javascript": "js",
    "text/xml": "xml",
    "text/calendar": "ics",
    "text/vcard": "vcf",
    "text/x-vcard": "vcf",
}
_SHOWN = frozenset(
    {
        "image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/heic", "image/bmp",
        "audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/opus", "audio/wav", "audio/x-wav",
        "audio/webm", "audio/flac",
        "video/mp4", "video/3gpp", "video/quicktime", "video/webm", "video/mpeg", "text/plain",
    }
)  # fmt: skip
"""Types a browser shows without running anything in them; all others are offered for saving only."""

_MAGIC: tuple[tuple[int, bytes, frozenset[str]], ...] = (
    (0, b"\xff\xd8\xff", frozenset({"image/jpeg"})),
    (0, b"\x89PNG\r\n\x1a\n", frozenset({"image/png"})),
    (0, b"GIF8", frozenset({"image/gif"})),
    (8, b"WEBP", frozenset({"image/webp"})),
    (4, b"ftyp", frozenset({
        "video/mp4", "audio/mp4", "video/3gpp", "audio/3gpp", "video/quicktime", "image/heic", "image/avif",
    })),
    (0, b"OggS", frozenset({"audio/ogg", "audio/opus", "video/ogg", "application/ogg"})),
    (0, b"#!AMR", frozenset({"audio/amr"})),
    (0, b"ID3", frozenset({"audio/mpeg"})),
    (0, b"%PDF-", frozenset({"application/pdf"})),
    (0, b"\x1aE\xdf\xa3", frozenset({"video/webm", "audio/webm", "video/x-matroska"})),
    (8, b"WAVE", frozenset({"audio/wav", "audio/x-wav"})),
)  # fmt: skip
"""Beginnings that tell what a file is: offset, bytes, and the types that may be declared for it."""
_TOLD_BY_MAGIC = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf", "video/mp4"})
"""Types whose files always begin so."""
MAGIC_BYTES = 16

MEDIA_TYPES = ("image", "video", "audio", "voice", "document", "sticker")


class MediaTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to get a file from WhatsApp, and what ``media.upload`` says when it is here. Kept in ``MediaRow.task``."""

    message_id: str
    """The message's ``msg_…``."""
    number: str
    """``phoneNumberId`` of the business number that received it."""
    media_id: str
    """WhatsApp's own id of the file."""
    media_type: str
    """One of ``MEDIA_TYPES``."""
    media_url: str
    """Our public URL, as told in the message."""
    mime_type: str | None = None
    """As WhatsApp gave it."""
    caption: str | None = None
    sha256: str | None = None
    """As given: hexadecimal or base64."""
    source_url: str | None = None
    """As given in the webhook; short-lived."""
    details: Raw = Raw(b"")
    """JSON of the ``Details`` that ``media.upload`` carries; empty for none."""


_encode_task = msgspec.json.Encoder().encode
_decode_task = msgspec.json.Decoder(MediaTask).decode


def encode_task(task: MediaTask) -> bytes:
    """The bytes kept in ``MediaRow.task``."""
    return _encode_task(task)


def decode_task(raw: bytes) -> MediaTask:
    """Read ``MediaRow.task`` back."""
    return _decode_task(raw)


def media_name(key: bytes, media_id: str, mime_type: str | None) -> str:
    """The last part of a file's URL, known before the file is: 40 letters made of the id of its ``media.upload`` event
    under the installation's key (so that nobody else can work it out), and the extension of its type.
    """
    digest = hmac.digest(key, b"media\0" + media_id.encode("utf-8", "replace"), "sha256")
    return f"{b32encode(digest[:_NAME_BYTES]).decode('ascii').lower()}.{extension_of(mime_type)}"


def is_media_name(text: str) -> bool:
    """Whether a text could be a file's name."""
    return _NAME.fullmatch(text) is not None


def bare_type(mime_type: str | None) -> str:
    """The type without its parameters, in lower case; ``UNKNOWN`` where there is none or it is none."""
    if mime_type is None:
        return UNKNOWN
    bare = mime_type.partition(";")[0].strip().lower()
    return bare if _MIME.fullmatch(bare) else UNKNOWN


def extension_of(mime_type: str | None) -> str:
    """The usual extension of a type, without the dot."""
    return _EXTENSIONS.get(bare_type(mime_type), "bin")


def content_type(mime_type: str | None) -> str:
    """What to say a file is when it is fetched. Never a type that could hold a script for the browser to run in place:
    those are sent for saving (``is_shown``). Text is said to be UTF-8.
    """
    bare = bare_type(mime_type)
    return "text/plain; charset=utf-8" if bare == "text/plain" else bare


def is_shown(mime_type: str | None) -> bool:
    """Whether a browser may show the file in place."""
    return bare_type(mime_type) in _SHOWN


def media_type_of(mime_type: str | None) -> str:
    """WhatsApp's kind of media for a type, where nothing else is said."""
    kind = bare_type(mime_type).partition("/")[0]
    return kind if kind in ("image", "video", "audio") else "document"


def sniffed(beginning: bytes) -> frozenset[str]:
    """Types that a file's first ``MAGIC_BYTES`` bytes speak for; empty where they say nothing."""
    for offset, magic, types in _MAGIC:
        if beginning[offset : offset + len(magic)] == magic:
            return types
    return frozenset()


def type_problem(mime_type: str | None, beginning: bytes) -> str | None:
    """Why a file can't be what it is said to be, as the rest of a sentence; ``None`` if nothing speaks against it."""
    bare, found = bare_type(mime_type), sniffed(beginning)
    if bare in found or bare == UNKNOWN:
        return None
    if found and bare.partition("/")[0] in ("image", "audio", "video"):
        return f"is said to be {bare}, but begins like {min(found)}"
    if bare in _TOLD_BY_MAGIC:
        return f"is said to be {bare}, but does not begin like one"
    return None


def caption_of(text: str | None) -> str | None:
    """A caption, ``None`` where it is empty."""
    return text[: limits.TEXT_CHARS_MAX] if text else None
