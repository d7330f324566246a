"""Builds the parts of a server from the inside out. A room with much to wire has a file of its own beside this one."""

import logging
from functools import cached_property

from whatsync.compose.media import MediaGround, MediaParts
from whatsync.compose.people import People
from whatsync.compose.places import Disk, Outside, own_addresses, own_ports
from whatsync.compose.server import Server
from whatsync.compose.standing import clock_of, standing_of
from whatsync.compose.whatsapp import WhatsApp
from whatsync.config import Config
from whatsync.engine.accounts import Accounts
from whatsync.engine.alerts import Alerts
from whatsync.engine.attempt import Attempter
from whatsync.engine.bulk_resend import BulkResend
from whatsync.engine.configuration import Configuration
from whatsync.engine.deliveries import Deliveries
from whatsync.engine.directory import Directory, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.endpoints import Endpoints
from whatsync.engine.erasure import Erasure
from whatsync.engine.event_types import EventTypes
from whatsync.engine.feed import Feed
from whatsync.engine.ingest import Ingest
from whatsync.engine.inspection import Inspection
from whatsync.engine.intake import MediaPlaces
from whatsync.engine.jobs import Jobs
from whatsync.engine.journal import Journal
from whatsync.engine.keys import Keys
from whatsync.engine.loop_lag import LoopLag
from whatsync.engine.messages import Messages
from whatsync.engine.node import Node
from whatsync.engine.outcome import Defaults, Outcome
from whatsync.engine.quota import Quota
from whatsync.engine.recover import Recover
from whatsync.engine.removal import Removal
from whatsync.engine.retention import Retention
from whatsync.engine.runner import Runner
from whatsync.engine.services import Services
from whatsync.engine.sweep import Sweep
from whatsync.engine.tally import Tally
from whatsync.engine.telling import Telling
from whatsync.engine.test_sends import TestSends
from whatsync.engine.troubles import Troubles
from whatsync.engine.upkeep import Upkeep
from whatsync.engine.url_check import UrlCheck
from whatsync.engine.watch import Notice, Watch
from whatsync.model import limits
from whatsync.model.endpoint import DisabledBy
from whatsync.model.ids import TOKEN_BYTES, Sequence, ms_of, random_id
from whatsync.model.media import PURPOSE as MEDIA_NAMES
from whatsync.net.address_guard import AddressGuard
from whatsync.net.dns_names import DnsNames
from whatsync.net.frames import Setting as SendingSetting
from whatsync.net.garbage import Garbage
from whatsync.net.http_sender import HttpSender
from whatsync.net.remote_sender import RemoteSender
from whatsync.net.smtp_mailer import SmtpMailer
from whatsync.net.web_client import GuardedWebClient
from whatsync.ports.store import Opened
from whatsync.ports.vault import Vault
from whatsync.sources.whatsapp.examples import arrival_of
from whatsync.sources.whatsapp.samples import example_of
from whatsync.web.api.routes import ROUTES
from whatsync.web.app import Application
from whatsync.web.auth import Gate
from whatsync.web.health import ROUTES as HEALTH_ROUTES
from whatsync.web.metrics import ROUTES as METRICS_ROUTES
from whatsync.web.pages.site import Site
from whatsync.web.pages.table import ENTRIES, PAGES
from whatsync.web.request_ids import RequestIds
from whatsync.web.slots import Door


