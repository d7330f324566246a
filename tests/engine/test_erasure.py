"""Erasing one person: nothing of them is left anywhere, ids and times stay, and nobody else loses anything."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, OK, answer
from whatsync.engine.directory import RunningAccount
from whatsync.engine.erasure import KIND
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import State
from whatsync.model.erased import KEPT, erased_body
from whatsync.model.errors import Invalid
from whatsync.store.memory import Disk

DOWN = "down.example"
SECRETS = (b"Annabel", b"+1234567890", b"1234567890", b"private words", b"contact_ann", b"wamid.", b"m.example")


async def erase(counter: Counter, account: RunningAccount, **whom: str) -> Job:
    """Erase a person and wait for the end."""
    parameters = counter.erasure.parameters(whom.get("phone"), whom.get("contact_id"))
    return await counter.job_ended(account, await counter.jobs.start(account, KIND, parameters, ACTOR))


async def life_of_ann(counter: Counter, account: RunningAccount) -> list[str]:
    """Everything that can be known of one person; her events, oldest first."""
    details = {"number": "106540352242922", "wamid": "wamid.HBgK", "contactId": "contact_ann", "profileName": "Annabel"}
    made = [
        await counter.submit(
            account,
            event="message.incoming",
            data={
                "from": "+1234567890",
                "to": "+0987654321",
                "text": "private words",
                "media": {"mediaType": "image", "mediaUrl": "https://m.example/1", "caption": "private words"},
            },
            details={**details, "raw": {"from": "1234567890"}},
        )
    ]
    made.append(
        await counter.submit(
            account,
            event="media.upload",
            data={"messageId": made[0], "mediaType": "image", "mediaUrl": "https://m.example/1", "caption": "Annabel"},
        )
    )
    data = {
        "contactId": "contact_ann",
        "phone": "+1234567890",
        "name": "Annabel",
        "profileImage": "https://m.example/p",
    }
    made.append(await counter.submit(account, event="contact.update", data=data))
    made.append(
        await counter.submit(
            account,
            event="message.status",
            data={"messageId": "msg_out", "status": "read"},
            details={**details, "recipient": "+1234567890", "wamid": "wamid.HBgL"},
        )
    )
    await counter.event_types.put(account, "order.created", "An order", ACTOR)
    made.append(
        await counter.submit(
            account,
            event="order.created",
            contact="+1234567890",
            data={"order": {"of": "Annabel"}, "note": "private words", "list": ["Annabel"]},
        )
    )
    return made


def on_disk(disk: Disk) -> Iterator[bytes]:
    """Everything stored about events, deliveries, attempts and jobs."""
    for event in disk.events.values():
        yield msgspec.json.encode(event) + event.body
    for kept in disk.attempts.values():
        for row, _ in kept.values():
            yield row.answer_body + row.answer_headers
    for document in disk.documents.values():
        yield document.body
    for entry in disk.audit:
        if entry is not None:
            yield msgspec.json.encode(entry)


@pytest.mark.parametrize("whom", [{"phone": "+1 (234) 567-890"}, {"contact_id": "contact_ann"}])
async def test_nothing_of_a_person_is_left(whom: dict[str, str]) -> None:
    async with opened_counter() as counter:
        counter.receivers.answers["shop.example"] = msgspec.structs.replace(OK, body=b"Thanks, Annabel")
        account = await counter.account()
        await counter.endpoint(account)
        made = await life_of_ann(counter, account)
        await counter.settled(account, len(made))
        job = await erase(counter, account, **whom)
        assert (job.state, job.done) == (JobState.DONE, len(made))
        for text in on_disk(counter.store.disk):
            for secret in SECRETS:
                assert secret not in text, (secret, text)
        assert [event.id for event in (await counter.store.feed(account.row, 0, (), 50))[0]] == made
        assert await counter.states(account) == [State.SUCCEEDED] * len(made)
        assert (await erase(counter, account, **whom)).done == 0


async def test_what_is_left_is_still_an_event() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        made = await life_of_ann(counter, account)
        before = {event_id: await counter.inspection.event(account, event_id) for event_id in made}
        await erase(counter, account, phone="+1234567890")
        for event_id, event in before.items():
            after = await counter.inspection.event(account, event_id)
            old, new = msgspec.json.decode(event.body), msgspec.json.decode(after.body)
            assert {key: new[key] for key in ("event", "id", "timestamp")} == {
                key: old[key] for key in ("event", "id", "timestamp")
            }
            assert list(new) == list(old)
            assert list(new["data"]) == list(old["data"])
            kept = KEPT.get(event.type, frozenset())
            assert new["data"] == {key: value if key in kept else None for key, value in old["data"].items()}
            assert (after.seq, after.deliveries, after.details, after.contact) == (
                event.seq,
                event.deliveries,
                None,
                None,
            )


async def test_others_lose_nothing() -> None:
    async with opened_counter() as counter:
        account, stranger = await counter.account(), await counter.account("Other")
        data = {"from": "+4915112345678", "to": "+0987654321", "text": "somebody else"}
        other = await counter.submit(account, event="message.incoming", data=data)
        foreign = await counter.event(stranger, "private words")
        await life_of_ann(counter, account)
        await erase(counter, account, phone="+1234567890")
        assert b"somebody else" in (await counter.inspection.event(account, other)).body
        assert b"private words" in (await counter.inspection.event(stranger, foreign)).body


async def test_what_was_still_to_be_sent_ends() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        gate = counter.receivers.held["shop.example"] = asyncio.Event()
        account = await counter.account()
        await counter.endpoint(account, f"https://{DOWN}/")
        await counter.event(account, "private words")
        await counter.settled(account, 1, State.RETRYING)
        assert (await erase(counter, account, phone="+1234567890")).done == 1
        (view,) = await counter.views(account)
        assert (view.state, view.reason) == (State.CANCELLED, "erased")
        counter.receivers.answers.clear()
        gate.set()
        await counter.pass_time(600, 30)
        assert len(counter.receivers.requests) == 1


async def test_more_than_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOB_STEP_ITEMS", 2)
    async with opened_counter() as counter:
        account = await counter.account()
        for at in range(5):
            await counter.event(account, f"private words {at}")
        assert (await erase(counter, account, phone="+1234567890")).done == 5


async def test_the_job_forgets_whom_it_was_about() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.event(account)
        job = await erase(counter, account, phone="+1234567890")
        assert bytes(job.parameters) == b"{}"
        parameters = counter.erasure.parameters("+1234567890", None)
        other = await counter.jobs.start(account, KIND, parameters, ACTOR)
        assert bytes((await counter.jobs.cancel(account, other.id, ACTOR)).parameters) == b"{}"


@pytest.mark.parametrize(
    ("phone", "contact_id"), [(None, None), ("+1234567890", "contact_ann"), ("no phone", None), ("", None), (None, "")]
)
async def test_it_must_be_said_who(phone: str | None, contact_id: str | None) -> None:
    async with opened_counter() as counter:
        with pytest.raises(Invalid):
            counter.erasure.parameters(phone, contact_id)


def test_an_erased_body_stays_as_it_is() -> None:
    body = (
        b'{"event":"message.incoming","id":"msg_1","timestamp":"2023-06-15T14:22:33Z","data":{"from":"+1","to":"+2"}}'
    )
    once = erased_body(body)
    assert b'"from":null,"to":"+2"' in once
    assert erased_body(once) == once
