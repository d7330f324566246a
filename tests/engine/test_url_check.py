"""What is said about a URL while it is typed: its form, forbidden addresses behind names, names that lead nowhere."""

import pytest

from tests.net.names import FixedResolver
from whatsync.engine.url_check import Standing, UrlCheck
from whatsync.net.address_guard import AddressGuard
from whatsync.net.dns_names import DnsNames
from whatsync.net.system import SystemClock

NAMES = {
    "good.example": ["8.8.8.8"],
    "inside.example": ["8.8.8.8", "10.1.2.3"],
    "metadata.example": ["169.254.169.254"],
}


@pytest.mark.parametrize(
    ("url", "standing", "words"),
    [
        ("https://good.example/hook", Standing.GOOD, "good.example is 8.8.8.8 now"),
        ("http://good.example/hook", Standing.DOUBTFUL, "without encryption"),
        ("https://inside.example/", Standing.WRONG, "inside.example leads to an address that deliveries may not reach"),
        ("https://metadata.example/", Standing.WRONG, "WHATSYNC_ALLOW_ADDRESSES"),
        ("https://nowhere.example/", Standing.DOUBTFUL, "the name does not exist"),
        ("https://127.1/", Standing.WRONG, "127.0.0.1 is a loopback address"),
        ("https://[::ffff:10.0.0.1]/", Standing.WRONG, "a private address"),
        ("http://localhost:3000/", Standing.WRONG, "a loopback address"),
        ("ftp://good.example/", Standing.WRONG, "must begin with https:// or http://"),
        ("https://user:pw@good.example/", Standing.WRONG, "must not contain a user name or password"),
        ("https://8.8.4.4/x", Standing.GOOD, "Looks right."),
    ],
)
async def test_each_url_gets_one_sentence(url: str, standing: Standing, words: str) -> None:
    check = UrlCheck(AddressGuard(), DnsNames(SystemClock(), FixedResolver(NAMES)))
    advice = await check.look(url)
    assert advice.standing is standing
    assert words in advice.sentence


async def test_loopback_is_fine_where_it_is_allowed() -> None:
    check = UrlCheck(AddressGuard(allow_loopback=lambda: True), DnsNames(SystemClock(), FixedResolver({})))
    for url in ("http://localhost:3000/", "http://127.0.0.1:3000/"):
        assert (await check.look(url)).standing is Standing.GOOD


async def test_a_real_resolver_is_begun_and_closed() -> None:
    names = DnsNames(SystemClock())
    found = await names.addresses("localhost", 2.0)
    assert set(found.found) <= {"127.0.0.1", "::1"}
    await names.close()
