"""JSON exactly as JavaScript reads and writes it: ``parse`` is ``JSON.parse``, ``stringify`` is ``JSON.stringify``.

The slow, plain truth about every value; what may stand in a body, and how it is made quickly, is in ``canonical.py``.
"""

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring
from math import isfinite
from typing import NoReturn, cast

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

INDEX_MAX = 2**32 - 2
"""The largest key that JavaScript takes for an array index and so sorts before the others."""
_GZIP = b"\x1f\x8b"
"""How what is compressed begins."""
_INDEX_CHARS_MAX = 10
_EXPONENT_FORM_FROM = 21
_EXPONENT_FORM_BELOW = -6
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_MARK = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_SQUARE = bytes.maketrans(b"{}", b"[]")


class NotJson(ValueError):  # noqa: N818 - reads as what it is
    """Bytes that ``JSON.parse`` would refuse. The message says why and where."""


class Literal(str):
    """A number as it was written, so that it can be judged before it is rounded."""

    __slots__ = ()


def parse(raw: bytes) -> Json:
    """Read JSON as JavaScript does: every number a double, the last of equal keys wins in the place of the first.

    Numbers that are whole and small enough come back as ``int``. Escaped lone surrogates stay. Raises NotJson.
    """
    return cast(Json, _loads(text_of(raw), _double))


def parse_literals(text: str) -> object:
    """Read JSON with each number as the ``Literal`` it was written as. Raises NotJson."""
    return _loads(text, Literal)


def text_of(raw: bytes) -> str:
    """Decode UTF-8. Raises NotJson naming the first bad byte."""
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as problem:
        if raw[:2] == _GZIP:
            raise NotJson("is compressed; send it as it is") from None
        raise NotJson(f"is not UTF-8 (byte {problem.start})") from None


def _loads(text: str, number: type[Literal] | object) -> object:
    try:
        return json.loads(text, parse_int=number, parse_float=number, parse_constant=_constant)  # type: ignore[arg-type]
    except RecursionError:
        raise NotJson("is nested too deeply to be read") from None
    except ValueError as problem:
        raise NotJson(f"is not JSON ({problem})") from None


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} does not exist in JSON")


def _double(literal: str) -> int | float:
    number = float(literal)
    return int(number) if abs(number) <= 2**53 and number.is_integer() else number


def stringify(value: object) -> str:
    """Write a parsed value as JavaScript does. Lone surrogates become escapes, infinity and NaN ``null``."""
    out: list[str] = []
    _write(value, out)
    return "".join(out)


def _write(value: object, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(string_text(value))
    elif value is None or isinstance(value, bool):
        out.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, int | float):
        out.append(number_text(value))
    elif isinstance(value, dict):
        _write_object(value, out)
    elif isinstance(value, list | tuple):
        _write_array(value, out)
    else:
        raise TypeError(f"{type(value).__name__} is no JSON value")


def _write_object(value: dict[str, object], out: list[str]) -> None:
    before = "{"
    for key in ordered_keys(value):
        out.append(f"{before}{string_text(key)}:")
        _write(value[key], out)
        before = ","
    out.append("}" if value else "{}")


def _write_array(value: list[object] | tuple[object, ...], out: list[str]) -> None:
    before = "["
    for item in value:
        out.append(before)
        _write(item, out)
        before = ","
    out.append("]" if value else "[]")


def string_text(value: str) -> str:
    """Write a string: short escapes, ``\\u001f`` for other controls, ``\\udxxx`` for lone surrogates."""
    text: str = encode_basestring(value)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def number_text(value: int | float) -> str:
    """Write a number: plain digits up to 21 places, exponents as ``1e+21`` and ``1e-7``, ``-0`` as ``0``."""
    if isinstance(value, int) and abs(value) <= 2**53:
        return str(value)
    try:
        number = float(value)
    except OverflowError:
        return "null"
    if not isfinite(number):
        return "null"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    digits, point = _shortest(abs(number))
    return sign + _placed(digits, point)


def _shortest(number: float) -> tuple[str, int]:
    """The fewest digits that read back as the same double, and where the point stands counted from their left."""
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return stripped.rstrip("0"), point


def _placed(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= _EXPONENT_FORM_FROM:
        return digits + "0" * (point - count)
    if 0 < point <= _EXPONENT_FORM_FROM:
        return f"{digits[:point]}.{digits[point:]}"
    if _EXPONENT_FORM_BELOW < point <= 0:
        return f"0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{rest}e{point - 1:+d}"


def is_index(key: str) -> bool:
    """Say whether JavaScript takes an object's key for an array index."""
    if not key.isdigit() or not key.isascii() or len(key) > _INDEX_CHARS_MAX:
        return False
    return (key[0] != "0" or key == "0") and int(key) <= INDEX_MAX


def ordered_keys(value: dict[str, object]) -> list[str]:
    """An object's keys as JavaScript lists them: array indexes rising, then the others as they came."""
    indexes = [key for key in value if is_index(key)]
    if not indexes:
        return list(value)
    return sorted(indexes, key=int) + [key for key in value if not is_index(key)]


def is_deeper(text: str, depth_max: int) -> bool:
    """Say whether a JSON text is nested more than ``depth_max`` levels. Quick: no step per value."""
    if text.count("[") + text.count("{") <= depth_max:
        return False
    brackets = _STRING.sub(b"", text.encode("utf-8", "replace")).translate(_SQUARE, _NOT_BRACKETS)
    for _ in range(depth_max):
        # Each turn takes away the innermost level everywhere.
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return bool(brackets)


def replace_too_deep(text: str, depth_max: int, replacement: Callable[[str], str]) -> str:
    """Replace the outermost objects and arrays that lie deeper than ``depth_max`` levels, without recursion.

    What is not closed is left as it is, for the parser to complain about.
    """
    pieces: list[str] = []
    depth = start = done = 0
    for found in _MARK.finditer(text):
        mark = text[found.start()]
        if mark in "[{":
            depth += 1
            if depth == depth_max + 1:
                start = found.start()
        elif mark in "]}":
            if depth == depth_max + 1:
                pieces += (text[done:start], replacement(text[start : found.end()]))
                done = found.end()
            depth -= 1
    return "".join([*pieces, text[done:]])


def path_too_deep(text: str, depth_max: int) -> list[str | int]:
    """The keys and positions that lead to the first value deeper than ``depth_max`` levels; empty without one."""
    steps: list[str | int] = []
    key_next = False
    for found in _MARK.finditer(text):
        mark = text[found.start()]
        if mark in "[{":
            if len(steps) == depth_max:
                return steps
            key_next = mark == "{"
            steps.append("" if key_next else 0)
        elif mark in "]}":
            del steps[-1:]
            key_next = False
        elif mark == ",":
            last = steps[-1] if steps else ""
            key_next = isinstance(last, str)
            if isinstance(last, int):
                steps[-1] = last + 1
        elif key_next:
            steps[-1] = str(found.group()[1:-1])
            key_next = False
    return []
