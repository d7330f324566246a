"""The shape of data, read once from its struct: for JSON Schema, for the docs, and for saying what is wrong with input.

The structs are the one source; this file only reads them. Knows no event type.
"""

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from whatsync.model import limits
from whatsync.model.canonical import member
from whatsync.model.errors import FieldError
from whatsync.model.timestamp import NotATime, parse_time

TIME = {"kind": "time"}
OBJECT = {"kind": "object"}
OBJECT_OR_NULL = {"kind": "object", "nullable": True}
ANYTHING = {"kind": "any", "nullable": True}
"""``extra`` of a field's ``Meta``: text that is a time, raw JSON that must be an object or may be anything."""
_NEAR = 0.6
"""How alike a wrong name and a known one must be to be meant."""


class Field(msgspec.Struct, frozen=True):
    """One field: its JSON types (``string``, ``integer``, …), limits and meaning; no type means any JSON."""

    name: str
    types: tuple[str, ...]
    nullable: bool
    required: bool
    """Whether input must have it; in what is sent every field stands."""
    description: str = ""
    chars_min: int | None = None
    chars_max: int | None = None
    is_time: bool = False
    values: tuple[str, ...] = ()
    fields: tuple["Field", ...] = ()

    @property
    def is_scalar(self) -> bool:
        """Whether it holds a single value one can filter by."""
        return bool(self.types) and not {"object", "array"} & set(self.types)


def fields_of(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of a struct in their order."""
    shape = inspect.type_info(struct)
    assert isinstance(shape, inspect.StructType)
    return tuple(_field(field) for field in shape.fields)


def _field(field: inspect.Field) -> Field:
    facts: dict[str, Any] = {"types": (), "nullable": False}
    _read(field.type, facts)
    return Field(name=field.encode_name, required=field.required, **facts)


def _read(shape: inspect.Type, facts: dict[str, Any]) -> None:
    if isinstance(shape, inspect.Metadata):
        _read(shape.type, facts)
        facts.update({name: text for name, text in (shape.extra_json_schema or {}).items() if name == "description"})
        extra = shape.extra or {}
        facts["nullable"] = facts["nullable"] or extra.get("nullable", False)
        if extra.get("kind") == "time":
            facts["is_time"] = True
        elif extra.get("kind") == "object":
            facts["types"] = ("object",)
    elif isinstance(shape, inspect.UnionType):
        for one in shape.types:
            _read(one, facts)
    elif isinstance(shape, inspect.NoneType):
        facts["nullable"] = True
    elif isinstance(shape, inspect.StructType):
        facts["types"] += ("object",)
        facts["fields"] = tuple(_field(field) for field in shape.fields)
    elif isinstance(shape, inspect.LiteralType):
        facts["types"] += ("string",)
        facts["values"] = tuple(str(value) for value in shape.values)
    elif not isinstance(shape, inspect.RawType):
        _read_scalar(shape, facts)


def _read_scalar(shape: inspect.Type, facts: dict[str, Any]) -> None:
    if isinstance(shape, inspect.StrType):
        facts["types"] += ("string",)
        facts["chars_min"] = shape.min_length
        facts["chars_max"] = shape.max_length
    elif isinstance(shape, inspect.IntType):
        facts["types"] += ("integer",)
    elif isinstance(shape, inspect.BoolType):
        facts["types"] += ("boolean",)
    else:
        raise TypeError(f"a field of an event can't be a {type(shape).__name__}")


# JSON Schema 2020-12


def object_schema(fields: Sequence[Field], as_sent: bool) -> dict[str, Any]:
    """The schema of an object with these fields: as sent all of them stand, as input only the required ones must."""
    return {
        "type": "object",
        "properties": {field.name: _field_schema(field, as_sent) for field in fields},
        "required": [field.name for field in fields if as_sent or field.required],
        "additionalProperties": False,
    }


def _field_schema(field: Field, as_sent: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if field.fields:
        schema = object_schema(field.fields, as_sent)
    types = [*field.types, *(["null"] if field.nullable else [])]
    if field.types:
        schema["type"] = types[0] if len(types) == 1 else types
    if field.description:
        schema["description"] = field.description
    if field.values:
        schema["enum"] = [*field.values, *([None] if field.nullable else [])]
    if field.chars_min:
        schema["minLength"] = field.chars_min
    if field.is_time:
        schema["format"] = "date-time"
    elif field.chars_max:
        schema["maxLength"] = field.chars_max
    return schema


# What is wrong with input


def _meant(name: str, known: Collection[str]) -> str:
    longest = 2 * max(map(len, known), default=0)  # nothing longer is alike, and comparing it would take long
    near = difflib.get_close_matches(name, known, 1, _NEAR) if len(name) <= longest else []
    return f"did you mean {near[0]}? " if near else ""


def problems(value: object, fields: Sequence[Field], path: str) -> list[FieldError]:
    """Everything wrong with a parsed JSON value that should be an object with these fields, each with its path."""
    if not isinstance(value, dict):
        return [FieldError(path, f"must be an object, not {_word(value)}")]
    known = {field.name: field for field in fields}
    errors = [
        FieldError(member(path, key), f"is not a field here; {_meant(key, known)}there are {', '.join(known)}")
        for key in value
        if key not in known
    ]
    for field in fields:
        inner = member(path, field.name)
        if field.name in value:
            errors += _field_problems(value[field.name], field, inner)
        elif field.required:
            errors.append(FieldError(inner, f"is missing; it must be {_wanted(field)}"))
    return errors[: limits.FIELD_ERRORS_MAX]


def value_problem(value: object, field: Field) -> str | None:
    """Say why a single value can never stand in this field and what could, ``None`` where it can."""
    return next((error.message for error in _field_problems(value, field, "")), None)


def value_of(word: str, field: Field) -> str | int | float | bool | None:
    """The value that a typed word means in this field: the word itself where it takes text or nothing else is meant."""
    if "string" in field.types:
        return word
    try:
        return msgspec.json.decode(word.encode(), type=str | int | float | bool | None)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return word


def _field_problems(value: object, field: Field, path: str) -> list[FieldError]:
    word = _word(value)
    if (word == "null" and field.nullable) or not field.types:
        return []
    if word not in {_ARTICLES[one] for one in field.types}:
        return [FieldError(path, f"must be {_wanted(field)}, not {word}")]
    if isinstance(value, str):
        message = _text_problem(value, field)
        return [] if message is None else [FieldError(path, message)]
    return problems(value, field.fields, path) if field.fields else []


def _text_problem(text: str, field: Field) -> str | None:
    if field.values and text not in field.values:
        return f"must be one of {', '.join(field.values)}"
    if field.chars_min and not text:
        return "is empty; leave it out or send null" if field.nullable else "must not be empty"
    if field.chars_max and len(text) > field.chars_max:
        return f"has {len(text):,} characters; at most {field.chars_max:,} are allowed"
    if field.is_time:
        try:
            parse_time(text)
        except NotATime as problem:
            return str(problem)
    return None


_ARTICLES = {"string": "a string", "integer": "an integer", "boolean": "true or false", "object": "an object"}


def _wanted(field: Field) -> str:
    words = [_ARTICLES[one] for one in field.types] or ["any JSON"]
    return " or ".join([*words, *(["null"] if field.nullable else [])])


def _word(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number with a fraction"
    return "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"
