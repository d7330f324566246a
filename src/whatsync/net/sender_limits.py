"""The sender's limits as one value, so that a test can use small ones. Holds numbers only."""

import msgspec

from whatsync.model import limits


class SenderLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one sender may use, hold and wait for; each default stands in ``model.limits`` with its reason."""

    sockets_max: int | None = None
    """All sockets together; ``None`` reads it from the process's limit of open files."""
    idle_seconds: float = limits.CONNECTION_IDLE_SECONDS
    idle_per_origin: int = limits.CONNECTIONS_IDLE_PER_ORIGIN
    idle_max: int = limits.CONNECTIONS_IDLE_MAX
    idle_encrypted_max: int = limits.CONNECTIONS_IDLE_ENCRYPTED_MAX
    body_bytes_kept: int = limits.ANSWER_BODY_BYTES_KEPT
    header_bytes_max: int = limits.ANSWER_HEADER_BYTES_MAX
    body_seconds: float = limits.ANSWER_BODY_SECONDS
    drain_bytes_max: int = limits.ANSWER_DRAIN_BYTES_MAX
    socket_wait_seconds: float = limits.SOCKET_WAIT_SECONDS
    slow_seconds: float = limits.SLOW_ANSWER_SECONDS
    quick_answers_to_trust: int = limits.QUICK_ANSWERS_TO_TRUST
    stagger_seconds: float = limits.ADDRESS_STAGGER_SECONDS
    begun_per_turn: int = limits.CONNECTIONS_BEGUN_PER_TURN
    handshake_turn_seconds: float = limits.HANDSHAKE_TURN_SECONDS
    tls_sessions_max: int = limits.TLS_SESSIONS_MAX
    origins_max: int = limits.ORIGINS_MAX


class ResolverLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the resolver may hold and wait for."""

    timeout_seconds: float = limits.DNS_TIMEOUT_SECONDS
    ttl_seconds_min: float = limits.DNS_TTL_SECONDS_MIN
    ttl_seconds_max: float = limits.DNS_TTL_SECONDS_MAX
    failure_seconds: float = limits.DNS_FAILURE_SECONDS
    names_max: int = limits.DNS_NAMES_MAX
