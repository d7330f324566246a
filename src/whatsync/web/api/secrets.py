"""Signing secrets as the API shows and rotates them, for accounts and endpoints alike. Knows no route."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.rotation import SecretFacts
from whatsync.web.api.call import Time, show_time_or_none


class SecretView(msgspec.Struct, frozen=True, rename="camel"):
    """A signing secret; while a rotation runs, the old one beside the new one."""

    secret: Annotated[str, Meta(description="The newest secret, to be used from now on", examples=["whsec_…"])]
    own: Annotated[bool, Meta(description="The endpoint's own; false where it is the account's")]
    previous_secret: Annotated[str, Meta(description="Signed with too until `overlapUntil`")] | None
    signature_made_with: Annotated[
        str, Meta(description="Which of them `X-WhatsSync-Signature` is made with now: `secret` or `previousSecret`")
    ]
    switch_at: Time | None
    overlap_until: Time | None
    rotated_at: Time | None


def secret_view(facts: SecretFacts) -> SecretView:
    """Write secrets down for their owner."""
    return SecretView(
        secret=facts.current,
        own=facts.own,
        previous_secret=facts.previous,
        signature_made_with="secret" if facts.switched else "previousSecret",
        switch_at=show_time_or_none(facts.switch_at_ms),
        overlap_until=show_time_or_none(facts.overlap_until_ms),
        rotated_at=show_time_or_none(facts.rotated_ms),
    )