class Parts:
    """Builds the parts from the inside out: what holds data, what moves deliveries, what people ask for, the doors."""

    def __init__(self, config: Config, outside: Outside, vault: Vault, disk: Disk, opened: Opened) -> None:
        self.config = config
        self.graph_url = outside.graph_url
        self.clock, self.randomness = clock_of(disk, outside.clock), outside.randomness
        self.vault, self.disk, self.store, self.history = vault, disk, disk.store, disk.history
        self.directory = Directory(vault)
        self.directory.load(opened)
        self.sequence = Sequence(floor=opened.floor)
        self.standing = standing_of(disk, config, self.clock, self.directory, self.sequence, opened)
        self.tally = Tally()
        self.journal = Journal(outside.write_line, self.clock, outside.spans)
        self.runner = Runner(self.clock)
        self.quota = Quota(self.clock)
        self.guard = self._guard()
        self.names = DnsNames(self.clock)
        self.sender = self._sender()
        self._moving(opened)
        self.whatsapp = self._whatsapp()
        self._serving()
        self._loops(opened)
        self.server = self._doors(outside)

    def _guard(self) -> AddressGuard:
        return AddressGuard(
            self.config.allow_addresses,
            allow_loopback=self._is_first_try,
            own_addresses=own_addresses(self.config),
            own_ports=own_ports(self.config),
        )

    def _is_first_try(self) -> bool:
        return self.config.first_try and len(self.directory.accounts) <= 1

    def _sender(self) -> HttpSender | RemoteSender:
        if self.config.processes == 1:
            return HttpSender(guard=self.guard, clock=self.clock)
        setting = SendingSetting(
            allow_networks=[str(network) for network in self.config.allow_addresses],
            own_addresses=own_addresses(self.config),
            own_ports=own_ports(self.config),
            level=logging.getLogger().level,
        )
        return RemoteSender(setting, self.clock, self._is_first_try)

    def _moving(self, opened: Opened) -> None:
        self.defaults = Defaults(self.config.retry_schedule, self.config.request_timeout)
        self.attempter = Attempter(self.sender, self.clock, self.randomness, self.defaults, opened.run)
        self.watch = Watch(self._tell, self._disable, self._waits)
        self.dispatcher = Dispatcher(
            self.directory,
            self.store,
            self.attempter,
            self.clock,
            self.watch,
            self._observe,
            standing=self.standing,
        )
        self.configuration = Configuration(self.directory, self.store, self.standing)
        self.sweep = Sweep(self.directory, self.store, self.configuration, self.dispatcher, self.clock)
        self.configuration.on_endpoint += [self.dispatcher.changed, self.sweep.look]
        if isinstance(self.standing, Node):
            self.standing.attach(self.dispatcher, self.sweep)
        self.ingest = Ingest(
            directory=self.directory,
            store=self.store,
            history=self.history,
            dispatcher=self.dispatcher,
            clock=self.clock,
            sequence=self.sequence,
            new_id=self._new_id,
            quota=self.quota,
        )
        self.web_client = GuardedWebClient(guard=self.guard, clock=self.clock)
        self.media = self._media()
        self.telling = Telling(self.directory, self.clock, self.ingest.emit, self.history)
        self.alerts = self._alerts()
        self.telling.on_news.append(self.alerts.notify)

    def _media(self) -> MediaParts:
        ground = MediaGround(
            config=self.config,
            directory=self.directory,
            store=self.store,
            history=self.history,
            clock=self.clock,
            randomness=self.randomness,
            vault=self.vault,
            ingest=self.ingest,
            quota=self.quota,
            client=self.web_client,
        )
        parts = MediaParts(
            ground,
            token_of=self._access_token,
            version_of=self._graph_version,
            graph_url=self.graph_url,
        )
        self.ingest.on_media = parts.media.wake
        return parts

    # The numbers are made after the parts that ask them.

    def _access_token(self, number: str) -> str | None:
        return self.whatsapp.numbers.access_token(number)

    def _graph_version(self, number: str) -> str:
        return self.whatsapp.numbers.graph_version(number)

    @cached_property
    def mailer(self) -> SmtpMailer | None:
        """Who sends mail, where a mail server is set."""
        config = self.config
        if config.smtp_url is None or config.mail_from is None:
            return None
        return SmtpMailer(config.smtp_url, config.mail_from, self.clock, self.randomness)

    def _alerts(self) -> Alerts:
        config = self.config
        return Alerts(
            directory=self.directory,
            vault=self.vault,
            sender=self.sender,
            clock=self.clock,
            mailer=self.mailer,
            operator_url=config.alert_url,
            public_url=config.public_url,
        )

    def _serving(self) -> None:
        directory, configuration, history = self.directory, self.configuration, self.history
        clock, randomness, sequence = self.clock, self.randomness, self.sequence
        self.accounts = Accounts(
            directory=directory,
            configuration=configuration,
            history=history,
            vault=self.vault,
            clock=clock,
            randomness=randomness,
            guard=self.guard,
        )
        self.keys = Keys(directory, configuration, clock, randomness)
        self.endpoints = Endpoints(
            directory=directory,
            configuration=configuration,
            history=history,
            dispatcher=self.dispatcher,
            vault=self.vault,
            clock=clock,
            randomness=randomness,
            sequence=sequence,
            guard=self.guard,
            defaults=self.defaults,
            tell=self._tell,
        )
        self.people = People(
            directory,
            configuration,
            clock,
            randomness,
            base_url=self.config.base_url,
            frames=bool(self.config.embed_origins),
            mailer=self.mailer,
        )
        self.inspection = Inspection(directory=directory, history=history)
        self.recover = Recover(history=history, clock=clock, sequence=sequence)
        self.bulk_resend = BulkResend(history=history, inspection=self.inspection, clock=clock, sequence=sequence)
        self.erasure = Erasure(
            store=self.store,
            history=history,
            dispatcher=self.dispatcher,
            clock=clock,
            remove_media=self.media.media.remove,
            forget_person=self.whatsapp.forgetting.forget,
        )
        works = (self.recover, self.bulk_resend, self.erasure, self.whatsapp.reprocess_span)
        self.jobs = Jobs(
            directory=directory,
            configuration=configuration,
            dispatcher=self.dispatcher,
            sweep=self.sweep,
            quota=self.quota,
            clock=clock,
            randomness=randomness,
            works={work.kind: work for work in works},
        )

    def _messages(self) -> Messages:
        return Messages(
            directory=self.directory,
            history=self.history,
            inspection=self.inspection,
            missing=self.whatsapp.missing,
        )

    def _whatsapp(self) -> WhatsApp:
        return WhatsApp(
            directory=self.directory,
            configuration=self.configuration,
            store=self.store,
            history=self.history,
            ingest=self.ingest,
            vault=self.vault,
            clock=self.clock,
            randomness=self.randomness,
            sequence=self.sequence,
            tell=self._tell,
            media=MediaPlaces(
                key=self.vault.derive(MEDIA_NAMES),
                url=self.media.media.url_of,
                token=self._access_token,
            ),
        )

    def _loops(self, opened: Opened) -> None:
        removal = Removal(self.directory, self.store, self.history, self.configuration, self.clock)
        self.accounts.on_deleted.append(removal.look)
        self.dispatcher.load(opened.backlog, opened.health, ms_of(opened.floor))
        self.sweep.load(opened.backlog)
        removal.load()
        upkeep = Upkeep(
            store=self.store,
            directory=self.directory,
            dispatcher=self.dispatcher,
            watch=self.watch,
            history=self.history,
            quota=self.quota,
            clock=self.clock,
        )
        upkeep.load(opened.backlog)
        self.telling.retell(self.dispatcher.health)
        retention = Retention(
            directory=self.directory,
            store=self.store,
            history=self.history,
            configuration=self.configuration,
            clock=self.clock,
            tell=self._tell,
            default_days=self.config.retention_days,
        )
        troubles = Troubles(
            store=self.store,
            dispatcher=self.dispatcher,
            clock=self.clock,
            tell=self.alerts.trouble,
            media_trouble=lambda: self.media.media.trouble,
            free_bytes_min=self.config.min_free_disk,
        )
        runner, only = self.runner, self.standing.only
        runner.add("dispatcher", self.dispatcher.run)
        runner.add("loop lag", LoopLag(self.clock, self.tally.loop_lag).run)
        runner.add("garbage", Garbage(self.clock, lambda: self.dispatcher.in_flight > 0).run)
        runner.add("sweep", only("sweep", self.sweep.run, self.sweep.look_all))
        runner.add("removal", only("removal", removal.run, removal.load))
        runner.add("jobs", only("jobs", self.jobs.run))
        runner.add("telling", self.telling.run)
        runner.add("retention", only("retention", retention.run))
        if isinstance(self.standing, Node):
            self.standing.news.on_change += [self.jobs.look, removal.load]
            for name, loop in self.standing.loops().items():
                runner.add(name, loop)
        runner.add_every("sessions", limits.SESSION_CLEAR_SECONDS, self.people.sessions.clear)
        self.whatsapp.add_loops(runner)
        self.media.start(runner, self.standing)
        runner.add_every("troubles", limits.TROUBLE_LOOK_SECONDS, troubles.look)
        runner.add_every("health", limits.HEALTH_LOOK_SECONDS, upkeep.look_at_health)
        runner.add("successes", self.endpoints.successes.run)
        runner.add_every("counts", limits.OPEN_COUNT_SECONDS, upkeep.count_open)

    def _services(self) -> Services:
        return Services(
            clock=self.clock,
            randomness=self.randomness,
            vault=self.vault,
            store=self.store,
            history=self.history,
            directory=self.directory,
            configuration=self.configuration,
            dispatcher=self.dispatcher,
            standing=self.standing,
            sweep=self.sweep,
            quota=self.quota,
            ingest=self.ingest,
            tally=self.tally,
            journal=self.journal,
            runner=self.runner,
            sender_statistics=self.sender.stats,
            accounts=self.accounts,
            keys=self.keys,
            endpoints=self.endpoints,
            event_types=EventTypes(self.directory, self.configuration, self.clock),
            deliveries=Deliveries(
                directory=self.directory,
                store=self.store,
                history=self.history,
                dispatcher=self.dispatcher,
                clock=self.clock,
                sequence=self.sequence,
                quota=self.quota,
            ),
            jobs=self.jobs,
            recover=self.recover,
            bulk_resend=self.bulk_resend,
            erasure=self.erasure,
            media=self.media.media,
            uploads=self.media.uploads,
            messages=self._messages(),
            feed=Feed(
                history=self.history,
                ingest=self.ingest,
                clock=self.clock,
                look_seconds=limits.FEED_LOOK_SECONDS if self.standing.leased else None,
            ),
            inspection=self.inspection,
            **self.whatsapp.services(self.config.public_url, self.web_client, self.graph_url),
            test_sends=self._test_sends(),
            users=self.people.users,
            sessions=self.people.sessions,
            links=self.people.links,
            link_mails=self.people.link_mails,
            sign_in=self.people.sign_in,
            url_check=UrlCheck(self.guard, self.names),
        )

    def _test_sends(self) -> TestSends:
        return TestSends(
            directory=self.directory,
            store=self.store,
            recorder=self.dispatcher.recorder,
            attempter=self.attempter,
            clock=self.clock,
            sequence=self.sequence,
            new_id=self._new_id,
            quota=self.quota,
            observe=self._observe,
            randomness=self.randomness,
            standing=self.standing,
            meta_example=example_of,
            whatsapp_example=arrival_of,
        )

    def _doors(self, outside: Outside) -> Server:
        services = self._services()
        gate = Gate(self.directory, self.clock, outside.local_token)
        request_ids = RequestIds(self.randomness.token(5))
        # Metrics that are served apart are not for everyone who reaches the main port.
        hidden = METRICS_ROUTES if self.config.metrics_address is not None else ()
        routes = [route for route in ROUTES if route not in hidden]
        pages = Site(services, self.config, PAGES, ENTRIES).routes
        doors = Door(services, gate, request_ids), Door(services, gate, request_ids)
        for name, door in zip(("connections", "metrics connections"), doors, strict=True):
            self.runner.add_every(name, limits.CONNECTION_LOOK_SECONDS, door.close_idle)
        return Server(
            config=self.config,
            services=services,
            application=Application(services, gate, request_ids, routes, pages),
            door=doors[0],
            metrics_application=Application(services, gate, request_ids, (*HEALTH_ROUTES, *METRICS_ROUTES)),
            metrics_door=doors[1],
            sender=self.sender,
            telling=self.telling,
            alerts=self.alerts,
            disk=self.disk,
            passwords=self.people.passwords,
            close_further=self._close,
        )

    async def _close(self) -> None:
        await self.web_client.close()
        await self.media.close()
        await self.names.close()

    def _new_id(self, prefix: str) -> str:
        return random_id(prefix, self.randomness.token(TOKEN_BYTES))

    def _disable(self, endpoint: RunningEndpoint, by: DisabledBy) -> None:
        self.endpoints.disable_soon(endpoint, by)

    def _waits(self, endpoint: int) -> bool:
        return self.telling.waits(endpoint)

    def _tell(self, notice: Notice) -> None:
        self.telling.tell(notice)

    def _observe(self, outcome: Outcome, endpoint: RunningEndpoint) -> None:
        self.tally.count_attempt(outcome.row)
        self.journal.attempted(endpoint, outcome)
