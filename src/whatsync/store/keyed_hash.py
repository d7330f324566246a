"""The hash by which words (ids, phone numbers, contacts) are looked up: keyed, so that nobody outside can choose words
that fall together. Knows no table.
"""

import hashlib
from collections.abc import Callable

Hash = Callable[[int, str], int]
"""The 63-bit hash of an account's word."""
_KEPT_MAX = 20_000
_MET_AGAIN = ("phone:", "contact:", "order:")


def keyed_hash(key: bytes) -> Hash:
    """The hash of this installation: nobody who does not know ``key`` can choose words that fall together."""
    begin = hashlib.blake2b(digest_size=8, key=key).copy
    begun: dict[int, hashlib.blake2b] = {}
    met: dict[tuple[int, str], int] = {}

    def hash_of(account: int, word: str) -> int:
        # People write more than once; everything else comes once.
        meets_again = word.startswith(_MET_AGAIN)
        if meets_again:
            known = met.get((account, word))
            if known is not None:
                return known
        state = begun.get(account)
        if state is None:
            if len(begun) >= _KEPT_MAX:
                begun.clear()
            state = begin()
            state.update(b"%d:" % account)
            begun[account] = state
        state = state.copy()
        state.update(word.encode("utf-8", "surrogatepass"))
        value = int.from_bytes(state.digest(), "big") >> 1
        if meets_again:
            if len(met) >= _KEPT_MAX:
                met.clear()
            met[account, word] = value
        return value

    return hash_of
