"""The head of a request: what others gave can never begin a header of its own."""

from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.request import attempt_head, header_text


def head(number: str, wamid: str) -> bytes:
    return attempt_head("message.incoming", "msg_1", "dlv_1", 1, 1_700_000_000, bytes(64), 3, number, wamid)


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_whatever_the_ids_are_the_headers_are_the_same(number: str, wamid: str) -> None:
    names = [line.partition(b":")[0] for line in head(number, wamid).split(b"\r\n")]
    assert names == [line.partition(b":")[0] for line in head("1", "2").split(b"\r\n")]
    assert all(0x20 <= byte < 0x7F for byte in head(number, wamid).replace(b"\r\n", b""))


def test_an_id_of_whatsapp_stays_as_it_is() -> None:
    assert header_text("wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA==") == (
        "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA=="
    )
    assert header_text("a\r\nX-Evil: é%") == "a%0D%0AX-Evil: %C3%A9%25"
