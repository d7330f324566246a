"""Wires WhatsApp as a source: the door, the people, the numbers, and what is processed again."""

from collections.abc import Callable
from typing import Any

from whatsync.engine.arrival_counts import ArrivalCounts
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory
from whatsync.engine.forgetting import Forgetting
from whatsync.engine.ingest import Ingest
from whatsync.engine.intake import MediaPlaces, Reception
from whatsync.engine.missing import Missing
from whatsync.engine.numbers import Numbers
from whatsync.engine.people import People
from whatsync.engine.quiet import Quiet
from whatsync.engine.reprocess_span import ReprocessSpan
from whatsync.engine.reprocessing import Reprocessing
from whatsync.engine.runner import Runner
from whatsync.engine.sources import Sources
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.ids import Sequence
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Store
from whatsync.ports.vault import Vault
from whatsync.ports.web_client import WebClient
from whatsync.sources.whatsapp.connecting import Connecting
from whatsync.sources.whatsapp.inbound import Inbound
from whatsync.sources.whatsapp.payloads import read


class WhatsApp:
    """All parts of the source."""

    def __init__(
        self,
        *,
        directory: Directory,
        configuration: Configuration,
        store: Store,
        history: History,
        ingest: Ingest,
        vault: Vault,
        clock: Clock,
        randomness: Randomness,
        sequence: Sequence,
        tell: Callable[[Notice], None],
        media: MediaPlaces | None = None,
    ) -> None:
        self._directory, self._clock = directory, clock
        self.counts = ArrivalCounts(store, history, clock)
        self.sources = Sources(
            directory=directory,
            configuration=configuration,
            store=store,
            history=history,
            counts=self.counts,
            vault=vault,
            clock=clock,
            randomness=randomness,
            tell=tell,
        )
        self.numbers = Numbers(directory=directory, configuration=configuration, vault=vault, clock=clock)
        people = People(history)
        self.forgetting = Forgetting(directory, store, history, people, clock)
        self.reception = Reception(
            directory=directory,
            store=store,
            ingest=ingest,
            people=people,
            counts=self.counts,
            clock=clock,
            sequence=sequence,
            media=media,
        )
        self.inbound = Inbound(self.sources, self.reception, clock)
        self.reprocessing = Reprocessing(directory, history, self.reception, clock, read)
        self.reprocess_span = ReprocessSpan(directory, history, self.reprocessing, clock)
        self.quiet = Quiet(directory, self.counts, clock, tell)
        self.missing = Missing(directory, history, self.counts, clock)
        self.reception.on_numbers.append(self.numbers.seen)
        self.numbers.on_assigned.append(self.reprocessing.look)

    def services(self, public_url: str | None, client: WebClient, graph_url: str) -> dict[str, Any]:
        """The fields of ``Services`` that are this source's."""
        connector = Connecting(
            directory=self._directory,
            sources=self.sources,
            numbers=self.numbers,
            client=client,
            clock=self._clock,
            graph_url=graph_url,
            public_url=public_url,
        )
        return {
            "connector": connector,
            "sources": self.sources,
            "numbers": self.numbers,
            "quiet": self.quiet,
            "reprocessing": self.reprocessing,
            "reprocess_span": self.reprocess_span,
            "inbound": self.inbound,
            "public_url": public_url,
        }

    def add_loops(self, runner: Runner) -> None:
        """What has to run beside the requests."""
        runner.add("numbers", self.numbers.run)
        runner.add("reprocessing", self.reprocessing.run)
        runner.add_every("quiet numbers", limits.QUIET_LOOK_SECONDS, self.quiet.look)
        runner.add_every("arrival counts", limits.ARRIVAL_FLUSH_SECONDS, self.counts.flush)
