"""What was erased or removed by retention is gone from the file, too, free pages included."""

from tests.conformance.clerk import ACCOUNT, DAY, Clerk
from tests.store.sqlite.conftest import SqlitePlace
from whatsync.model.delivery import State

WORDS = [b"private words of %d " % number * 40 for number in range(300)]


async def test_nothing_of_it_is_left_in_the_file(place: SqlitePlace, clerk: Clerk) -> None:
    seqs = []
    for words in WORDS:
        event = clerk.event(body=b'{"text":"%b"}' % words, details=b'{"raw":"%b"}' % words)
        row = clerk.delivery(event, 1, claimed=False)
        await clerk.accept([event], [row])
        await clerk.end(await clerk.claim_one(), State.SUCCEEDED, answer_body=b"thanks for " + words)
        seqs.append(event.seq)
    await place.close()
    assert place.path.read_bytes().count(b"private words") > len(WORDS)
    await clerk.reopen()
    for seq in seqs[::2]:
        await clerk.store.erase(ACCOUNT, seq, b'{"text":null}', ())
    clerk.now += DAY
    await place.close()
    assert all(words not in place.path.read_bytes() for words in WORDS[::2])
    await clerk.reopen()
    await clerk.store.prune(ACCOUNT, clerk.now, 0, len(seqs) + 1, clerk.now)
    await place.close()
    assert b"private words" not in place.path.read_bytes()
