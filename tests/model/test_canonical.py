"""What may stand in a body: strict input is kept to the byte or refused by name, lenient input always gets through."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.json_texts import RandomTexts, json_texts
from tests.model.node_json import NodeJson
from whatsync.model import limits
from whatsync.model.canonical import canonical, encode_lenient, member, parse_lenient, whole_text
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.javascript import NotJson, number_text, parse, stringify


def refusals(raw: bytes, field: str = "data") -> list[FieldError]:
    with pytest.raises(Invalid) as caught:
        canonical(raw, field)
    return list(caught.value.errors)


def settles(judge: NodeJson, raw: bytes) -> bool:
    """Check one text: kept as JavaScript has it, or refused with a path. Says which."""
    try:
        settled = canonical(raw, "data")
    except Invalid:
        return False
    assert settled == judge.round_trip(raw) == judge.round_trip(settled)
    assert canonical(settled, "data") == settled
    return True


def softens(judge: NodeJson, raw: bytes) -> None:
    soft = encode_lenient(parse_lenient(raw))
    assert judge.round_trip(soft) == soft
    assert canonical(soft, "data") == soft
    assert encode_lenient(parse_lenient(soft)) == soft


def test_thousands_of_texts_strict_and_lenient(judge: NodeJson) -> None:
    kept = 0
    for halves, forbidden in ((False, False), (True, True)):
        texts = RandomTexts(seed=2, halves=halves, forbidden=forbidden)
        for _ in range(1_500):
            raw = texts.text().encode()
            kept += settles(judge, raw)
            softens(judge, raw)
    assert kept > 1_000


@settings(max_examples=300)
@given(text=json_texts())
def test_any_text_strict_and_lenient(judge: NodeJson, text: str) -> None:
    settles(judge, text.encode())
    softens(judge, text.encode())


@settings(max_examples=3_000)
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_left_to_the_encoder_in_c_are_written_as_javascript_does(number: float) -> None:
    if not number.is_integer() and abs(number) >= 1e-4:
        assert msgspec.json.encode(number).decode() == number_text(number)


@settings(max_examples=1_000)
@given(text=st.text())
def test_strings_of_the_encoder_in_c_are_those_of_javascript(text: str) -> None:
    assert msgspec.json.encode(text).decode() == stringify(text)


@pytest.mark.parametrize(
    ("raw", "field", "word"),
    [
        (b'{"items":[0,1,2,{"price":9007199254740993}]}', "data.items[3].price", "integer"),
        (b'{"n":-9007199254740992}', "data.n", "integer"),
        (b'{"n":1e20}', "data.n", "integer"),
        (b'{"n":9007199254740993.0}', "data.n", "integer"),
        (b'{"n":' + b"9" * 400 + b"}", "data.n", "too large"),
        (b'{"n":1000000000000000000000}', "data.n", "integer"),
        (b'{"n":[-1e309]}', "data.n[0]", "too large"),
        (b'{"a":{"__proto__":1}}', "data.a.__proto__", "rename"),
        (b'{"constructor":{}}', "data.constructor", "rename"),
        (b'{"__pr\\u006fto__":1}', "data.__proto__", "rename"),
        (b'{"a":"x\\ud83d"}', "data.a", "\\ud83d"),
        (b'{"a":["\\ude00\\ud83d"]}', "data.a[0]", "surrogate"),
        (b'{"a\\ud800":1}', 'data["a\ufffd"]', "surrogate"),
        (b'{"unit price":1e400}', 'data["unit price"]', "too large"),
        (b'{"a":"\xff"}', "data", "UTF-8"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "data.a" + "[0]" * 63, "64 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "data" + "[0]" * 64, "64 levels"),
        (b'{"a":1', "data", "JSON"),
    ],
)
def test_what_cannot_survive_is_refused_by_name(raw: bytes, field: str, word: str) -> None:
    errors = refusals(raw)
    assert [error.field for error in errors] == [field]
    assert word in errors[0].message


def test_several_mistakes_are_named_at_once_and_not_without_end() -> None:
    errors = refusals(b'{"a":1e400,"b":["\\ud800"],"constructor":99999999999999999}')
    assert [error.field for error in errors] == ["data.a", "data.b[0]", "data.constructor", "data.constructor"]
    assert len(refusals(b"[" + b",".join([b"1e999"] * 1000) + b"]")) == 50


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"a":9007199254740991,"b":-9007199254740991}', None),
        (b'{"a":1e21,"b":1.5e300}', b'{"a":1e+21,"b":1.5e+300}'),
        (b"[" * 64 + b"]" * 64, None),
        (b' {"b" : -0.0, "2": 1.0, "1" : 1E2 } ', b'{"1":100,"2":1,"b":0}'),
        (b'{"a":1,"b":2,"a":3}', b'{"a":3,"b":2}'),
        (b'"\\u00e9\\/\\u007f"', '"é/\x7f"'.encode()),
        (b"1e-400", b"0"),
    ],
)
def test_what_survives_is_kept(raw: bytes, kept: bytes | None) -> None:
    assert canonical(raw, "data") == (raw if kept is None else kept)


def test_a_long_key_is_shortened_in_the_path() -> None:
    assert member("data", "k" * 500) == f'data["{"k" * 60}…"]'
    assert member("", "from") == "from"
    assert member("data", 'a"b') == 'data["a\\"b"]'


# Lenient


@pytest.mark.parametrize(
    ("raw", "soft"),
    [
        (b'{"n":9007199254740993}', b'{"n":"9007199254740993"}'),
        (b'{"n":[1e400,-1e400,1e20]}', b'{"n":["1e400","-1e400","1e20"]}'),
        (b'{"t":"a\\ud83db\\ude00"}', '{"t":"a\ufffdb\ufffd"}'.encode()),
        (b'{"\\ud83d":1}', '{"\ufffd":1}'.encode()),
        (
            b'{"__proto__":1,"a":{"constructor":2,"constructor_":3}}',
            b'{"__proto___":1,"a":{"constructor__":2,"constructor_":3}}',
        ),
        (b'"\xff"', '"\ufffd"'.encode()),
        (b'{"b":1.0,"1":2}', b'{"1":2,"b":1}'),
        (b"NaN", b'"NaN"'),
        (b"[" * 64 + b'{"a":"]"}' + b"]" * 64, b"[" * 64 + b'"{\\"a\\":\\"]\\"}"' + b"]" * 64),
    ],
)  # fmt: skip
def test_lenient_input_is_never_refused(raw: bytes, soft: bytes) -> None:
    assert encode_lenient(parse_lenient(raw)) == soft


def test_depth_without_end_becomes_text() -> None:
    value = json.loads(encode_lenient(parse_lenient(b"[" * 100_000 + b"]" * 100_000)))
    for _ in range(63):
        assert isinstance(value, list)
        value = value[0]
    assert value == ["[" * (100_000 - 64) + "]" * (100_000 - 64)]


def test_lenient_reading_of_no_json() -> None:
    with pytest.raises(NotJson):
        parse_lenient(b"{")
    with pytest.raises(NotJson):
        parse_lenient(b"[" * 100_000)


def test_plain_values_from_elsewhere() -> None:
    deep: object = "x"
    for _ in range(70):
        deep = [deep]
    assert json.loads(encode_lenient([deep])) is not None
    assert encode_lenient((10**30, float("inf"), float("-inf"), float("nan"), 2.0**60, True, None, 1e-9)) == (
        b'["1000000000000000000000000000000","Infinity","-Infinity","NaN","1152921504606847000",true,null,1e-9]'
    )
    assert encode_lenient({"details": 1, "a": {"details": 2}}, frozenset({"details"})) == (
        b'{"details_":1,"a":{"details":2}}'
    )
    with pytest.raises(TypeError):
        encode_lenient(object())


def test_halves_of_one_character_that_stand_side_by_side_are_joined() -> None:
    assert whole_text("\ud83d\ude00") == "😀"
    assert whole_text("\ude00\ud83d") == "\ufffd\ufffd"
    assert whole_text("plain é") == "plain é"


@given(text=json_texts(forbidden=False, halves=False))
def test_the_slow_way_and_the_quick_way_agree(text: str) -> None:
    try:
        quick = canonical(text.encode(), "data")
    except Invalid:
        return
    assert quick == stringify(parse(text.encode())).encode()


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_what_lies_at_the_deepest_level_stays_and_what_lies_below_becomes_text(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    most = limits.JSON_DEPTH_MAX
    deepest = (opening * most + "1" + closing * most).encode()
    assert encode_lenient(parse_lenient(deepest)) == deepest
    for below in ("[]", "{}"):
        deeper = (opening * most + below + closing * most).encode()
        assert encode_lenient(parse_lenient(deeper)) == (opening * most + f'"{below}"' + closing * most).encode()
