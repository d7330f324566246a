"""Secrets: how they are read and refused, and their calm rotation from one to the next."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.errors import Conflict, Invalid
from whatsync.model.secret import (
    NEW_SECRET_BYTES,
    Rotation,
    SecretSet,
    new_secret,
    parse_secret,
    rotate,
    secret_problem,
    standard_key,
    switch,
    whole_key,
)

OLD, NEW, OTHER = (new_secret(bytes([value]) * NEW_SECRET_BYTES) for value in (1, 2, 3))
NOW = 1_700_000_000_000
DAY = 86_400_000


@given(token=st.binary(min_size=NEW_SECRET_BYTES, max_size=NEW_SECRET_BYTES))
def test_a_new_secret_is_a_good_one(token: bytes) -> None:
    secret = new_secret(token)
    assert parse_secret(secret) == secret
    assert standard_key(secret) == token
    assert whole_key(secret) == secret.encode()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "whsec_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"),
        ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"),
        (" " + OLD, "white space"),
        (OLD + "\n", "white space"),
        ("whsec_", "24 to 64 bytes"),
        ("whsec_abc", "padding"),
        ("whsec_" + "é" * 32, "other characters"),
        ("whsec_Mf KQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "other characters"),
        ("whsec_" + "-_" * 16, "URL-safe"),
        ("whsec_" + b64encode(b"x" * 23).decode(), "it has 23"),
        ("whsec_" + b64encode(b"x" * 65).decode(), "it has 65"),
        ("whsec_" + b64encode(b"x" * 25).decode().rstrip("="), "padding"),
        ("whsec_" + b64encode(b"x" * 25).decode()[:-3] + "B==", "stray bits"),
    ],
)
def test_a_bad_secret_is_refused_in_words(text: str, word: str) -> None:
    problem = secret_problem(text)
    assert problem is not None
    assert word in problem
    with pytest.raises(ValueError, match=word):
        parse_secret(text)


@pytest.mark.parametrize("size", [24, 25, 26, 32, 64])
def test_own_secrets_of_allowed_lengths(size: int) -> None:
    secret = "whsec_" + b64encode(bytes(range(size))).decode()
    assert parse_secret(secret) == secret


def test_without_a_rotation_one_secret_signs() -> None:
    assert SecretSet(OLD).signing_secrets(NOW) == (OLD, (OLD,))


def test_a_rotation_switches_at_its_end() -> None:
    secrets = rotate(SecretSet(OLD), NEW, Rotation(), NOW)
    assert secrets.signing_secrets(NOW) == (OLD, (OLD, NEW))
    assert secrets.signing_secrets(NOW + DAY - 1) == (OLD, (OLD, NEW))
    assert secrets.signing_secrets(NOW + DAY) == (NEW, (NEW,))
    assert not secrets.is_rotating(NOW + DAY)


def test_a_rotation_is_switched_by_hand() -> None:
    secrets = switch(rotate(SecretSet(OLD), NEW, Rotation(), NOW), NOW + 5_000)
    assert secrets.signing_secrets(NOW + 4_999) == (OLD, (OLD, NEW))
    assert secrets.signing_secrets(NOW + 5_000) == (NEW, (NEW, OLD))
    assert secrets.signing_secrets(NOW + DAY) == (NEW, (NEW,))
    assert switch(secrets, NOW + 6_000) is secrets
    assert switch(SecretSet(OLD), NOW) == SecretSet(OLD)


def test_a_rotation_switches_at_a_given_time() -> None:
    rotation = Rotation(switch_at="2023-11-14T23:13:20Z", overlap_seconds=7_200)
    secrets = rotate(SecretSet(OLD), NEW, rotation, NOW)
    assert secrets.signing_secrets(NOW + 3_599_999)[0] == OLD
    assert secrets.signing_secrets(NOW + 3_600_000) == (NEW, (NEW, OLD))
    assert secrets.signing_secrets(NOW + 7_200_000) == (NEW, (NEW,))


def test_a_leaked_secret_goes_at_once_even_in_a_rotation() -> None:
    leaked = Rotation(switch_at="now", overlap_seconds=0)
    assert rotate(SecretSet(OLD), NEW, leaked, NOW) == SecretSet(NEW)
    running = rotate(SecretSet(OLD), NEW, Rotation(), NOW)
    assert rotate(running, OTHER, leaked, NOW + 1) == SecretSet(OTHER)


def test_now_with_an_overlap() -> None:
    secrets = rotate(SecretSet(OLD), NEW, Rotation(switch_at="now", overlap_seconds=60), NOW)
    assert secrets.signing_secrets(NOW) == (NEW, (NEW, OLD))
    assert secrets.signing_secrets(NOW + 60_000) == (NEW, (NEW,))


def test_a_second_rotation_waits_for_the_first() -> None:
    running = rotate(SecretSet(OLD), NEW, Rotation(), NOW)
    with pytest.raises(Conflict, match="2023-11-15T22:13:20Z"):
        rotate(running, OTHER, Rotation(), NOW + 1)
    after = rotate(running, OTHER, Rotation(), NOW + DAY)
    assert after.signing_secrets(NOW + DAY) == (NEW, (NEW, OTHER))


@pytest.mark.parametrize(
    ("rotation", "field"),
    [
        (Rotation(overlap_seconds=-1), "overlapSeconds"),
        (Rotation(overlap_seconds=10**9), "overlapSeconds"),
        (Rotation(switch_at="later"), "switchAt"),
        (Rotation(switch_at="2023-11-14T22:13:19Z"), "switchAt"),
        (Rotation(switch_at="2023-11-16T22:13:20Z"), "switchAt"),
    ],
)
def test_a_wrong_rotation_is_refused_by_field(rotation: Rotation, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        rotate(SecretSet(OLD), NEW, rotation, NOW)
    assert [error.field for error in caught.value.errors] == [field]


def test_rotating_to_a_secret_in_use_is_refused() -> None:
    with pytest.raises(Invalid, match="in use"):
        rotate(SecretSet(OLD), OLD, Rotation(), NOW)


@given(
    overlap=st.integers(0, 2 * 86_400),
    wanted=st.sampled_from(("end", "now")),
    at=st.lists(st.integers(0, 3 * DAY), min_size=2, max_size=20),
)
def test_the_primary_changes_once_and_always_signs(overlap: int, wanted: str, at: list[int]) -> None:
    secrets = rotate(SecretSet(OLD), NEW, Rotation(wanted, overlap), NOW)
    primaries = []
    for offset in sorted(at):
        primary, valid = secrets.signing_secrets(NOW + offset)
        assert valid[0] == primary
        assert NEW in valid
        primaries.append(primary)
    assert primaries == sorted(primaries, key=[OLD, NEW].index)
