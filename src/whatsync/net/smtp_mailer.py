"""Mail over SMTP with the standard library, in a thread of its own so that a slow mail server holds nothing up.

Knows one server and one sender address; what is in a mail is not its business.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from whatsync.ports.clock import Clock
from whatsync.ports.mailer import MailRefused
from whatsync.ports.randomness import Randomness

_TIMEOUT_SECONDS = 20.0
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class SmtpMailer:
    """Implements ``ports.mailer.Mailer``.

    ``smtps`` speaks TLS from the start, ``smtp+starttls`` insists on changing to it, ``smtp`` changes to it where the
    server offers that, and never shows a password to another machine without it.
    """

    def __init__(
        self, url: str, sender: str, clock: Clock, randomness: Randomness, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("a mail server is written as smtps://user:password@mail.example.com:465")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = None if parts.username is None else unquote(parts.username)
        self._password = unquote(parts.password or "")
        self._sender = sender
        self._clock = clock
        self._randomness = randomness
        self._tls = tls or ssl.create_default_context()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mail")

    async def send(self, recipients: Sequence[str], subject: str, text: str) -> None:
        """Send one mail to all recipients. Raises MailRefused."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = " ".join(subject.split())
        # Mail servers add these only to what their own users send; without them a mail looks like junk.
        message["Date"] = formatdate(self._clock.now_ms() / 1000)
        domain = parseaddr(self._sender)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{self._randomness.token(16).hex()}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send, message)

    def close(self) -> None:
        """Let the thread go once its mail is sent."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _send(self, message: EmailMessage) -> None:
        try:
            with self._connected() as server:
                if self._user is not None:
                    server.login(self._user, self._password)
                server.send_message(message)
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError) as problem:
            raise MailRefused(f"the mail server refused the login: {type(problem).__name__}", lasting=True) from None
        except smtplib.SMTPRecipientsRefused:
            raise MailRefused("the mail server refused every recipient", lasting=True) from None
        except smtplib.SMTPResponseException as problem:
            lasting = problem.smtp_code >= 500
            raise MailRefused(f"the mail server answered {problem.smtp_code}", lasting) from None
        except (smtplib.SMTPException, OSError) as problem:
            raise MailRefused(f"the mail server could not be spoken to: {type(problem).__name__}") from None

    def _connected(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._tls)
        server = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            server.ehlo_or_helo_if_needed()
            if self._scheme == "smtp+starttls" or server.has_extn("starttls"):
                server.starttls(context=self._tls)
            elif self._user is not None and not self._is_here():
                raise MailRefused(
                    "the mail server offers no encryption, so the password is not shown to it; use smtps://",
                    lasting=True,
                )
        except BaseException:
            server.close()
            raise
        return server

    def _is_here(self) -> bool:
        if self._host == "localhost":
            return True
        try:
            return ip_address(self._host).is_loopback
        except ValueError:
            return False
