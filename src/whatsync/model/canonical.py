"""The one form in which JSON may stand in a body: the bytes ``JSON.stringify(JSON.parse(body))`` gives back unchanged.

``settle`` is strict and serves the API: what JavaScript would change is refused, with the path of the field.
``parse_lenient`` and ``encode_lenient`` serve WhatsApp: nothing is refused, what JavaScript would change becomes text.
"""

import json
import re
from math import isfinite
from typing import cast

import msgspec

from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.javascript import (
    Json,
    Literal,
    NotJson,
    is_deeper,
    is_index,
    number_text,
    ordered_keys,
    parse,
    parse_literals,
    path_too_deep,
    replace_too_deep,
    stringify,
    text_of,
)

FORBIDDEN_KEYS = frozenset({"__proto__", "constructor"})
"""Keys that reach into an object's prototype in careless JavaScript; many receivers' parsers refuse or drop them."""
REPLACEMENT = "\ufffd"

_PLAIN_FROM = 1e-4
"""From here up, and with a fraction, the encoder in C writes a double as JavaScript does (proven by a test)."""
_EXPONENT_FROM = 1e21
_KEY_CHARS_SHOWN = 60
_DIGITS = frozenset("0123456789")
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_LONE_SURROGATE = re.compile(
    "[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]"  # one half without the other
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ODD = object()

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Something JavaScript would change; the slow way says what and where."""


# Strict


def canonical(raw: bytes | msgspec.Raw, field: str) -> bytes:
    """Return the canonical bytes of any JSON value. Raises Invalid with paths that begin with ``field``."""
    return _encode(settle(raw, field))


def settle(raw: bytes | msgspec.Raw, field: str) -> object:
    """Read JSON as a value that msgspec encodes to its canonical bytes. Raises Invalid with paths below ``field``."""
    try:
        return _settled(_decode(raw), 1)
    except (_Refused, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        plain = bytes(raw)
        errors = explain(plain, field)
        if errors:
            raise Invalid(errors) from None
        return _settled(parse(plain), 1)


def _settled(value: object, depth: int) -> object:
    """Settle a freshly decoded value, in place where it can."""
    kind = type(value)
    if kind is dict:
        return _settled_object(value, depth)  # type: ignore[arg-type]
    if kind is list:
        _enter(depth)
        items: list[object] = value  # type: ignore[assignment]
        for at, item in enumerate(items):
            if type(item) is not str:
                items[at] = _settled(item, depth + 1)
    elif kind is int:
        if not -limits.JSON_INTEGER_MAX <= value <= limits.JSON_INTEGER_MAX:  # type: ignore[operator]
            raise _Refused
    elif kind is float:
        return _settled_double(value)  # type: ignore[arg-type]
    return value


def _settled_object(value: dict[str, object], depth: int) -> dict[str, object]:
    _enter(depth)
    indexed = False
    for key, item in value.items():
        if key in FORBIDDEN_KEYS:
            raise _Refused
        if key[:1] in _DIGITS and is_index(key):
            indexed = True
        if type(item) is not str:
            value[key] = _settled(item, depth + 1)
    return {key: value[key] for key in ordered_keys(value)} if indexed else value


def _enter(depth: int) -> None:
    if depth > limits.JSON_DEPTH_MAX:
        raise _Refused


def _settled_double(number: float) -> int | float | msgspec.Raw:
    if number.is_integer():
        if -limits.JSON_INTEGER_MAX <= number <= limits.JSON_INTEGER_MAX:
            return int(number)
        if abs(number) < _EXPONENT_FROM:
            raise _Refused
    elif abs(number) >= _PLAIN_FROM:
        return number
    return msgspec.Raw(number_text(number).encode("ascii"))


# Strict, in words


def explain(raw: bytes, field: str, levels_around: int = 0) -> list[FieldError]:
    """Name everything in a JSON value that can't survive JavaScript, up to ``FIELD_ERRORS_MAX`` places. Slow.

    ``levels_around`` are levels of ``raw`` that do not count as the data's own.
    """
    depth_max = limits.JSON_DEPTH_MAX + levels_around
    try:
        text = text_of(raw)
        if is_deeper(text, depth_max):
            return [depth_problem(text, field, depth_max)]
        value = parse_literals(text)
    except NotJson as problem:
        return [FieldError(field, f"{problem}; send UTF-8 JSON")]
    errors: list[FieldError] = []
    _examine(value, field, errors)
    return errors[: limits.FIELD_ERRORS_MAX]


def depth_problem(text: str, field: str, depth_max: int) -> FieldError:
    """Name the first value in a JSON text that lies deeper than ``depth_max`` levels."""
    path = field
    for step in path_too_deep(text, depth_max):
        path = f"{path}[{step}]" if isinstance(step, int) else member(path, step)
    return FieldError(path, f"lies deeper than {limits.JSON_DEPTH_MAX} levels; send it flatter or as text")


def _examine(value: object, path: str, errors: list[FieldError]) -> None:
    if len(errors) >= limits.FIELD_ERRORS_MAX:
        return
    if isinstance(value, Literal):
        message = _number_problem(value)
        if message is not None:
            errors.append(FieldError(path, message))
    elif isinstance(value, str):
        _examine_text(value, path, errors)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            _examine(item, f"{path}[{at}]", errors)
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = member(path, key)
            if key in FORBIDDEN_KEYS:
                message = f"has the key {key}, which JavaScript receivers take amiss; rename it"
                errors.append(FieldError(inner, message))
            _examine_text(key, inner, errors)
            _examine(item, inner, errors)


def _examine_text(text: str, path: str, errors: list[FieldError]) -> None:
    found = None if text.isascii() else _SURROGATE.search(text)
    if found is not None:
        half = f"\\u{ord(found.group()):04x}"
        message = f"holds {half}, half of a surrogate pair, which is no character; send the whole or leave it out"
        errors.append(FieldError(path, message))


def _number_problem(literal: str) -> str | None:
    number = float(literal)
    if not isfinite(number):
        return "is too large for a number; send it as a string"
    if _is_unsafe(literal, number):
        return f"is an integer beyond ±{limits.JSON_INTEGER_MAX}, which JavaScript would change; send it as a string"
    return None


def _is_unsafe(literal: str, number: float) -> bool:
    """Say whether a number stands in JavaScript as an integer that may not be the one that was written."""
    if abs(number) <= limits.JSON_INTEGER_MAX:
        return False
    return abs(number) < _EXPONENT_FROM or literal.lstrip("-").isdigit()


def member(path: str, key: str) -> str:
    """The path of an object's member: ``data.price``, or ``data["unit price"]`` where the key is no plain word."""
    if _PLAIN_KEY.fullmatch(key) and len(key) <= _KEY_CHARS_SHOWN:
        return f"{path}.{key}" if path else key
    shown = key if len(key) <= _KEY_CHARS_SHOWN else key[:_KEY_CHARS_SHOWN] + "…"
    quoted = json.dumps(_SURROGATE.sub(REPLACEMENT, shown), ensure_ascii=False)
    return f"{path}[{quoted}]"


# Lenient


def parse_lenient(raw: bytes) -> Json:
    """Read JSON from WhatsApp as plain values that ``encode_lenient`` writes without loss. Raises NotJson only.

    Integers beyond ±(2^53-1) and numbers too large become the text they were written as; lone surrogates and bytes
    that are no UTF-8 become U+FFFD; the keys ``__proto__`` and ``constructor`` get ``_`` appended until the name is
    free; what lies deeper than 64 levels becomes its JSON text.
    """
    try:
        plain = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        plain = _ODD
    if plain is not _ODD and _is_plain(plain):
        return cast(Json, plain)
    text = raw.decode("utf-8", "replace")
    if is_deeper(text, limits.JSON_DEPTH_MAX):
        text = replace_too_deep(text, limits.JSON_DEPTH_MAX, _quoted)
    try:
        value = json.loads(text, parse_int=_soft_literal, parse_float=_soft_literal, object_pairs_hook=_soft_pairs)
    except (ValueError, RecursionError) as problem:
        raise NotJson(f"is not JSON ({problem})") from None
    return cast(Json, _without_halves(value) if "\\u" in text else value)


def _is_plain(value: object) -> bool:
    """Whether the encoder in C writes a value just as the slow way would: for nearly everything that ever comes.

    Lone surrogates are not looked for: the decoder refuses them, and so does the encoder.
    """
    level = [value]
    for _ in range(limits.JSON_DEPTH_MAX):
        below: list[object] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                for key in item:  # type: ignore[attr-defined]
                    if key in FORBIDDEN_KEYS or key[:1] in _DIGITS:
                        return False
                below += item.values()  # type: ignore[attr-defined]
            elif kind is list:
                below += item  # type: ignore[arg-type]
            elif kind is not str and not _is_plain_scalar(item):
                return False
        if not below:
            return True
        level = below
    return all(type(item) is str or _is_plain_scalar(item) for item in level)


def _is_plain_scalar(value: object) -> bool:
    if type(value) is int:
        return -limits.JSON_INTEGER_MAX <= value <= limits.JSON_INTEGER_MAX
    return value is None or type(value) is bool


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _soft_literal(literal: str) -> int | float | str:
    number = float(literal)
    if not isfinite(number) or _is_unsafe(literal, number):
        return literal
    return int(number) if abs(number) <= limits.JSON_INTEGER_MAX and number.is_integer() else number


def _soft_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    return found if found.keys().isdisjoint(FORBIDDEN_KEYS) else _renamed(found, FORBIDDEN_KEYS)


def _renamed(value: dict[str, object], forbidden: frozenset[str]) -> dict[str, object]:
    taken = set(value)
    renamed: dict[str, object] = {}
    for key, item in value.items():
        name = key
        if key in forbidden:
            while name in taken:
                name += "_"
            taken.add(name)
        renamed[name] = item
    return renamed


def _without_halves(value: object) -> object:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        return {whole_text(key): _without_halves(item) for key, item in value.items()}
    return value


def whole_text(text: str) -> str:
    """Replace each lone surrogate by U+FFFD; halves that stand side by side become the character they mean."""
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return _LONE_SURROGATE.sub(REPLACEMENT, text).encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def encode_lenient(value: object, forbidden: frozenset[str] = frozenset()) -> bytes:
    """Return the canonical bytes of a plain value, by the rules of ``parse_lenient``; never raises on a JSON value.

    Infinity and NaN, which JSON has not, become their names as text. ``forbidden`` are further keys to rename on top.
    """
    if forbidden and isinstance(value, dict) and not value.keys().isdisjoint(forbidden):
        value = _renamed(value, forbidden)
    if _is_plain(value):
        try:
            return _encode(value)
        except UnicodeEncodeError:
            pass  # Half of a surrogate pair.
    return _encode(_soft(value, 1))


def _soft(value: object, depth: int) -> object:
    if isinstance(value, str):
        return whole_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= limits.JSON_INTEGER_MAX else str(value)
    if isinstance(value, float):
        return _soft_double(value)
    if depth > limits.JSON_DEPTH_MAX:
        return whole_text(stringify(value))
    if isinstance(value, dict):
        return _soft_object(value, depth)
    if isinstance(value, list | tuple):
        return [_soft(item, depth + 1) for item in value]
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _soft_object(value: dict[str, object], depth: int) -> dict[str, object]:
    soft = {whole_text(key): _soft(item, depth + 1) for key, item in value.items()}
    if not soft.keys().isdisjoint(FORBIDDEN_KEYS):
        soft = _renamed(soft, FORBIDDEN_KEYS)
    if any(key[:1] in _DIGITS for key in soft):
        soft = {key: soft[key] for key in ordered_keys(soft)}
    return soft


def _soft_double(number: float) -> object:
    if not isfinite(number):
        return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"
    try:
        return _settled_double(number)
    except _Refused:
        return number_text(number)
