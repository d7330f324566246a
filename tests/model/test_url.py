"""URLs taken apart: every spelling of an address ends in one form, and what can't be used is refused in clear words."""

import ipaddress
import socket
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.url import Target, UrlProblem, parse_url


def target(text: str) -> Target:
    parsed = parse_url(text)
    assert isinstance(parsed, Target), parsed
    return parsed


def problem(text: str) -> str:
    parsed = parse_url(text)
    assert isinstance(parsed, UrlProblem), parsed
    return parsed.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/", "example.com")),
        ("HTTP://Example.COM:80/A?B=c", Target("http", "example.com", 80, "/A?B=c", "example.com")),
        ("https://example.com:8443?x=1", Target("https", "example.com", 8443, "/?x=1", "example.com:8443")),
        ("http://example.com:443/", Target("http", "example.com", 443, "/", "example.com:443")),
        ("https://example.com./", Target("https", "example.com", 443, "/", "example.com")),
        ("https://example.com:/", Target("https", "example.com", 443, "/", "example.com")),
        ("https://my_host/a/../b//c%20d", Target("https", "my_host", 443, "/a/../b//c%20d", "my_host")),
        ("https://x.test/?q=a@b:c/d", Target("https", "x.test", 443, "/?q=a@b:c/d", "x.test")),
        ("https://ü.example/ü?ö", Target("https", "xn--tda.example", 443, "/%C3%BC?%C3%B6", "xn--tda.example")),
        ("https://BÜCHER。example/", Target("https", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example")),
        ("https://[2001:DB8:0::1]/", Target("https", "2001:db8::1", 443, "/", "[2001:db8::1]")),
        ("http://[::1]:8080/x", Target("http", "::1", 8080, "/x", "[::1]:8080")),
        ("http://localhost:3000/hook", Target("http", "localhost", 3000, "/hook", "localhost:3000")),
    ],
)  # fmt: skip
def test_parts(text: str, expected: Target) -> None:
    assert target(text) == expected


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7F000001", "2130706433", "017700000001", "0177.0.0.1",
        "0177.0x0.0.01", "127.0.0.1.", "１２７.0.0.1", "127。0。0。1", "0x7f.0.0.0x1", "00000177.0.0.1",
    ],
)  # fmt: skip
def test_one_ipv4_address_in_many_spellings(host: str) -> None:
    assert target(f"http://{host}/").host == "127.0.0.1"
    assert target(f"http://{host}:8080/").host_header == "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must not be empty"),
        ("example.com/hook", "must begin with https:// or http://"),
        ("ftp://example.com/", "must begin with"),
        ("//example.com/", "must begin with"),
        ("https:/example.com", "must begin with"),
        ("https://", "no host name"),
        ("https:///path", "no host name"),
        ("https://:8080/", "no host name"),
        ("https://user:secret@example.com/", "user name"),
        ("https://user@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com#", "fragment"),
        ("https://exa mple.com/", "a space (at position 12)"),
        ("https://example.com/a b", "a space"),
        (" https://example.com/", "a space (at position 1)"),
        ("https://example.com/\r\nX: y", "U+000D"),
        ("https://example.com/\x00", "U+0000"),
        ("https://example.com/\x7f", "U+007F"),
        ("https://example.com/\u00a0", "U+00A0"),
        ("https://example.com/\u2028", "U+2028"),
        ("https://example.com/\ud800", "half a character"),
        ("https://example.com\\@evil.test/", "backslash"),
        ("https://example.com:0/", "a port is a number from 1 to 65535"),
        ("https://example.com:65536/", "65535"),
        ("https://example.com:http/", "65535"),
        ("https://example.com:１/", "65535"),
        ("https://example.com:-1/", "65535"),
        ("https://1.2.3.4.5/", "not an IPv4 address"),
        ("https://256.0.0.1/", "not an IPv4 address"),
        ("https://1.2.3.256/", "not an IPv4 address"),
        ("https://0x1ffffffff/", "not an IPv4 address"),
        ("https://example.1/", "not an IPv4 address"),
        ("https://09.0.0.1/", "not an IPv4 address"),
        ("https://1..2/", "not an IPv4 address"),
        ("https://[::1/", "closing bracket"),
        ("https://[::1]x/", "closing bracket"),
        ("https://::1/", "brackets"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[fe80::1%eth0]/", "zone"),
        ("https://[v1.x]/", "not an IPv6 address"),
        ("https://[1.2.3.4]/", "not an IPv6 address"),
        ("https://%31%32%37.0.0.1/", "percent"),
        ("https://exa$mple.com/", "letters, digits, hyphens"),
        ("https://-a.test/", "letters, digits, hyphens"),
        ("https://a..test/", "letters, digits, hyphens"),
        ("https://.test/", "letters, digits, hyphens"),
        ("https://" + "a" * 64 + ".test/", "longer than DNS allows"),
        ("https://" + "a." * 130 + "test/", "longer than DNS allows"),
        ("https://\u0300bad.test/", "IDNA"),
        ("https://example.com/" + "x" * 2_029, "at most 2,048 characters, has 2,049"),
    ],
)
def test_what_is_refused_and_why(text: str, words: str) -> None:
    assert words in problem(text)


def test_the_longest_url_is_taken() -> None:
    assert len(target("https://example.com/" + "x" * 2_028).request_target) == 2_029


@given(st.text(max_size=60) | st.text("htps:/.@[]0123456789xabcdef%#?\\ \t", max_size=40))
def test_any_text_is_an_answer_never_an_error(text: str) -> None:
    for url in (text, f"https://{text}", f"http://{text}/x"):
        parsed = parse_url(url)
        if isinstance(parsed, UrlProblem):
            assert parsed.message
            continue
        for part in (parsed.host, parsed.request_target, parsed.host_header):
            assert part.isascii()
            assert not set(part) & set(string.whitespace + string.ascii_uppercase) or part is parsed.request_target
            assert all(" " < character < "\x7f" for character in part), "nothing can break out of the request's head"
        assert parsed.request_target.startswith("/")
        assert 0 < parsed.port < 65_536


@given(st.integers(0, 2**32 - 1), st.data())
def test_every_spelling_is_read_as_the_c_library_reads_it(number: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    parts = [number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255][: count - 1]
    parts.append(number & 256 ** (5 - count) - 1)
    spelled = ".".join(
        data.draw(st.sampled_from([str(part), hex(part), f"0{part:o}", f"0X{part:X}"])) for part in parts
    )
    expected = str(ipaddress.IPv4Address(number))
    assert target(f"http://{spelled}/").host == expected == socket.inet_ntoa(socket.inet_aton(spelled))


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_comes_back(address: ipaddress.IPv6Address) -> None:
    for spelled in (address.compressed, address.exploded, address.exploded.upper()):
        assert ipaddress.IPv6Address(target(f"https://[{spelled}]:1/").host) == address


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,20}[a-z0-9])?){1,3}", fullmatch=True))
def test_a_parsed_url_is_parsed_to_the_same_again(host: str) -> None:
    if host.rpartition(".")[2].startswith("xn--") or "--" in host:
        return
    first = target(f"https://{host}/p?q")
    assert target(f"https://{first.host_header}{first.request_target}") == first
