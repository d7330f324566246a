"""Phone numbers as search words: one spelling for each, and nothing that is no number."""

import pytest

from whatsync.model.phone import is_phone, phone_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("+1234567890", "+1234567890"),
        ("1234567890", "+1234567890"),
        ("+1 (234) 567-890", "+1234567890"),
        ("001234567890", "+1234567890"),
        ("1-555-123-4567", "+15551234567"),
        ("+250 788 123 200", "+250788123200"),
        ("US.13491208655302741918", "US.13491208655302741918"),
        ("contact_123", "contact_123"),
        ("123", "123"),
        ("+", "+"),
        ("", ""),
        ("+٣٣٣٣٣٣", "+٣٣٣٣٣٣"),
    ],
)
def test_one_spelling_for_all(text: str, word: str) -> None:
    assert phone_word(text) == word
    assert phone_word(word) == word


def test_what_counts_as_a_phone_number() -> None:
    assert is_phone("+1234567890")
    assert is_phone("1 234 567 890")
    assert not is_phone("contact_123")
    assert not is_phone("order-1")
    assert not is_phone("+")
