"""What a search for words means, the same for every store. Knows bytes only."""

import json


def search_words(text: str) -> tuple[bytes, ...]:
    """The words of a search as they stand in a body: parted by spaces, lower-case in ASCII, escaped as JSON does."""
    return tuple(json.dumps(word, ensure_ascii=False)[1:-1].encode().lower() for word in text.split())


def holds_words(body: bytes, text: str) -> bool:
    """Whether all words of ``text`` stand in the body, compared without case (ASCII)."""
    lower = body.lower()
    return all(word in lower for word in search_words(text))
