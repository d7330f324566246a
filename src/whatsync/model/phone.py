"""Phone numbers as search words: one spelling for the many ways to write one. What events carry is never changed."""

import re

_NOT_DIGIT = re.compile(r"[^0-9]")
_WRITTEN = re.compile(r"(?:\+|00)?[0-9 ()./\u00a0-]+", re.ASCII)
_DIGITS_MIN = 5
_DIGITS_MAX = 20


def phone_word(text: str) -> str:
    """Return ``+`` and the digits of a phone number however it is written; any other text comes back as it is.

    A leading ``00`` counts as ``+``. Text with letters stays, such as the id WhatsApp gives who hides the number.
    """
    if text[:1] == "+" and text.isascii() and text[1:].isdigit():
        return text
    if _WRITTEN.fullmatch(text) is None:
        return text
    digits = _NOT_DIGIT.sub("", text)
    if text.startswith("00"):
        digits = digits[2:]
    return f"+{digits}" if _DIGITS_MIN <= len(digits) <= _DIGITS_MAX else text


def is_phone(text: str) -> bool:
    """Say whether ``phone_word`` reads this as a phone number."""
    return phone_word(text)[:1] == "+" and any(character.isdigit() for character in text)
