"""Meta's signature: made over the bytes as they are, compared whole, with every secret that is good."""

import gzip
import hmac
from base64 import b64encode

import pytest

from whatsync.sources.whatsapp.payloads import read
from whatsync.sources.whatsapp.samples import KINDS, STATUSES, Sample, body_of
from whatsync.sources.whatsapp.signature import escaped, has_password, is_same, is_signed, sign, unzipped

BODY = b'{"text":"caf\\u00e9 \\/ 50\\u0025"}'


def test_the_signature_is_the_hmac_of_the_raw_bytes() -> None:
    assert sign("secret", BODY) == "sha256=" + hmac.new(b"secret", BODY, "sha256").hexdigest()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha256=" + "é" * 64,
        sign("other", BODY),
        sign("secret", BODY)[:-1],
        sign("secret", BODY) + "0",
        sign("secret", BODY).removeprefix("sha256="),
        sign("secret", BODY).replace("sha256", "sha1"),
        sign("secret", BODY + b" "),
    ],
)
def test_anything_else_is_refused(header: str | None) -> None:
    assert not is_signed(["secret"], BODY, header)


def test_each_secret_that_is_good_will_do() -> None:
    assert is_signed(["new", "secret"], BODY, sign("secret", BODY))
    assert is_signed(["secret", "new"], BODY, sign("secret", BODY).upper().replace("SHA256", "sha256"))
    assert not is_signed([], BODY, sign("secret", BODY))


def test_basic_credentials() -> None:
    right = "Basic " + b64encode("ada:pässword:1".encode()).decode()
    assert has_password("ada", "pässword:1", right)
    assert has_password("ada", "pässword:1", right.replace("Basic", "basic"))
    for wrong in (None, "", "Basic", "Basic ?", "Bearer x", "Basic " + b64encode(b"ada:no").decode()):
        assert not has_password("ada", "pässword:1", wrong)


def test_texts_are_compared_whole() -> None:
    assert is_same("token", "token")
    assert not is_same("token\ud800", "token")
    assert not is_same("", "token")


def test_gzip_is_unpacked_up_to_a_limit() -> None:
    packed = gzip.compress(BODY)
    assert unzipped(packed, 1_000) == BODY
    assert unzipped(packed, len(BODY) - 1) is None
    for broken in (b"", BODY, packed[:-1], packed + b"more"):
        assert unzipped(broken, 1_000) is None
    assert unzipped(gzip.compress(b"0" * 10_000_000), 1_000_000) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_read_as_what_it_is(kind: str) -> None:
    sample = Sample(
        kind=kind,
        number="1",
        display="15550100",
        business="2",
        person="4917",
        name="Ä",
        text="/é😊",
        wamids=("a", "b"),
        about="c",
        at_s=1_800_000_000,
    )
    raw = body_of(sample)
    assert raw.isascii()
    assert b"/" not in raw.replace(b"\\/", b"")
    found = read(raw, 0)
    assert (found.set_aside, len(found.arrivals)) == ((), 2)
    expected = (
        "message.status" if kind in STATUSES else "whatsapp.reaction" if kind == "reaction" else "message.incoming"
    )
    assert {arrival.event_type for arrival in found.arrivals} == {expected}


@pytest.mark.parametrize(
    ("written", "signed"),
    [
        ("ä", b"\\u00e4"),
        ("😊", b"\\ud83d\\ude0a"),
        ("\x7f a \u2028b", b"\\u007f a \\u2028b"),
        ("/<%@~", None),
        ("\\u00e4", None),
    ],
)
def test_the_escaped_form_is_metas_own(written: str, signed: bytes | None) -> None:
    assert escaped(written.encode()) == signed
    assert signed is None or escaped(signed) is None


def test_what_is_no_utf_8_has_no_escaped_form() -> None:
    assert escaped(b"\xff") is None
    assert escaped(b"\xed\xa0\x80") is None
