"""docs/whatsapp.md: its test vectors are what the code computes, and its tables name what the code makes."""

import re

from tests.docs.pages import page
from tests.sources.whatsapp.cloud import escaped
from tests.sources.whatsapp.kinds import BODIES
from whatsync.model.ids import derived_id, message_id
from whatsync.sources.whatsapp.payloads import read

NUMBER = "106540352242922"
WAMID = "wamid.HBgLMTIzNDU2Nzg5MBUCABEYEjA="


def test_the_vectors_are_right() -> None:
    text = page("whatsapp.md")
    assert f"phone number id `{NUMBER}`, wamid `{WAMID}`" in text
    for made in (
        message_id(NUMBER, WAMID),
        derived_id("status_", NUMBER, WAMID, "delivered", ""),
        derived_id("media_", NUMBER, WAMID, "1234567890"),
    ):
        assert f"| `{made}` |" in text


def test_the_events_it_names_are_made() -> None:
    named = set(re.findall(r"`(whatsapp\.[a-z_]+)`", page("whatsapp.md")))
    made = {one.event_type for given in BODIES.values() for one in read(escaped(given), 0).arrivals}
    assert named <= made, named - made
