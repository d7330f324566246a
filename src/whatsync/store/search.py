"""What a search for words means, the same for every store. Knows bytes only.

A store compares bytes, without case in ASCII alone: that is quick, and the same in every database. Letters beyond ASCII
are told in each way the word may be written in, so that ``ünal`` finds ``Ünal`` and ``STRASSE`` finds ``Straße``.
"""

import json
import re
from itertools import product
from math import prod

from whatsync.model import limits

_UNITS = re.compile(r"[sS][sS]|.", re.DOTALL)
_SHARP = ("ss", "ß", "ẞ")


def word_forms(text: str) -> tuple[tuple[bytes, ...], ...]:
    """For each word of a search the ways it may be written in a body, as typed first: one of them must stand there.

    All ways in which its letters beyond ASCII can be upper or lower case; of a word with many of them the usual ones. A
    search of very many words is looked for as typed from some word on.
    """
    found = []
    room = limits.SEARCH_FORMS_MAX
    for word in text.split():
        forms = tuple(dict.fromkeys(_in_body(form) for form in _ways(word)))
        if len(forms) > max(room, 1):
            forms = forms[:1]
        room -= len(forms)
        found.append(forms)
    return tuple(found)


def holds_words(body: bytes, text: str) -> bool:
    """Whether all words of ``text`` stand in the body, compared without case."""
    lower = body.lower()
    return all(any(form in lower for form in forms) for forms in word_forms(text))


def _in_body(word: str) -> bytes:
    """A word as it stands in a body: lower-case in ASCII, escaped as JSON does."""
    return json.dumps(word, ensure_ascii=False)[1:-1].encode().lower()


def _ways(word: str) -> list[str]:
    choices = [_either(unit) for unit in _UNITS.findall(word)]
    if prod(map(len, choices)) <= limits.SEARCH_FORMS_PER_WORD_MAX:
        return [word, *map("".join, product(*choices))]
    usual = [word, word.lower(), word.upper(), word.capitalize()]
    return [*usual, *(one.replace("ß", "ss") for one in usual), *(one.replace("ss", "ß") for one in usual)]


def _either(unit: str) -> tuple[str, ...]:
    """A letter in both cases, where its case is beyond ASCII; ``ss`` and its other writing."""
    if unit.lower() in _SHARP:
        return _SHARP
    if unit.isascii():
        return (unit,)
    return tuple(one for one in dict.fromkeys((unit, unit.lower(), unit.upper())) if len(one) == 1)
