"""Bodies and queries into the structs a route takes, with problems that name the field. Pure; knows no HTTP library."""

import types
import typing
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from whatsync.model.errors import FieldError, Invalid, Malformed
from whatsync.web.complaints import field_error


@cache
def _decoder(takes: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(takes)


def decode_body(takes: Any, body: bytes) -> Any:
    """Decode a JSON body. Raises Malformed where it is no JSON, Invalid where its values are wrong."""
    if not body.strip():
        raise Malformed("empty_body", "the request has no body; send a JSON object")
    try:
        return _decoder(takes).decode(body)
    except msgspec.ValidationError as problem:
        raise Invalid([field_error(str(problem), takes, _untyped(body))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed("malformed_json", f"the body is not JSON: {problem}") from None


def _untyped(body: bytes) -> Any:
    """A body as it is, to find a place in; nothing where what follows the first mistake is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_query(takes: Any, pairs: Sequence[tuple[str, str]]) -> Any:
    """Decode a query string's pairs. A list field takes repeated parameters and commas alike."""
    many = _list_fields(takes)
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in many:
            values.setdefault(name, []).extend(part for part in value.split(",") if part)
        elif name in values:
            raise Invalid([FieldError(name, "is given twice; give it once")])
        else:
            values[name] = value
    try:
        return msgspec.convert(values, takes, strict=False)
    except msgspec.ValidationError as problem:
        raise Invalid([field_error(str(problem), takes, values)]) from None


class _NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The query of a route that has none."""


def refuse_query(pairs: Sequence[tuple[str, str]]) -> None:
    """Refuse parameters on a route that takes none: a misspelt filter must not be passed over in silence."""
    decode_query(_NoQuery, pairs)


@cache
def _list_fields(takes: Any) -> frozenset[str]:
    hints = typing.get_type_hints(takes)
    return frozenset(field.encode_name for field in msgspec.structs.fields(takes) if _holds_list(hints[field.name]))


def _holds_list(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_holds_list(part) for part in typing.get_args(hint))
    return (origin or hint) in (list, tuple, set, frozenset)
