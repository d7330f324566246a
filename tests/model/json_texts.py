"""JSON as anybody could write it: every spelling of numbers and strings, doubled and index-like keys.

Once as a Hypothesis strategy, which shrinks, and once from a seed, which makes thousands a second.
"""

import json
import random

from hypothesis import strategies as st

KEYS = ("a", "b", "10", "2", "0", "01", "-1", "4294967294", "4294967295", "4294967296", "constructor_", "é", "", "1.0")
FORBIDDEN = ("__proto__", "constructor")
EDGES = (
    "0", "-0", "-0.0", "0e5", "1e21", "1e20", "999999999999999999999", "1e-6", "1e-7", "0.000001234", "1.5e300",
    "5e-324", "1e400", "-1e400", "1e-400", "9007199254740991", "9007199254740992", "9007199254740993",
    "-9007199254740992", "123456789012345680000", "1.7976931348623157e308", "0.1", "1E5", "1e+5",
    "100.0", "1.10", "4.35", "2.5e-8",
)  # fmt: skip

PIECES = (
    "a", " ", "é", "😀", "\u2028", "\u2029", "\x7f", "/", "\\/", '\\"', "\\\\", "\\b", "\\f", "\\n", "\\r", "\\t",
    "\\u0000", "\\u000B", "\\u001f", "\\u00e9", "\\u0041", "\\ud83d\\ude00", "\\uD83D\\uDE00", "\\u2028", "\\uffff",
    "[", "}", ",", ":",
)  # fmt: skip
HALVES = ("\\ud83d", "\\uDE00", "\\udfff", "\\uD800")

_plain_texts = st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False))


def number_texts() -> st.SearchStrategy[str]:
    """A number in one of its many spellings."""
    digits = st.integers(0, 10**22).map(str)
    fractions = st.one_of(st.just(""), digits.map(lambda text: "." + text))
    exponents = st.one_of(st.just(""), st.integers(-330, 330).map(lambda power: f"e{power:+d}"), st.just("E7"))
    return st.tuples(st.sampled_from(("", "-")), digits, fractions, exponents).map("".join)


def string_texts(halves: bool = True) -> st.SearchStrategy[str]:
    """A string literal, characters raw or escaped, lone surrogates always escaped."""
    pieces = st.lists(st.sampled_from(PIECES + (HALVES if halves else ())), max_size=6)
    return st.one_of(_plain_texts, pieces.map(lambda found: '"' + "".join(found) + '"'))


def _objects(values: st.SearchStrategy[str], keys: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(keys, values).map(lambda pair: f"{pair[0]} :{pair[1]}")
    return st.lists(members, max_size=6).map(lambda all_members: "{" + ",\n".join(all_members) + "}")


def json_texts(forbidden: bool = True, halves: bool = True) -> st.SearchStrategy[str]:
    """Any JSON text; without what strict input refuses where told so (numbers may still be refused)."""
    names = (*KEYS, *(FORBIDDEN if forbidden else ()))
    keys = st.one_of(st.sampled_from(names).map(json.dumps), string_texts(halves))
    numbers = st.one_of(
        number_texts(),
        st.sampled_from(EDGES),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.integers(-(2**54), 2**54).map(str),
    )
    leaves = st.one_of(st.sampled_from(("null", "true", "false")), numbers, string_texts(halves))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda items: "[ " + " ,".join(items) + "]"), _objects(inner, keys)
        ),
        max_leaves=12,
    )


class RandomTexts:
    """JSON texts from a seed."""

    def __init__(self, seed: int, halves: bool = True, forbidden: bool = True) -> None:
        self._random = random.Random(seed)
        self._pieces = PIECES + (HALVES if halves else ())
        self._keys = (*KEYS, *(FORBIDDEN if forbidden else ()))

    def text(self, depth: int = 4) -> str:
        """One more text."""
        kind = self._random.random()
        if depth and kind < 0.25:
            members = [f"{self._key()} :{self.text(depth - 1)}" for _ in range(self._random.randrange(6))]
            return "{ " + ",\n".join(members) + "}"
        if depth and kind < 0.45:
            return "[" + ", ".join(self.text(depth - 1) for _ in range(self._random.randrange(5))) + " ]"
        if kind < 0.7:
            return self._string()
        return self._number() if kind < 0.95 else self._random.choice(("null", "true", "false"))

    def _key(self) -> str:
        return json.dumps(self._random.choice(self._keys)) if self._random.random() < 0.6 else self._string()

    def _string(self) -> str:
        return '"' + "".join(self._random.choices(self._pieces, k=self._random.randrange(6))) + '"'

    def _number(self) -> str:
        draw = self._random
        kind = draw.random()
        if kind < 0.3:
            return draw.choice(EDGES)
        if kind < 0.5:
            return repr(draw.uniform(-1, 1) * 10 ** draw.randint(-30, 30))
        whole = str(draw.randrange(10 ** draw.randint(1, 24)))
        fraction = draw.choice(("", "." + str(draw.randrange(10**9)), ".0"))
        return draw.choice(("", "-")) + whole + fraction + draw.choice(("", "", f"e{draw.randint(-340, 310)}", "E2"))
