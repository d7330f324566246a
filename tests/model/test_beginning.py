"""Reading the beginning of a JSON text: whatever was cut off, what is read agrees with the whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.beginning import read_beginning

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def agrees(part: Any, whole: Any) -> bool:
    """Whether ``part`` says nothing that ``whole`` does not say; the last thing in it may be cut."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and agrees(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(agrees, part, whole))
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    return part is None or bool(part == whole)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.integers(0, 400), st.booleans())
def test_what_is_read_of_a_beginning_agrees_with_the_whole(value: dict[str, Any], at: int, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped).encode()
    assert agrees(read_beginning(text[:at]), value)
    assert read_beginning(text) == value


@pytest.mark.parametrize(
    ("beginning", "read"),
    [
        (b'{"event":"a","data":{"from":"+1","text":"Hel', {"event": "a", "data": {"from": "+1", "text": "Hel"}}),
        (b'{"data":{"text":"gr\xc3', {"data": {"text": "gr"}}),
        (b'{"data":{"text":"a\\\\\\', {"data": {"text": "a\\"}}),
        (b'{"data":{"text":"a\\u00', {"data": {"text": "a"}}),
        (b'{"data":{"n":12', {"data": {}}),
        (b'{"data":{"a":1,"b"', {"data": {"a": 1}}),
        (b'{"a":[1,{"b":2},{"c', {"a": [1, {"b": 2}, {}]}),
        (b"nonsense", None),
        (b"", None),
    ],
)
def test_beginnings(beginning: bytes, read: Any) -> None:
    assert read_beginning(beginning) == read
