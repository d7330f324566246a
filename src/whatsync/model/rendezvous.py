"""Who does what among equals, agreed without talking: each looks at the same list and comes to the same answer. Pure.

When a member comes or goes, only what it does itself changes hands.
"""

from collections.abc import Sequence
from hashlib import blake2b


def chosen(post: str, members: Sequence[int]) -> int | None:
    """The member a post falls to; ``None`` where there is nobody."""
    return max(members, key=lambda member: (_weight(post, member), member), default=None)


def _weight(post: str, member: int) -> bytes:
    return blake2b(f"{member}:{post}".encode(), digest_size=8).digest()
