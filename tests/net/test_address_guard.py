"""Which addresses are let through: each kind that is refused, in each form it can be dressed in, and what allows it."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.net.address_guard import AddressGuard, embedded, refused_because

GUARD = AddressGuard()

REFUSED = {
    "0.0.0.0": "of this machine", "0.1.2.3": "of this machine", "10.0.0.0": "private", "10.255.255.255": "private",
    "100.64.0.1": "shared", "100.127.255.255": "shared", "127.0.0.1": "loopback", "127.255.255.254": "loopback",
    "169.254.1.1": "link-local", "169.254.169.254": "metadata", "169.254.170.2": "metadata",
    "100.100.100.200": "metadata", "168.63.129.16": "metadata", "192.0.0.192": "metadata",
    "172.16.0.1": "private", "172.31.255.255": "private", "192.0.0.8": "reserved", "192.0.2.1": "documentation",
    "192.88.99.1": "reserved", "192.168.1.1": "private", "198.18.0.1": "benchmark", "198.19.255.255": "benchmark",
    "198.51.100.1": "documentation", "203.0.113.1": "documentation", "224.0.0.1": "multicast",
    "239.255.255.255": "multicast", "240.0.0.1": "reserved", "255.255.255.255": "broadcast",
    "::": "of this machine", "::1": "loopback", "fe80::1": "link-local", "febf::1": "link-local",
    "fc00::1": "private", "fd12:3456::1": "private", "fd00:ec2::254": "metadata", "fec0::1": "private",
    "ff02::1": "multicast", "2001:db8::1": "documentation", "3fff::1": "documentation", "2001:2::1": "benchmark",
    "2001:10::1": "reserved", "100::1": "reserved", "5f00::1": "reserved", "4000::1": "reserved",
    "64:ff9b:1::a00:1": "private", "64:ff9b:1::808:808": "private",
}  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "11.0.0.0", "9.255.255.255", "100.63.255.255", "100.128.0.0", "128.0.0.1", "126.255.255.255",
    "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0",
    "223.255.255.255", "168.63.129.17", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2001:200::1",
]  # fmt: skip


def dressed(address: IPv4Address) -> list[str]:
    """The IPv6 forms that stand for an IPv4 address."""
    number = int(address)
    forms = [
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80 | 1,
        0x2001 << 112 | 0x01010101 << 64 | number ^ 0xFFFFFFFF,
        0x2001 << 112 | number << 64 | 0x01010101 ^ 0xFFFFFFFF,
    ]
    return [str(IPv6Address(form)) for form in forms] + ([str(IPv6Address(number))] if number > 1 else [])


@pytest.mark.parametrize(("ip", "word"), REFUSED.items())
def test_special_addresses_are_refused(ip: str, word: str) -> None:
    refusal = GUARD.check(ip, 443)
    assert refusal is not None
    assert word in refusal.reason
    address = ipaddress.ip_address(ip)
    assert refusal.setting_to_paste == f"WHATSYNC_ALLOW_ADDRESSES={address}/{address.max_prefixlen}"
    assert refusal.setting_to_paste in refusal.sentence
    assert AddressGuard([ip_network(refusal.setting_to_paste.partition("=")[2])]).check(ip, 443) is None


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_are_let_through(ip: str) -> None:
    assert GUARD.check(ip, 443) is None


@pytest.mark.parametrize("ip", [ip for ip in REFUSED if ":" not in ip])
def test_refused_in_every_dress(ip: str) -> None:
    for form in dressed(IPv4Address(ip)):
        refusal = GUARD.check(form, 443)
        assert refusal is not None, form
        pasted = ip_network(refusal.setting_to_paste.partition("=")[2])
        assert AddressGuard([pasted]).check(form, 443) is None, "what is to be pasted helps"


@pytest.mark.parametrize("ip", [ip for ip in PUBLIC if ":" not in ip])
def test_public_in_every_dress(ip: str) -> None:
    for form in dressed(IPv4Address(ip)):
        assert GUARD.check(form, 443) is None, form


def test_the_allow_list_wins_also_inside_other_forms() -> None:
    guard = AddressGuard([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    for form in ("10.1.2.3", "fd00::5", *dressed(IPv4Address("10.1.2.3"))):
        assert guard.check(form, 80) is None, form
    refusal = guard.check("192.168.0.1", 80)
    assert refusal is not None
    assert refusal.setting_to_paste == "WHATSYNC_ALLOW_ADDRESSES=10.0.0.0/8,fd00::/8,192.168.0.1/32"
    by_form = AddressGuard([ip_network("::ffff:0:0/96")])
    assert by_form.check("::ffff:10.0.0.1", 80) is None
    assert by_form.check("10.0.0.1", 80) is not None


def test_loopback_is_allowed_only_as_long_as_it_is() -> None:
    first_try = [True]
    guard = AddressGuard(allow_loopback=lambda: first_try[0])
    forms = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
    assert [guard.check(form, 80) for form in forms] == [None] * 4
    assert guard.check("0.0.0.0", 80) is not None
    assert guard.check("10.0.0.1", 80) is not None
    first_try[0] = False
    assert all(guard.check(form, 80) is not None for form in forms)


def test_never_our_own_port_on_our_own_addresses() -> None:
    everywhere = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    guard = AddressGuard(
        everywhere, allow_loopback=lambda: True, own_addresses=["10.0.0.5", "2001:db8::5"], own_ports=[8600, 9600]
    )
    own = [
        "127.0.0.1",
        "127.0.0.2",
        "::1",
        "0.0.0.0",
        "::",
        "10.0.0.5",
        "2001:db8::5",
        *dressed(IPv4Address("10.0.0.5")),
    ]
    for ip in own:
        for port in (8600, 9600):
            refusal = guard.check(ip, port)
            assert refusal is not None, ip
            assert (refusal.setting_to_paste, "WhatsSync itself" in refusal.sentence) == ("", True)
        assert guard.check(ip, 8601) is None
    assert guard.check("10.0.0.6", 8600) is None


def test_a_connection_that_ends_where_it_began() -> None:
    guard = AddressGuard(own_ports=[8600])
    assert guard.check_connected("10.0.0.5", "10.0.0.5", 8600) is not None
    assert guard.check_connected("10.0.0.5", "10.0.0.6", 8600) is None
    assert guard.check_connected("10.0.0.5", "10.0.0.5", 80) is None


@pytest.mark.parametrize("ip", ["", "localhost", "127.1", "1.2.3", "0x7f000001", "fe80::1%eth0x%", "::ffff:1.2.3.4.5"])
def test_what_is_no_address_is_refused(ip: str) -> None:
    refusal = GUARD.check(ip, 80)
    assert refusal is not None
    assert refusal.setting_to_paste == ""


@given(st.ip_addresses(v=4))
def test_a_dressed_address_is_judged_as_the_naked_one(address: IPv4Address) -> None:
    allowed = GUARD.check(str(address), 80) is None
    assert allowed == (refused_because(address) is None)
    for form in dressed(address):
        assert (GUARD.check(form, 80) is None) == allowed, form


@given(st.ip_addresses(v=4))
def test_nothing_the_standard_library_calls_special_gets_through(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert GUARD.check(str(address), 80) is not None


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_gets_through(address: IPv6Address) -> None:
    if GUARD.check(str(address), 80) is None and not embedded(address):
        assert address in ip_network("2000::/3")
        assert address.is_global
