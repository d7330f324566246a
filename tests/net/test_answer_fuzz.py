"""Whatever bytes come in whatever pieces, an exchange ends once, in time and without a bug; its connection is kept
only if the next answer on it is read right."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.net.hand import Desk
from tests.net.receivers import OK
from whatsync.net.connection import Result, Stale
from whatsync.ports.sender import Answer, Failure

LINES = st.sampled_from(
    [
        b"Content-Length: 5", b"Content-Length: 0", b"content-length:3", b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: keep-alive",
        b"Connection: upgrade", b"Upgrade: websocket", b"Retry-After: 10", b"X-Long: " + b"x" * 3_000, b"X:", b": y",
        b"no colon", b" folded", b"X: \xff\x00\x01",
    ]
)  # fmt: skip
STATUSES = st.sampled_from(
    [b"100", b"101", b"103", b"200", b"204", b"301", b"304", b"410", b"429", b"500", b"000", b"9"]
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/2.0", b"RTSP/1.0", b"http/1.1"])
BODIES = st.sampled_from(
    [
        b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", b"ffffff\r\n",
        b"zz\r\n", b"x" * 20_000, b"4e20\r\n" + b"x" * 20_000 + b"\r\n0\r\n\r\n", b"\r\n\r\n", OK,
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])


@st.composite
def likely(draw: st.DrawFn) -> bytes:
    """Something like an answer, or several."""
    text = b""
    for _ in range(draw(st.integers(1, 3))):
        end = draw(ENDS)
        first = b" ".join([draw(VERSIONS), draw(STATUSES), b"Words"])
        text += end.join([first, *draw(st.lists(LINES, max_size=4)), b"", b""]) + draw(BODIES)
    return text


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An answer with a few bytes changed, dropped or doubled."""
    text = draw(likely())
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        size = draw(st.integers(0, 12))
        new = draw(st.binary(max_size=4) | st.just(text[at : at + size] * 2))
        text = text[:at] + new + text[at + size :]
    return text


ANYTHING = st.one_of(st.binary(max_size=200), likely(), mutated())
ENDINGS = st.sampled_from(["closed", "reset", "silent"])


@st.composite
def pieces(draw: st.DrawFn, text: bytes) -> list[bytes]:
    """The text cut at random."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=12)))
    edges = [0, *[cut for cut in cuts if cut < len(text)], len(text)]
    return [text[begin:end] for begin, end in pairwise(edges) if begin < end]


def play(desk: Desk, parts: list[bytes], ending: str) -> Result:
    """One exchange to its end; afterwards the connection is in the pool or closed and paid back."""
    future = desk.begin()
    for part in parts:
        desk.connection.data_received(part)
        desk.loop.advance(0.001)
    if ending == "closed":
        desk.connection.eof_received()
    if ending != "silent":
        desk.connection.connection_lost(ConnectionResetError() if ending == "reset" else None)
    else:
        desk.loop.advance(20.0)
    assert future.done(), "an exchange ends within its deadline"
    result = future.result()
    assert desk.stream.closed != desk.kept
    assert desk.budget.in_use == (1 if desk.kept else 0)
    assert "internal_error" not in [code for code, count in desk.statistics.failures.items() if count]
    check(result)
    return result


def check(result: Result) -> None:
    assert not isinstance(result, Stale), "only a used connection can be stale"
    if isinstance(result, Answer):
        assert 200 <= result.status <= 999
        assert len(result.body) <= 16_384
        assert not result.headers.endswith(b"\n")
        assert not re.search(rb"\n\r?\n", result.headers), "headers end where the body begins"
    else:
        assert result.code in {"bad_response", "connection_reset", "headers_too_large", "timeout"}
        assert result.detail


@given(st.data(), ANYTHING, ENDINGS)
def test_any_bytes_in_any_pieces_end_well(data: st.DataObject, text: bytes, ending: str) -> None:
    play(Desk(), data.draw(pieces(text)), ending)


@given(st.data(), ANYTHING)
def test_how_it_is_cut_changes_nothing(data: st.DataObject, text: bytes) -> None:
    whole, cut = play(Desk(), [text] if text else [], "closed"), play(Desk(), data.draw(pieces(text)), "closed")
    assert essence(whole) == essence(cut)


def essence(result: Result) -> tuple[object, ...]:
    if isinstance(result, Answer):
        return result.status, result.headers, result.body, result.truncated, result.retry_after
    assert isinstance(result, Failure)
    return (result.code,)


@given(st.data(), ANYTHING)
def test_a_kept_connection_reads_the_next_answer_right(data: st.DataObject, text: bytes) -> None:
    desk = Desk()
    future = desk.begin()
    for part in data.draw(pieces(text)):
        desk.connection.data_received(part)
    if not desk.kept:
        return
    assert isinstance(future.result(), Answer)
    second = desk.begin()
    desk.connection.data_received(b"HTTP/1.1 202 Yes\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nmine")
    answer = second.result()
    assert isinstance(answer, Answer)
    assert essence(answer) == (202, b"X-Mine: 1\r\nContent-Length: 4", b"mine", False, None)
    assert answer.reused
    assert desk.kept


def test_regression_an_interim_answer_after_the_answer_is_not_counted() -> None:
    first, second = b"HTTP/1.1 204\r\nX: 1\r\n\r\n", b"HTTP/1.1 100\r\nY: 2\r\n\r\n"
    assert essence(play(Desk(), [first + second], "closed")) == essence(play(Desk(), [first, second], "closed"))
