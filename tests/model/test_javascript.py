"""Our JSON against the real one: what ``parse`` and ``stringify`` do is what Node.js does, byte for byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.json_texts import EDGES, RandomTexts, json_texts
from tests.model.node_json import NodeJson
from whatsync.model.javascript import (
    NotJson,
    is_deeper,
    is_index,
    number_text,
    parse,
    path_too_deep,
    replace_too_deep,
    stringify,
)


def round_trip(raw: bytes) -> bytes:
    return stringify(parse(raw)).encode("utf-8")


def test_thousands_of_texts_come_back_as_from_node(judge: NodeJson) -> None:
    texts = RandomTexts(seed=1)
    for _ in range(5_000):
        raw = texts.text().encode()
        assert round_trip(raw) == judge.round_trip(raw), raw


@settings(max_examples=500)
@given(text=json_texts())
def test_every_json_text_comes_back_as_from_node(judge: NodeJson, text: str) -> None:
    assert round_trip(text.encode()) == judge.round_trip(text.encode())


@settings(max_examples=2_000)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_written_as_by_node(judge: NodeJson, number: float) -> None:
    assert number_text(number).encode() == judge.round_trip(repr(number).encode())


@pytest.mark.parametrize(
    "text",
    [
        *EDGES,
        '{"b":1,"a":2,"10":3,"9":4,"b":5}',
        '{"4294967295":1,"4294967294":2,"01":3,"1":4}',
        '"\\u0008\\u000c\\u000B\\u001f\\u007f\u2028\u2029\\/"',
        '"\\ud83d\\ude00 \\ud83d \\ude00\\ud83d"',
        '{"\\ud83d":1}',
        '"' + "".join(f"\\u{unit:04x}" for unit in range(0x20)) + '"',
        ' [ ] ', "{ }", "[[],{}]", "1e2000", '"\\u00e9\U0001f600"',
    ],
)  # fmt: skip
def test_nasty_cases(judge: NodeJson, text: str) -> None:
    assert round_trip(text.encode()) == judge.round_trip(text.encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"tru", b"NaN", b"Infinity", b"-", b"01", b"1.", b".5", b"+1", b'"\x1f"', b"{'a':1}", b"[1,]",
        b"1 2",
        b'"\\x41"', b"\xef\xbb\xbf1", b"/**/1", b'{"a" 1}', b"\x0b1",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_by_both(judge: NodeJson, raw: bytes) -> None:
    assert judge.round_trip(raw) is None
    with pytest.raises(NotJson):
        parse(raw)


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(NotJson, match="byte 1"):
        parse(b'"\xff"')


def test_what_is_nested_beyond_reading_is_refused_not_a_crash() -> None:
    with pytest.raises(NotJson, match="deep"):
        parse(b"[" * 200_000 + b"]" * 200_000)


def test_values_beyond_json() -> None:
    assert stringify([float("inf"), float("nan"), 10**400, -(10**400), (1,)]) == "[null,null,null,null,[1]]"
    with pytest.raises(TypeError):
        stringify({"a": object()})


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("0", True), ("10", True), ("4294967294", True), ("4294967295", False), ("01", False), ("", False),
        ("1a", False), ("-1", False), ("٣", False), ("²", False), ("99999999999", False),
    ],
)  # fmt: skip
def test_index_keys(key: str, index: bool) -> None:
    assert is_index(key) is index


@given(text=json_texts(), depth_max=st.integers(0, 4))
def test_depth_is_told_the_same_three_ways(text: str, depth_max: int) -> None:
    def depth(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    # A doubled key hides its first value from the parser, but not from what reads the text: only one side holds.
    value = parse(text.encode())
    if depth(value) > depth_max:
        assert is_deeper(text, depth_max)
    assert is_deeper(text, depth_max) == bool(replace_too_deep(text, depth_max, lambda _: "") != text)
    if depth_max:
        assert bool(path_too_deep(text, depth_max)) == is_deeper(text, depth_max)


def test_the_path_to_what_is_too_deep() -> None:
    text = '{"a":[1,{"b\\"]":[2]},{"c":{"d":[[]]}}],"e":[]}'
    assert path_too_deep(text, 4) == ["a", 2, "c", "d"]
    assert path_too_deep(text, 6) == []
    assert replace_too_deep(text, 4, lambda inner: f"<{inner}>") == (
        '{"a":[1,{"b\\"]":[2]},{"c":{"d":<[[]]>}}],"e":[]}'
    )
