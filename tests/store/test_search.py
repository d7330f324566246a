"""What a search for words finds, in the form bodies have."""

import json

from hypothesis import given
from hypothesis import strategies as st

from whatsync.store.search import holds_words, search_words


def test_words_are_parted_by_spaces_and_lower_in_ascii() -> None:
    assert search_words("  Two Words\tHERE ") == (b"two", b"words", b"here")
    assert search_words("") == search_words("   ") == ()
    assert search_words("ÄB") == ("Äb".encode(),)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_text_holds_its_own_words(text: str) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    assert holds_words(body, text)
    assert holds_words(body, text.swapcase() if text.isascii() else text)


def test_all_words_must_be_there() -> None:
    assert holds_words(b'{"text":"blue whale"}', "whale blue")
    assert not holds_words(b'{"text":"blue whale"}', "blue fish")
