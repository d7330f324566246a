"""Which paths of URLs are written into code, as what, and which are refused with a reason."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsync.model.url import Target, parse_url
from whatsync.web.snippets.place import DEFAULT_PORT, Place, PlaceProblem, place_of, port_of
from whatsync.web.snippets.snippet import SNIPPETS, program


def target(url: str) -> Target:
    found = parse_url(url)
    assert isinstance(found, Target), found
    return found


@pytest.mark.parametrize(
    ("url", "raw", "decoded"),
    [
        ("https://example.com", "/", "/"),
        ("https://example.com/webhook?a=/b", "/webhook", "/webhook"),
        ("https://example.com/a/b/", "/a/b/", "/a/b/"),
        ("https://example.com/caf%c3%a9", "/caf%c3%a9", "/café"),
        ("https://example.com/日本", "/%E6%97%A5%E6%9C%AC", "/日本"),
        ("https://example.com/it's", "/it's", "/it's"),
    ],
)
def test_a_path_is_taken_in_both_spellings(url: str, raw: str, decoded: str) -> None:
    assert place_of(target(url)) == Place(raw, decoded)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ('/a"b', "'\"'"),
        ("/a`b", "'`'"),
        ("/<id>", "'<'"),
        ("/{id}", "'{'"),
        ("/a|b", "'|'"),
        ("/a^b", "'^'"),
        ("/[a]", "'['"),
        ("/100%", "'%'"),
        ("/a%25b", "'%'"),
        ("/a%0Ab", "U+000A"),
        ("/a%00b", "U+0000"),
        ("/a%20b", "U+0020"),
        ("/a%5Cb", "'\\\\'"),
        ("/a%3Fb", "'?'"),
        ("/a%E2%80%AEb", "U+202E"),
        ("/a%2Fb", "an encoded slash"),
        ("/a%FFb", "not UTF-8"),
        ("/a//b", "an empty part"),
        ("//a", "an empty part"),
        ("/a/../b", "dots alone"),
        ("/%2E%2e/b", "dots alone"),
        ("/.", "dots alone"),
    ],
)
def test_what_servers_and_frameworks_read_differently_is_refused_in_words(path: str, named: str) -> None:
    found = place_of(target(f"https://example.com{path}"))
    assert isinstance(found, PlaceProblem)
    assert named in found.message
    assert "/webhook" in found.message
    assert found.message.isprintable()


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:3999/webhook", 3999),
        ("http://[::1]:4000/", 4000),
        ("http://localhost:8080/webhook", 8080),
        ("https://example.com:8443/webhook", DEFAULT_PORT),
        ("http://10.0.0.1:5000/", DEFAULT_PORT),
    ],
)
def test_the_port_is_the_urls_own_on_this_machine_alone(url: str, port: int) -> None:
    assert port_of(target(url)) == port


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LIKELY = st.text(st.sampled_from("ab0/.-_~!$&'()*+,;=:@%2Fé日"), max_size=30)


@given(LIKELY | ANY)
def test_whatever_a_url_holds_code_stays_code(path: str) -> None:
    """Only the route changes, on its own line, and Python reads back exactly the path."""
    parsed = parse_url(f"https://example.com/{path}")
    place = place_of(parsed) if isinstance(parsed, Target) else PlaceProblem("")
    if isinstance(place, PlaceProblem):
        return
    for snippet in SNIPPETS:
        before, _, after = program(snippet.file).partition(snippet.route)
        code = snippet.code(place)
        assert code.startswith(before)
        assert code.endswith(after)
        written = code[len(before) : len(code) - len(after)]
        assert written.isprintable()
        assert len(code.splitlines()) == len(program(snippet.file).splitlines())
        if snippet.language == "Python":
            strings = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
            assert (place.decoded[1:] if snippet.name == "django" else place.decoded) in strings
