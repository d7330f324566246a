"""Both signatures: against published vectors, the standard library and the official Standard Webhooks one."""

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.secret import new_secret
from whatsync.model.signature import DIGEST_BYTES, Hmac, Signer, hex_signature, standard_signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = new_secret(bytes(range(24)))


def test_the_published_standard_vector() -> None:
    signature = standard_signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_hex_vector() -> None:
    signature = hex_signature("It's a Secret to Everybody", b"Hello, World!")
    assert signature == "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


@given(key=st.binary(min_size=1, max_size=200), parts=st.lists(st.binary(max_size=300), max_size=4))
def test_our_hmac_is_the_standard_librarys(key: bytes, parts: list[bytes]) -> None:
    mac = Hmac(key)
    for _ in range(2):
        assert mac.digest(*parts) == hmac.digest(key, b"".join(parts), "sha256")


def test_a_signer_signs_with_all_secrets_and_the_primary_first() -> None:
    body = '{"text":"é😀"}'.encode()
    signatures = Signer(SECRET, (SECRET, OTHER)).sign("msg_1", 1_700_000_000, body)
    pieces = [signatures[at : at + DIGEST_BYTES] for at in range(0, len(signatures), DIGEST_BYTES)]
    assert pieces[0].hex() == hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert ["v1," + b64encode(piece).decode() for piece in pieces[1:]] == [
        standard_signature(secret, "msg_1", 1_700_000_000, body) for secret in (SECRET, OTHER)
    ]
    assert len(pieces) == 3


@pytest.mark.parametrize("secret", [SECRET, OTHER, "whsec_" + b64encode(bytes(64)).decode()])
def test_the_official_library_takes_ours_and_nothing_else(secret: str) -> None:
    now_s = int(datetime.now(UTC).timestamp())
    body = b'{"event":"message.status","id":"status_1"}'
    headers = {
        "webhook-id": "status_1",
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(standard_signature(one, "status_1", now_s, body) for one in (OTHER, secret)),
    }
    library = standardwebhooks.Webhook(secret)
    assert library.verify(body, headers) == {"event": "message.status", "id": "status_1"}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library.verify(body + b" ", headers)
    assert library.sign("status_1", datetime.fromtimestamp(now_s, UTC), body.decode()) == standard_signature(
        secret, "status_1", now_s, body
    )
