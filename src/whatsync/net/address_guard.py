"""Which addresses deliveries may reach: the one gate between a customer's URL and this machine's own networks.

Knows numbers only, neither names nor sockets; it is asked about each address right before it is connected to.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_JUDGED_MAX = 4_096
ALLOW_SETTING = "WHATSYNC_ALLOW_ADDRESSES"

# From the special-purpose address registries of IANA, and the addresses at which clouds serve their machines' secrets.
# The first that fits gives the reason, so narrower ones stand above those that hold them.
_REFUSED: tuple[tuple[str, str], ...] = (
    ("169.254.169.254/32", "a cloud metadata address"),
    ("169.254.170.2/32", "a cloud metadata address"),
    ("169.254.170.23/32", "a cloud metadata address"),
    ("100.100.100.200/32", "a cloud metadata address"),
    ("168.63.129.16/32", "a cloud metadata address"),
    ("192.0.0.192/32", "a cloud metadata address"),
    ("fd00:ec2::254/128", "a cloud metadata address"),
    ("fd00:ec2::23/128", "a cloud metadata address"),
    ("fd20:ce::254/128", "a cloud metadata address"),
    ("0.0.0.0/8", "an address of this machine"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "a shared (carrier) address"),
    ("127.0.0.0/8", "a loopback address"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "a reserved address"),
    ("192.0.2.0/24", "a documentation address"),
    ("192.31.196.0/24", "a reserved address"),
    ("192.52.193.0/24", "a reserved address"),
    ("192.88.99.0/24", "a reserved address"),
    ("192.168.0.0/16", "a private address"),
    ("192.175.48.0/24", "a reserved address"),
    ("198.18.0.0/15", "a benchmark address"),
    ("198.51.100.0/24", "a documentation address"),
    ("203.0.113.0/24", "a documentation address"),
    ("224.0.0.0/4", "a multicast address"),
    ("255.255.255.255/32", "a broadcast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "an address of this machine"),
    ("::1/128", "a loopback address"),
    ("64:ff9b:1::/48", "a private address"),
    ("fc00::/7", "a private address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a private address"),
    ("ff00::/8", "a multicast address"),
    ("2001:2::/48", "a benchmark address"),
    ("2001:db8::/32", "a documentation address"),
    ("2001::/23", "a reserved address"),
    ("2620:4f:8000::/48", "a reserved address"),
    ("3fff::/20", "a documentation address"),
)
_REASONS: tuple[tuple[Network, str], ...] = tuple((ip_network(text), reason) for text, reason in _REFUSED)
_GLOBAL_V6 = IPv6Network("2000::/3")

_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ENDING_IN_IPV4 = (_MAPPED, _TRANSLATED, _COMPATIBLE, _NAT64)
_LOOPBACKS = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Refusal(msgspec.Struct, frozen=True):
    """Why an address may not be reached, and what an operator can paste to allow it."""

    reason: str
    setting_to_paste: str
    """Empty where no setting allows it."""

    @property
    def sentence(self) -> str:
        """Both in one line, for the history page and logs."""
        return f"{self.reason}; to allow it: {self.setting_to_paste}" if self.setting_to_paste else self.reason


class AddressGuard:
    """Judges addresses. The operator's networks win, except over WhatsSync's own port on its own addresses.

    ``allow_loopback`` is asked each time: the leave ends when the installation is no first try any more.
    ``own_addresses`` are those the server listens on, ``own_ports`` its ports; loopback always counts as its own.
    """

    def __init__(
        self,
        allow_networks: Iterable[Network] = (),
        *,
        allow_loopback: Callable[[], bool] = lambda: False,
        own_addresses: Iterable[str] = (),
        own_ports: Iterable[int] = (),
    ) -> None:
        self._allowed = tuple(allow_networks)
        self._allow_loopback = allow_loopback
        self._own_ports = frozenset(own_ports)
        self._own_addresses = frozenset(ip_address(text) for text in own_addresses)

    def check(self, ip: str, port: int) -> Refusal | None:
        """Judge one numeric address; ``None`` lets it through. What is no address at all is refused."""
        judged = _judge(ip)
        if judged is None:
            return Refusal(f"{ip[:60]!r} is not an address", "")
        address, forms = judged
        if port in self._own_ports and (self._is_own(address) or any(self._is_own(form) for form, _ in forms)):
            return self._own(address, port)
        if all(reason is None for _, reason in forms) or self._let_through(address):
            return None
        for form, reason in forms:
            if reason is not None and not self._let_through(form):
                stands = f"{address} is" if form is address else f"{address} stands for {form},"
                return Refusal(f"{stands} {reason}", self._setting(form))
        return None

    def check_connected(self, local_ip: str, peer_ip: str, port: int) -> Refusal | None:
        """Judge a connection that was made: one that begins and ends at the same address has met this machine."""
        if port in self._own_ports and ip_address(local_ip) == ip_address(peer_ip):
            return self._own(ip_address(peer_ip), port)
        return None

    def _let_through(self, address: Address) -> bool:
        if self._among(address, self._allowed):
            return True
        return self._among(address, _LOOPBACKS) and self._allow_loopback()

    def _is_own(self, address: Address) -> bool:
        return address in self._own_addresses or address.is_unspecified or self._among(address, _LOOPBACKS)

    def _own(self, address: Address, port: int) -> Refusal:
        return Refusal(f"{address} port {port} is WhatsSync itself", "")

    @staticmethod
    def _among(address: Address, networks: tuple[Network, ...]) -> bool:
        return any(address.version == network.version and address in network for network in networks)

    def _setting(self, address: Address) -> str:
        """The whole setting with this address added, so that pasting it loses nothing that was allowed before."""
        listed = [str(network) for network in self._allowed]
        return f"{ALLOW_SETTING}={','.join([*listed, f'{address}/{address.max_prefixlen}'])}"


@lru_cache(maxsize=_JUDGED_MAX)
def _judge(ip: str) -> tuple[Address, tuple[tuple[Address, str | None], ...]] | None:
    """The address, and what has to be judged for it, each with its kind: those it stands for, else itself."""
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    forms: tuple[Address, ...] = embedded(address) or (address,)
    return address, tuple((form, refused_because(form)) for form in forms)


def refused_because(address: Address) -> str | None:
    """The kind of a special-purpose address, ``None`` for an ordinary public one. Looks at no embedded address."""
    for network, reason in _REASONS:
        if address.version == network.version and address in network:
            return reason
    if address.version == 6 and address not in _GLOBAL_V6:
        return "a reserved address"
    return None


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for; a Teredo one names a server and a client."""
    if not isinstance(address, IPv6Address):
        return ()
    number = int(address)
    if address in _COMPATIBLE and number <= 1:
        return ()
    if any(address in network for network in _ENDING_IN_IPV4):
        return (IPv4Address(number & 0xFFFF_FFFF),)
    if address in _SIX_TO_FOUR:
        return (IPv4Address(number >> 80 & 0xFFFF_FFFF),)
    if address in _TEREDO:
        return (IPv4Address(number >> 64 & 0xFFFF_FFFF), IPv4Address(number & 0xFFFF_FFFF ^ 0xFFFF_FFFF))
    return ()
