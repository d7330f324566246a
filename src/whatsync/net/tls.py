"""What is true of all TLS here: how certificates are checked, how faults read, and the sessions kept for resumption.

Opens nothing and knows no connection.
"""

import ssl
from collections import OrderedDict
from collections.abc import Callable

from whatsync.model.limits import TLS_SESSION_RENEW_SECONDS
from whatsync.net.origin import Key

_CERTIFICATE_PROBLEMS = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate's chain ends in a self-signed certificate that is not trusted",
    20: "the certificate's issuer is not known; perhaps an intermediate certificate is missing",
    21: "the certificate's chain is incomplete; perhaps an intermediate certificate is missing",
    23: "the certificate has been revoked",
    26: "the certificate is not meant for servers",
    62: "the certificate is for another host name",
    64: "the certificate is not for this IP address",
}
_PROTOCOL_PROBLEMS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port; should the URL begin with http://?",
    "HTTP_REQUEST": "the server does not speak TLS on this port; should the URL begin with http://?",
    "PACKET_LENGTH_TOO_LONG": "the server does not speak TLS on this port; should the URL begin with http://?",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS on this port, or speaks it brokenly",
    "UNSUPPORTED_PROTOCOL": "the server offers only TLS versions older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server offers only TLS versions older than 1.2",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server found no common cipher or needs a client certificate",
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know this host name",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client certificate",
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection during the TLS handshake",
}


def client_context(extra_ca_file: str | None = None) -> ssl.SSLContext:
    """A context that verifies against the system's authorities, and those in ``extra_ca_file`` if given.

    Raises ``OSError`` or ``ssl.SSLError`` if that file can't be read or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # newer Pythons set it, and private authorities often fail it
    context.set_alpn_protocols(["http/1.1"])
    if extra_ca_file is not None:
        context.load_verify_locations(cafile=extra_ca_file)
    return context


def tls_problem(error: BaseException) -> str:
    """A fault in plain words, for the history page."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _CERTIFICATE_PROBLEMS.get(error.verify_code)
        return known or f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if reason in _PROTOCOL_PROBLEMS:
            return _PROTOCOL_PROBLEMS[reason]
        return f"TLS failed: {reason.lower().replace('_', ' ') or 'the connection ended early'}"
    if isinstance(error, ValueError):
        return "the host name can't be used with TLS"
    return "the connection ended during the TLS handshake"


class SessionCache:
    """A recent TLS session of each origin, so that the next connection need not check a certificate anew.

    The one used longest ago goes first when there are too many. A session is used for several connections, and replaced
    after some minutes: Python's ``ssl`` takes a copy at every reading, which costs a third of a handshake.
    """

    def __init__(self, sessions_max: int, now: Callable[[], float]) -> None:
        self._sessions_max = sessions_max
        self._now = now
        self._sessions: OrderedDict[Key, tuple[ssl.SSLSession, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, key: Key) -> ssl.SSLSession | None:
        """The session to offer to ``key``."""
        kept = self._sessions.get(key)
        if kept is None:
            return None
        self._sessions.move_to_end(key)
        return kept[0]

    def wants(self, key: Key, resumed: bool) -> bool:
        """Whether the session of a connection to ``key`` should be read; ``resumed`` tells how it came to be."""
        if self._sessions_max == 0:
            return False
        kept = self._sessions.get(key)
        return not resumed or kept is None or self._now() - kept[1] > TLS_SESSION_RENEW_SECONDS

    def put(self, key: Key, session: ssl.SSLSession | None) -> None:
        """Keep what a server handed out, if it can be resumed."""
        if session is None or not (session.has_ticket or session.id):
            return
        self._sessions[key] = (session, self._now())
        self._sessions.move_to_end(key)
        if len(self._sessions) > self._sessions_max:
            self._sessions.popitem(last=False)

    def forget(self, key: Key) -> None:
        """A handshake with the kept session failed; the next one begins without."""
        self._sessions.pop(key, None)
