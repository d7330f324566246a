"""What a search for words finds, in the form bodies have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model import limits
from whatsync.store.search import holds_words, word_forms


def as_typed(text: str) -> tuple[bytes, ...]:
    """The first way of each word."""
    return tuple(forms[0] for forms in word_forms(text))


def test_words_are_parted_by_spaces_and_lower_in_ascii() -> None:
    assert as_typed("  Two Words\tHERE ") == (b"two", b"words", b"here")
    assert as_typed("") == as_typed("   ") == ()
    assert as_typed("ÄB") == ("Äb".encode(),)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_text_holds_its_own_words(text: str) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    assert holds_words(body, text)
    assert holds_words(body, text.swapcase() if text.isascii() else text)


def test_all_words_must_be_there() -> None:
    assert holds_words(b'{"text":"blue whale"}', "whale blue")
    assert not holds_words(b'{"text":"blue whale"}', "blue fish")


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Straße", "STRASSE"), ("STRASSE", "straße"), ("STRAẞE", "strasse"), ("Ünal", "ünal"), ("ünal", "ÜNAL"),
        ("Привет", "ПРИВЕТ"), ("привет", "Привет"), ("ПРИВЕТ", "привет"), ("οδος", "ΟΔΟΣ"),
        ("Óscar Muñoz", "MUÑOZ óscar"),
    ],
)  # fmt: skip
def test_case_makes_no_difference_beyond_ascii(written: str, asked: str) -> None:
    body = json.dumps({"text": f"an {written}!"}, ensure_ascii=False).encode()
    assert holds_words(body, asked)
    assert not holds_words(body, asked + "x")


LETTERS = st.characters(min_codepoint=0xC0, max_codepoint=0x52F, categories=["Ll"]).filter(
    lambda one: len(one.upper()) == 1 and one.upper().lower() == one
)


@given(word=st.text(LETTERS | st.sampled_from("abxyz"), min_size=1, max_size=30))
def test_a_word_is_found_in_each_usual_writing(word: str) -> None:
    written = (word, word.upper(), word.capitalize())
    for one in written:
        body = json.dumps({"text": one}, ensure_ascii=False).encode()
        assert all(holds_words(body, asked) for asked in written)


@given(text=st.text(max_size=limits.SEARCH_CHARS_MAX))
def test_what_is_looked_for_is_bounded_and_begins_as_typed(text: str) -> None:
    forms = word_forms(text)
    assert list(as_typed(text)) == [
        json.dumps(word, ensure_ascii=False)[1:-1].encode().lower() for word in text.split()
    ]
    assert sum(len(of) for of in forms if len(of) > 1) <= limits.SEARCH_FORMS_MAX
    assert all(len(of) <= limits.SEARCH_FORMS_PER_WORD_MAX for of in forms)
    assert all(len(set(of)) == len(of) for of in forms)


def test_very_many_words_are_looked_for_as_typed() -> None:
    forms = word_forms("ÄÖÜ " * 20)
    assert len(forms) == 20
    assert len(forms[0]) == 8
    assert forms[-1] == ("ÄÖÜ".encode(),)
