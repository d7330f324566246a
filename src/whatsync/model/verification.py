"""Checks a received request and, where a signature is wrong, tries the usual mistakes and names the one that fits.

Serves ``whatsync verify``: it may be slow and knows the misreadings of secret and body. The time is an argument.
"""

import hmac
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator, Mapping

import msgspec

from whatsync.model import limits
from whatsync.model.catalogue import CATALOGUE
from whatsync.model.details import DETAILS_FIELDS
from whatsync.model.javascript import NotJson, parse, stringify
from whatsync.model.secret import SECRET_PREFIX, secret_problem
from whatsync.model.shape import Field
from whatsync.model.signature import DIGEST_BYTES, Hmac

HEX_HEADER = "X-WhatsSync-Signature"
HEX_HEADERS = ("x-whatssync-signature", "x-whatsync-signature")
"""The public example reads the name with one s in the middle; requests carry both."""
STANDARD_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Finding(msgspec.Struct, frozen=True):
    """What came out for one kind of signature. ``code`` is stable, ``sentence`` says what to do."""

    header: str
    ok: bool
    code: str
    sentence: str


class Report(msgspec.Struct, frozen=True):
    """What came out for a request: right where at least one signature is there and none is wrong."""

    ok: bool
    findings: tuple[Finding, ...]


class _Reading(msgspec.Struct, frozen=True):
    """One way to misread a thing: ``code`` is empty for the right one."""

    code: str
    sentence: str
    value: bytes


def verify(headers: Mapping[str, str], body: bytes, secret: str, now_s: int | None = None) -> Report:
    """Check both kinds of signature of a request as it was received. Without ``now_s`` its age is not judged."""
    found = {name.lower(): value.strip() for name, value in headers.items()}
    problem = None if secret == "" else secret_problem(secret.strip().strip("\"'"))
    hex_value = next((found[name] for name in HEX_HEADERS if name in found), None)
    findings: list[Finding] = []
    if hex_value is not None:
        findings.append(_check_hex(hex_value, body, secret))
    if any(name in found for name in STANDARD_HEADERS):
        findings.append(_check_standard(found, body, secret, now_s))
    if not findings:
        findings.append(_nothing_there(found))
    elif problem is not None and not any(finding.ok for finding in findings):
        findings.append(Finding("", False, "malformed_secret", f"The secret itself looks wrong: it {problem}."))
    return Report(all(finding.ok for finding in findings), tuple(findings))


def _nothing_there(found: Mapping[str, str]) -> Finding:
    sentence = (
        f"The request has neither {HEX_HEADER} nor webhook-signature. A proxy may drop headers, or the request did "
        "not come from WhatsSync."
    )
    if "x-hub-signature-256" in found:
        sentence = (
            "The request is signed in X-Hub-Signature-256, Meta's own form: it goes to an endpoint of the format "
            '"meta", or came from Meta directly.'
        )
    return Finding(HEX_HEADER, False, "missing_header", sentence)


# X-WhatsSync-Signature


def _check_hex(value: str, body: bytes, secret: str) -> Finding:
    digest, form_code, form_sentence = _hex_digest(value)
    if digest is None:
        return Finding(HEX_HEADER, False, form_code, form_sentence)
    for key in _whole_keys(secret):
        for reading in _bodies(body):
            if hmac.compare_digest(Hmac(key.value).digest(reading.value), digest):
                code = key.code or reading.code or form_code
                sentence = " ".join(filter(None, (key.sentence, reading.sentence, form_sentence)))
                return Finding(HEX_HEADER, not code, code or "ok", sentence or "The signature is right.")
    return Finding(HEX_HEADER, False, "no_match", _NO_MATCH)


_NO_MATCH = (
    "The signature fits neither this body nor any usual misreading of it: the secret is another one (each endpoint may "
    "have its own, and a rotation changes it), or the body or the signature belongs to another request."
)


def _hex_digest(value: str) -> tuple[bytes | None, str, str]:
    """The signature's bytes, and what is wrong with how it is written."""
    code = sentence = ""
    if value.lower().startswith("sha256="):
        value = value[7:]
        code, sentence = "prefixed_signature", f"{HEX_HEADER} is plain hex; there is no sha256= before it."
    if _HEX.fullmatch(value) is not None:
        if value != value.lower():
            code, sentence = "upper_case_signature", f"{HEX_HEADER} is lower-case hex; compare it in lower case."
        return bytes.fromhex(value), code, sentence
    try:
        digest = b64decode(value.removeprefix("v1,"), validate=True)
    except (NotBase64, ValueError):
        digest = b""
    if len(digest) == DIGEST_BYTES:
        return digest, "base64_signature", f"{HEX_HEADER} is hex, not base64."
    return None, "malformed_signature", f"{HEX_HEADER} is not 64 hex digits; it has {len(value)} characters."


