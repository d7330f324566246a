"""Reads an upload's form as it comes: the file goes to an unfinished file piece by piece, fields stay small.

Knows python-multipart; nothing of what is done with the file.
"""

from collections.abc import AsyncIterator

import msgspec
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid, Malformed, TooLarge
from whatsync.ports.media_store import UnfinishedFile

FILE = "file"
_FORM = b"multipart/form-data"


class Form(msgspec.Struct, frozen=True):
    """An upload's fields, the file aside."""

    fields: dict[str, str]
    content_type: str | None
    """As the file's own part says."""


class _Part:
    """One part of the form while it comes."""

    __slots__ = ("content_type", "data", "header", "name", "value")

    def __init__(self) -> None:
        self.header = bytearray()
        self.value = bytearray()
        self.name: str | None = None
        self.content_type: str | None = None
        self.data = bytearray()

    def end_header(self) -> None:
        """A header is complete."""
        header, value = bytes(self.header).lower(), bytes(self.value)
        self.header.clear()
        self.value.clear()
        if header == b"content-disposition":
            _, options = parse_options_header(value)
            self.name = options.get(b"name", b"").decode("utf-8", "replace")
        elif header == b"content-type":
            self.content_type = value.decode("latin-1").strip() or None


class FormReader:
    """Takes a form of the fields ``names`` and one file. ``read`` once."""

    def __init__(self, content_type: str | None, names: frozenset[str], unfinished: UnfinishedFile) -> None:
        self._names = names
        self._unfinished = unfinished
        self._fields: dict[str, str] = {}
        self._content_type: str | None = None
        self._part = _Part()
        self._has_file = False
        self._ended = False
        self._parts = 0
        self._field_bytes = 0
        self._file_data: list[bytes] = []
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_header_field": lambda data, start, end: self._part.header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._part.value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._headers,
                "on_end": self._finish,
            },
        )

    async def read(self, stream: AsyncIterator[bytes]) -> Form:
        """Read to the end. Raises Malformed, Invalid, TooLarge, and MediaUnavailable from the file."""
        try:
            async for piece in stream:
                if piece:
                    self._parser.write(piece)
                    await self._hand_on()
        except MultipartParseError as problem:
            raise Malformed("malformed_form", f"the body is not multipart/form-data: {problem}") from None
        if not self._ended:
            raise Malformed("malformed_form", "the form ends before its closing boundary")
        if not self._has_file:
            raise Invalid([FieldError(FILE, "is missing; send the file as a part of this name")])
        return Form(self._fields, self._content_type)

    async def _hand_on(self) -> None:
        pieces, self._file_data = self._file_data, []
        for data in pieces:
            await self._unfinished.write(data)
        if self._unfinished.size > limits.MEDIA_BYTES_MAX:
            raise TooLarge("file_too_large", f"a file may have at most {limits.MEDIA_BYTES_MAX:,} bytes")

    # What the parser calls

    def _begin(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > limits.UPLOAD_PARTS_MAX:
            raise TooLarge("too_many_parts", f"a form may have at most {limits.UPLOAD_PARTS_MAX} parts")

    def _end_header(self) -> None:
        self._part.end_header()

    def _headers(self) -> None:
        part = self._part
        if part.name is None:
            raise Malformed("malformed_form", "a part of the form has no name")
        if part.name != FILE and part.name not in self._names:
            known = ", ".join((FILE, *sorted(self._names)))
            raise Invalid(
                [FieldError(part.name[: limits.WORD_CHARS_MAX], f"is no field of this form; there are {known}")]
            )
        if part.name in self._fields or (part.name == FILE and self._has_file):
            raise Invalid([FieldError(part.name, "is given twice; give it once")])
        if part.name == FILE:
            self._has_file = True
            self._content_type = part.content_type

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE:
            self._file_data.append(data[start:end])
            return
        self._field_bytes += end - start
        if self._field_bytes > limits.UPLOAD_FIELD_BYTES_MAX:
            raise TooLarge("fields_too_large", f"the fields may have at most {limits.UPLOAD_FIELD_BYTES_MAX:,} bytes")
        self._part.data += data[start:end]

    def _end(self) -> None:
        name = self._part.name
        if name is None or name == FILE:
            return
        try:
            self._fields[name] = self._part.data.decode("utf-8")
        except UnicodeDecodeError:
            raise Invalid([FieldError(name, "is not UTF-8 text")]) from None

    def _finish(self) -> None:
        self._ended = True


def _boundary(content_type: str | None) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != _FORM or not 0 < len(boundary) <= 200:
        raise Malformed("malformed_form", "send the file as multipart/form-data, as curl -F file=@photo.jpg does")
    return boundary
