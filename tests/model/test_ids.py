"""Ids and row numbers: what is written reads back, sorts as it should, and never repeats."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.ids import (
    ROW_MAX,
    TOKEN_BYTES,
    Sequence,
    delivery_id,
    delivery_row,
    derived_id,
    first_row_at,
    message_id,
    ms_of,
    random_id,
    row_of,
    row_text,
)

rows = st.integers(0, ROW_MAX)


@given(row=rows)
def test_a_row_number_reads_back(row: int) -> None:
    assert row_of("ev_", row_text("ev_", row)) == row
    assert delivery_row(delivery_id(row)) == row


@given(one=rows, other=rows)
def test_texts_sort_as_their_numbers(one: int, other: int) -> None:
    assert (row_text("x", one) < row_text("x", other)) == (one < other)


def test_texts_of_row_numbers() -> None:
    assert delivery_id(0) == "dlv_0000000000000"
    assert delivery_id(ROW_MAX) == "dlv_7vvvvvvvvvvvv"
    assert delivery_id(1023) == "dlv_00000000000vv"
    for row in (-1, ROW_MAX + 1):
        with pytest.raises(ValueError, match="row number"):
            delivery_id(row)


@pytest.mark.parametrize(
    "text",
    ["", "dlv_", "dlv_000000000000", "dlv_00000000000000", "dlv_000000000000W", "dlv_000000000000w",
     "dlv_8000000000000",
     "evt_0000000000000", "DLV_0000000000000", "dlv_000000000000V", "dlv_ 000000000000", "dlv_00000000000٣0"],
)  # fmt: skip
def test_other_texts_are_no_delivery(text: str) -> None:
    assert delivery_row(text) is None


@given(token=st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES))
def test_random_ids(token: bytes) -> None:
    found = random_id("msg_", token)
    assert found.startswith("msg_")
    assert len(found) == 30
    assert set(found[4:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_random_ids_use_each_character_equally() -> None:
    everything = "".join(random_id("", bytes([value] * TOKEN_BYTES))[0] for value in range(256))
    assert {everything.count(character) for character in everything} == {8}
    with pytest.raises(ValueError, match="26"):
        random_id("msg_", b"short")


def test_a_whatsapp_message_id_is_the_documented_one() -> None:
    wamid = "wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTdCNTg5RjY1MEMyRjlGMjRGNgA="
    digest = hashlib.sha256(b"106540352242922\x00" + wamid.encode()).digest()
    assert message_id("106540352242922", wamid) == "msg_" + base64.b32encode(digest).decode().lower()[:26]
    # Published with the docs: it may never change.
    assert message_id("106540352242922", wamid) == "msg_ubljrdcehhf2pmpmjteokj2ir3"


def test_derived_ids_tell_their_parts_apart() -> None:
    assert derived_id("status_", "a", "bc") != derived_id("status_", "ab", "c")
    assert derived_id("status_", "a", "b") == derived_id("status_", "a", "b")
    assert len(derived_id("media_", "\ud800")) == 32


@given(steps=st.lists(st.integers(-5_000, 5_000), max_size=200), node=st.integers(0, 1023), floor=st.integers(0, 2**62))
def test_a_sequence_only_rises_whatever_the_clock_does(steps: list[int], node: int, floor: int) -> None:
    sequence = Sequence(node, floor)
    now_ms, last = 1_700_000_000_000, floor
    for step in steps:
        now_ms += step
        number = sequence.next(now_ms)
        assert number > last
        assert number & 1023 == node
        assert number <= ROW_MAX
        last = number


def test_a_sequence_tells_the_time_and_runs_ahead_when_a_millisecond_is_full() -> None:
    sequence = Sequence(node=7)
    numbers = [sequence.next(1_700_000_000_000) for _ in range(2_049)]
    assert {ms_of(number) for number in numbers[:-1]} == {1_700_000_000_000}
    assert ms_of(numbers[-1]) == 1_700_000_000_001
    assert ms_of(sequence.next(1_700_000_000_500)) == 1_700_000_000_500
    assert ms_of(sequence.next(1_600_000_000_000)) == 1_700_000_000_500
    assert first_row_at(1_700_000_000_000) <= numbers[0]
    assert first_row_at(1_700_000_000_001) > numbers[-2]
    with pytest.raises(ValueError, match="node"):
        Sequence(1024)
