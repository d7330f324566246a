"""Secrets at rest: what is sealed opens with the same key only, and a wrong key is noticed when a server starts."""

import stat
from base64 import b64decode
from pathlib import Path

import pytest

from whatsync.net.system import SystemRandomness
from whatsync.ports.store import StoreRefused
from whatsync.store.memory import MemoryStore
from whatsync.store.memory.disk import Disk
from whatsync.store.vault import KEY_FILE, AesVault, check_key, key_from, key_in

RANDOMNESS = SystemRandomness()


@pytest.mark.parametrize("plain", ["", "whsec_abc", "ä€𝄞", "x" * 10_000])
def test_what_is_sealed_opens_again_and_never_looks_the_same(plain: str) -> None:
    vault = AesVault(key_from("key"), RANDOMNESS)
    first, second = vault.seal(plain), vault.seal(plain)
    assert first != second
    assert vault.unseal(first) == vault.unseal(second) == plain
    assert not plain or plain not in first


@pytest.mark.parametrize("damaged", ["", "v1:", "v1:AAAA", "v1:not base64", "plain text", "v2:AAAA"])
def test_what_was_not_sealed_here_does_not_open(damaged: str) -> None:
    with pytest.raises(ValueError, match="not sealed with this"):
        AesVault(key_from("key"), RANDOMNESS).unseal(damaged)


def test_another_key_opens_nothing() -> None:
    sealed = AesVault(key_from("key"), RANDOMNESS).seal("secret")
    with pytest.raises(ValueError, match="not sealed with this"):
        AesVault(key_from("Key"), RANDOMNESS).unseal(sealed)


def test_a_changed_byte_is_noticed() -> None:
    vault = AesVault(key_from("key"), RANDOMNESS)
    sealed = vault.seal("secret")
    for at in range(3, len(sealed)):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        if b64decode(changed[3:] + "==") == b64decode(sealed[3:] + "=="):
            continue
        with pytest.raises(ValueError, match="not sealed with this"):
            vault.unseal(changed)


def test_the_folder_s_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = key_in(tmp_path, RANDOMNESS)
    assert len(key) == 32
    assert key_in(tmp_path, RANDOMNESS) == key
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ=", b"\xff\xfe", b"not base64!"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(StoreRefused, match="restore it from a backup"):
        key_in(tmp_path, RANDOMNESS)
    assert (tmp_path / KEY_FILE).read_bytes() == content


async def test_a_database_knows_its_key() -> None:
    disk = Disk()
    store = MemoryStore(disk)
    await check_key(AesVault(key_from("one"), RANDOMNESS), store, (await store.open(0, "t")).documents)
    await store.close()
    store = MemoryStore(disk)
    opened = await store.open(0, "t")
    await check_key(AesVault(key_from("one"), RANDOMNESS), store, opened.documents)
    with pytest.raises(StoreRefused, match="another encryption key"):
        await check_key(AesVault(key_from("two"), RANDOMNESS), store, opened.documents)


def test_a_purpose_has_a_key_of_its_own() -> None:
    one, other = (AesVault(key_from(secret), RANDOMNESS) for secret in ("one", "other"))
    keys = {vault.derive(purpose) for vault in (one, other) for purpose in (b"a", b"b")}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 4
    assert one.derive(b"a") == AesVault(key_from("one"), RANDOMNESS).derive(b"a")
