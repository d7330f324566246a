"""What msgspec complains about, as a field and a sentence of our own: which field, what is wrong, and what would be
right. Pure; knows no HTTP library.
"""

import difflib
import enum
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from whatsync.model.errors import FieldError

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$.*|key in .*)`)?$", re.DOTALL)
_FIELD = re.compile(r"(?P<how>missing required|contains unknown) field `(?P<field>[^`]*)`")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<at>\d+)\]|(?P<any>\[\.\.\.\])")
_TYPES = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "an array",
    "object": "an object", "null": "null",
}  # fmt: skip
_NEAR = 0.6


def field_error(message: str, takes: Any, value: Any) -> FieldError:
    """Turn msgspec's sentence about a value that should have been a ``takes`` into ours."""
    match = _AT.match(message)
    assert match is not None
    what, path = match["what"], match["path"] or "$"
    if not path.startswith("$"):
        return FieldError("", _sentence(what, None))
    found = _first_wrong(takes, value, list(_STEP.finditer(path)))
    hint, field = (None, path[1:].removeprefix(".")) if found is None else found
    named = _FIELD.search(what)
    if named is None:
        return FieldError(field, _sentence(what, hint))
    inner = f"{field}.{named['field']}" if field else named["field"]
    if named["how"] == "missing required":
        return FieldError(inner, "is missing; it is required")
    return FieldError(inner, _unknown(named["field"], hint))


def _first_wrong(hint: Any, value: Any, steps: list[re.Match[str]], field: str = "") -> tuple[Any, str] | None:
    """What is wanted where the path leads, and the path with the keys that msgspec leaves open."""
    if not steps:
        return hint, field
    step, rest = steps[0], steps[1:]
    if step["name"] is not None:
        inner = value.get(step["name"]) if isinstance(value, Mapping) else None
        return _first_wrong(_of_field(hint, step["name"]), inner, rest, f"{field}.{step['name']}".lstrip("."))
    if step["at"] is not None:
        at = int(step["at"])
        inner = value[at] if isinstance(value, list) and at < len(value) else None
        return _first_wrong(_of_items(hint), inner, rest, f"{field}[{at}]")
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        try:
            msgspec.convert(inner, _of_items(hint))
        except msgspec.ValidationError:
            return _first_wrong(_of_items(hint), inner, rest, f"{field}.{key}".lstrip("."))
    return None


def _parts(hint: Any) -> Iterator[Any]:
    """The alternatives of a type, without their annotations."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        yield from _parts(typing.get_args(hint)[0])
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def _struct(hint: Any) -> type[msgspec.Struct] | None:
    for part in _parts(hint):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def _of_field(hint: Any, name: str) -> Any:
    struct = _struct(hint)
    for field in () if struct is None else msgspec.structs.fields(struct):
        if field.encode_name == name:
            return field.type
    return Any


def _of_items(hint: Any) -> Any:
    """What stands inside an array, or behind an object's keys."""
    for part in _parts(hint):
        inner = [one for one in typing.get_args(part) if one is not Ellipsis]
        if inner:
            return inner[-1]
    return Any


def _unknown(name: str, hint: Any) -> str:
    struct = _struct(hint)
    known = [] if struct is None else [field.encode_name for field in msgspec.structs.fields(struct)]
    if not known:
        return "is not known here; nothing is"
    near = difflib.get_close_matches(name, known, 1, _NEAR)
    meant = f"did you mean {near[0]}? " if near else ""
    return (
        f"is not known here; {meant}there are {', '.join(known)}"
        if len(known) > 1
        else (f"is not known here; there is {known[0]}")
    )


def _words(kind: str) -> str:
    return " or ".join(_TYPES.get(part, part) for part in kind.replace("`", "").split(" | "))


def _sentence(what: str, hint: Any) -> str:
    expected = re.fullmatch(r"Expected (`[^`]+`)(.*?)(?:, got (`[^`]+`))?", what, re.DOTALL)
    if expected is not None:
        kind, more, given = expected[1], expected[2], expected[3]
        return f"must be {_words(kind)}{_bounds(kind, more)}" + ("" if given is None else f", not {_words(given)}")
    if what.startswith("Invalid enum value"):
        return f"must be {_choices(hint)}, not {what.removeprefix('Invalid enum value ')}"
    if what.startswith("Invalid RFC3339"):
        return "must be a time such as 2023-06-15T14:22:33Z (RFC 3339, with Z or an offset)"
    return what[:1].lower() + what[1:].replace("`", "")


def _choices(hint: Any) -> str:
    words: list[str] = []
    for part in _parts(hint):
        if isinstance(part, type) and issubclass(part, enum.Enum):
            words += [str(one.value) for one in part]
        elif typing.get_origin(part) is typing.Literal:
            words += [str(one) for one in typing.get_args(part)]
    return f"one of {', '.join(words)}" if words else "one of the documented words"


_BOUNDS = ((">=", "at least"), ("<=", "at most"), (">", "above"), ("<", "below"))


def _bounds(kind: str, more: str) -> str:
    length = more.startswith(" of length ")
    for sign, words in _BOUNDS:
        found = re.fullmatch(rf"(?: of length)? {sign} (\S+)", more)
        if found is not None and length:
            return f" with {words} {found[1]} {'items' if 'array' in kind else 'characters'}"
        if found is not None:
            return f" {words} {found[1]}" if len(sign) == 1 else f" of {words} {found[1]}"
    return more
