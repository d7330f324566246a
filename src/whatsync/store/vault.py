"""Secrets at rest: sealed with AES-256-GCM under the installation's one key. Knows no document and no database."""

import binascii
import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Change, Changed, Document, Put, Store, StoreRefused
from whatsync.ports.vault import Vault

KEY_FILE = "encryption.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_PREFIX = "v1:"
SEAL_KIND = "seal"
_SEAL_ID = "check"
_SEALED_WORD = "whatsync"
_SALT = b"whatsync secrets at rest"


class AesVault:
    """Implements ``ports.vault.Vault``. Sealed text is ``v1:`` and base64 of nonce and ciphertext."""

    def __init__(self, key: bytes, randomness: Randomness) -> None:
        self._cipher = AESGCM(key)
        self._key = key
        self._randomness = randomness

    def seal(self, plain: str) -> str:
        """Seal text under a fresh nonce."""
        nonce = self._randomness.token(_NONCE_BYTES)
        return _PREFIX + b64encode(nonce + self._cipher.encrypt(nonce, plain.encode(), None)).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Open sealed text. Raises ValueError where it is damaged or was sealed under another key."""
        try:
            raw = b64decode(sealed.removeprefix(_PREFIX), validate=True)
            if not sealed.startswith(_PREFIX):
                raise ValueError
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError, binascii.Error):
            raise ValueError("this text was not sealed with this installation's key") from None

    def derive(self, purpose: bytes) -> bytes:
        """A key of its own for one purpose."""
        return hmac.digest(self._key, b"derived\0" + purpose, "sha256")


def key_from(secret: str) -> bytes:
    """The key that belongs to ``WHATSYNC_ENCRYPTION_KEY``, which may be any text with enough randomness in it."""
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=_KEY_BYTES)


def key_in(folder: Path, randomness: Randomness) -> bytes:
    """The key kept in the data folder, made on first use. Raises StoreRefused where the file is damaged."""
    path = folder / KEY_FILE
    try:
        key = b64decode(path.read_text("ascii").strip(), validate=True)
    except FileNotFoundError:
        return _make(path, randomness)
    except (OSError, UnicodeDecodeError, binascii.Error) as problem:
        raise StoreRefused(
            f"the encryption key in {path} can't be read ({problem}); restore it from a backup"
        ) from None
    if len(key) != _KEY_BYTES:
        raise StoreRefused(f"the encryption key in {path} is damaged; restore it from a backup")
    return key


def _make(path: Path, randomness: Randomness) -> bytes:
    key = randomness.token(_KEY_BYTES)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, b64encode(key) + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    return key


async def check_key(vault: Vault, store: Store, documents: Sequence[Document]) -> bool:
    """See that the key is the one the database was made with; write down a sealed word on the first start. False where
    another node has just done so: then look again.

    Raises StoreRefused where it is another key.
    """
    for document in documents:
        if document.kind == SEAL_KIND:
            try:
                vault.unseal(document.body.decode())
            except ValueError:
                raise StoreRefused(
                    "this database was made with another encryption key; set WHATSYNC_ENCRYPTION_KEY to that key, "
                    f"or put its {KEY_FILE} back into the data folder"
                ) from None
            return True
    body = vault.seal(_SEALED_WORD).encode()
    changed = await store.change(Change(0, (Put(SEAL_KIND, _SEAL_ID, 0, body, 0),), routing=False))
    return isinstance(changed, Changed)
