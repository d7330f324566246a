"""Mail against a small mail server on the loopback interface: what is sent, and what each refusal becomes."""

import re
import ssl
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime

import pytest
import trustme

from tests.net.mail_server import MailServer, listening
from tests.ports import free_port
from whatsync.net.smtp_mailer import SmtpMailer
from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.mailer import MailRefused


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    return theirs, ours


async def send(url: str, tls: ssl.SSLContext | None = None) -> None:
    mailer = SmtpMailer(url, "WhatsSync <alerts@sync.example>", SystemClock(), SystemRandomness(), tls)
    try:
        await mailer.send(["a@x.example", "b@x.example"], "An endpoint\r\nBcc: c@x.example", "Ünicode body.\n")
    finally:
        mailer.close()


async def test_a_mail_arrives_as_it_was_meant() -> None:
    server = MailServer()
    async with listening(server) as port:
        await send(f"smtp://127.0.0.1:{port}")
    (raw,) = server.mails
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["Subject"] == "An endpoint Bcc: c@x.example"
    assert mail["Bcc"] is None
    assert mail["To"] == "a@x.example, b@x.example"
    assert abs(parsedate_to_datetime(mail["Date"]).timestamp() * 1000 - SystemClock().now_ms()) < 60_000
    assert re.fullmatch(r"<[0-9a-f]{32}@sync\.example>", mail["Message-ID"])
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content() == "Ünicode body.\n"
    assert server.verbs.count("RCPT") == 2
    assert "AUTH" not in server.verbs


async def test_encrypted_from_the_start(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    theirs, ours = contexts
    server = MailServer()
    async with listening(server, theirs) as port:
        await send(f"smtps://user:pass%40word@127.0.0.1:{port}", ours)
    assert "AUTH" in server.verbs
    assert len(server.mails) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtp+starttls"])
async def test_encrypted_when_the_server_offers_it(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], scheme: str
) -> None:
    theirs, ours = contexts
    server = MailServer(theirs, offers_tls=True)
    async with listening(server) as port:
        await send(f"{scheme}://user:word@127.0.0.1:{port}", ours)
    assert server.encrypted
    assert server.verbs.index("STARTTLS") < server.verbs.index("AUTH")


async def test_a_certificate_nobody_vouches_for_is_refused(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server = MailServer()
    async with listening(server, contexts[0]) as port:
        with pytest.raises(MailRefused) as caught:
            await send(f"smtps://127.0.0.1:{port}")
    assert not caught.value.lasting
    assert server.mails == []


async def test_encryption_that_is_asked_for_and_not_offered_is_no_mail() -> None:
    server = MailServer()
    async with listening(server) as port:
        with pytest.raises(MailRefused) as caught:
            await send(f"smtp+starttls://127.0.0.1:{port}")
    assert caught.value.lasting
    assert server.mails == []


@pytest.mark.parametrize(
    ("verb", "said", "lasting"),
    [
        ("AUTH", "535 no", True),
        ("RCPT", "550 unknown", True),
        ("MAIL", "451 later", False),
        ("DATA", "554 spam", True),
        ("DATA", "421 going down", False),
    ],
)
async def test_refusals_say_whether_to_try_again(verb: str, said: str, lasting: bool) -> None:
    server = MailServer()
    server.answers[verb] = said
    async with listening(server) as port:
        with pytest.raises(MailRefused) as caught:
            await send(f"smtp://user:word@127.0.0.1:{port}")
    assert caught.value.lasting is lasting
    assert "word" not in caught.value.reason


async def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(MailRefused) as caught:
        await send(f"smtp://127.0.0.1:{free_port()}")
    assert not caught.value.lasting


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://"])
def test_what_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="smtps://"):
        SmtpMailer(url, "a@x.example", SystemClock(), SystemRandomness())