def _whole_keys(secret: str) -> Iterator[_Reading]:
    """The key of the hex signature, and what people take for it."""
    yield _Reading("", "", secret.encode())
    yield from _tidied(secret, lambda text: text.encode())
    part = secret.strip().removeprefix(SECRET_PREFIX)
    whole = f"The key of {HEX_HEADER} is the whole secret as shown, {SECRET_PREFIX} included"
    yield _Reading("secret_without_prefix", f"{whole}: here it was used without.", part.encode())
    yield _Reading("secret_not_whole", f"{whole}: here it was given without.", f"{SECRET_PREFIX}{part}".encode())
    decoded = _decoded(part)
    if decoded is not None:
        yield _Reading("secret_decoded", f"{whole}: here its base64 part was decoded.", decoded)


def _tidied(secret: str, read: Callable[[str], bytes | None]) -> Iterator[_Reading]:
    bare = secret.strip().strip("\"'").strip()
    for text, what in (
        (bare, "The secret was given with white space or quotes around it: remove them."),
        (bare + "\n", "The signature was made with a line break after the secret: remove it where the secret is read."),
        (f'"{bare}"', "The signature was made with quotes around the secret: remove them where the secret is read."),
    ):
        key = read(text)
        if text != secret and key is not None:
            yield _Reading("secret_not_bare", what, key)


def _decoded(part: str) -> bytes | None:
    try:
        return b64decode(part, validate=True)
    except (NotBase64, ValueError):
        return None


# Standard Webhooks


def _check_standard(found: Mapping[str, str], body: bytes, secret: str, now_s: int | None) -> Finding:
    name = "webhook-signature"
    missing = [header for header in STANDARD_HEADERS if not found.get(header)]
    if missing:
        sentence = f"{' and '.join(missing)} is missing: all of {', '.join(STANDARD_HEADERS)} are needed."
        return Finding(name, False, "missing_header", sentence)
    stamp = found["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdigit()):
        sentence = "webhook-timestamp is not Unix seconds: it must be digits only."
        return Finding(name, False, "malformed_timestamp", sentence)
    digests = [digest for digest in map(_standard_digest, found[name].split()) if digest is not None]
    if not digests:
        sentence = "webhook-signature has no value of the form v1,<base64 of 32 bytes>."
        return Finding(name, False, "malformed_signature", sentence)
    finding = _match_standard(found["webhook-id"], stamp, body, secret, digests)
    return _check_age(int(stamp), now_s) if finding.ok and now_s is not None else finding


def _standard_digest(value: str) -> bytes | None:
    version, _, encoded = value.partition(",")
    digest = _decoded(encoded)
    return digest if version == "v1" and digest is not None and len(digest) == DIGEST_BYTES else None


def _match_standard(event_id: str, stamp: str, body: bytes, secret: str, digests: list[bytes]) -> Finding:
    signed = f"{event_id}.{stamp}.".encode()
    for key in _standard_keys(secret):
        mac = Hmac(key.value)
        for reading in _bodies(body):
            if any(hmac.compare_digest(mac.digest(signed, reading.value), digest) for digest in digests):
                code = key.code or reading.code
                sentence = " ".join(filter(None, (key.sentence, reading.sentence)))
                return Finding("webhook-signature", not code, code or "ok", sentence or "The signature is right.")
            if any(hmac.compare_digest(mac.digest(reading.value), digest) for digest in digests):
                sentence = (
                    "The signature was made over the body alone: it must be over webhook-id.webhook-timestamp.body."
                )
                return Finding("webhook-signature", False, "signed_body_alone", sentence)
    return Finding("webhook-signature", False, "no_match", _NO_MATCH)


def _check_age(stamp_s: int, now_s: int) -> Finding:
    age_s = now_s - stamp_s
    if age_s > limits.SIGNATURE_AGE_SECONDS_MAX:
        sentence = (
            f"The signature is right, but the request was signed {age_s:,} s ago; libraries refuse more than "
            f"{limits.SIGNATURE_AGE_SECONDS_MAX} s. An old request was replayed, or the receiver's clock is fast."
        )
        return Finding("webhook-signature", False, "timestamp_too_old", sentence)
    if age_s < -limits.SIGNATURE_AGE_SECONDS_MAX:
        sentence = (
            f"The signature is right, but the request was signed {-age_s:,} s in the future: the receiver's clock is "
            "slow, or the sender's fast."
        )
        return Finding("webhook-signature", False, "timestamp_too_new", sentence)
    return Finding("webhook-signature", True, "ok", "The signature is right.")


def _standard_keys(secret: str) -> Iterator[_Reading]:
    """The key of the standard signature, and what people take for it."""
    part = secret.removeprefix(SECRET_PREFIX)
    decoded = _decoded(part)
    if decoded is not None:
        yield _Reading("", "", decoded)
    yield from _tidied(secret, lambda text: _decoded(text.removeprefix(SECRET_PREFIX)))
    right = f"The key of webhook-signature is the decoded base64 behind {SECRET_PREFIX}"
    yield _Reading("secret_not_decoded", f"{right}: here the whole secret was used as text.", secret.encode())
    yield _Reading("secret_not_decoded", f"{right}: here that part was used as text.", part.encode())


# Bodies


def _bodies(body: bytes) -> Iterator[_Reading]:
    """The body as received, and what it may have been before something on the way changed it."""
    yield _Reading("", "", body)
    kept = "Verify the bytes as they arrived, before any parser, editor or framework touches them."
    if body.startswith(_BYTE_ORDER_MARK):
        yield _Reading("body_byte_order_mark", f"A byte order mark was put before the body. {kept}", body[3:])
    trimmed = body.rstrip(b"\r\n")
    if trimmed != body:
        yield _Reading("body_trailing_newline", f"A line break was added at the body's end. {kept}", trimmed)
    yield _Reading("body_trailing_newline", f"A line break at the body's end was lost. {kept}", body + b"\n")
    if body.strip() not in (body, trimmed):
        yield _Reading("body_white_space", f"White space was added around the body. {kept}", body.strip())
    yield from _reencoded(body, kept)
    yield from _reserialised(body, kept)


def _reencoded(body: bytes, kept: str) -> Iterator[_Reading]:
    try:
        once = body.decode("utf-8").encode("latin-1")
    except UnicodeError:
        return
    if once != body:
        sentence = f"The body was read as Latin-1 and written as UTF-8: letters beyond ASCII are garbled. {kept}"
        yield _Reading("body_wrong_encoding", sentence, once)


def _reserialised(body: bytes, kept: str) -> Iterator[_Reading]:
    """What was sent always is what ``JSON.stringify`` writes: so it can be told even after a rewrite."""
    try:
        value = parse(body.removeprefix(_BYTE_ORDER_MARK))
        if isinstance(value, str):
            sentence = f"The body was turned into a JSON string. {kept}"
            yield _Reading("body_quoted", sentence, value.encode("utf-8", "replace"))
            value = parse(value.encode("utf-8", "replace"))
    except NotJson:
        return
    plain = stringify(value).encode()
    if plain != body:
        yield _Reading("body_rewritten", f"The body was parsed and written anew: {_rewrite(body, plain)} {kept}", plain)
    ordered = stringify(_ordered(value)).encode()
    if ordered != plain:
        yield _Reading("body_reordered", f"The body was written anew with its keys in another order. {kept}", ordered)


def _rewrite(body: bytes, plain: bytes) -> str:
    if rb"\u" in body and rb"\u" not in plain:
        return "letters beyond ASCII were escaped."
    if rb"\/" in body:
        return "slashes were escaped."
    if len(body) > len(plain):
        return "white space was added."
    return "it has another form."


def _ordered(value: object) -> object:
    """An envelope with its keys in the documented order, as far as its type is documented."""
    if not isinstance(value, dict):
        return value
    envelope = {key: value[key] for key in ("event", "id", "timestamp", "data") if key in value}
    known = CATALOGUE.get(str(value.get("event")))
    if known is not None and "data" in envelope:
        envelope["data"] = _in_order(envelope["data"], known.fields)
    return {**envelope, **{key: item for key, item in value.items() if key not in envelope}}


def _in_order(value: object, fields: tuple[Field, ...]) -> object:
    if not isinstance(value, dict) or not fields:
        return value
    ordered = {field.name: _in_order(value[field.name], field.fields) for field in fields if field.name in value}
    rest = {key: item for key, item in value.items() if key not in ordered}
    if "details" in rest:
        rest["details"] = _in_order(rest["details"], DETAILS_FIELDS)
    return {**ordered, **rest}
