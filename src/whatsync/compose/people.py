"""Wires users, sessions, one-time links and signing in."""

from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import Directory
from whatsync.engine.link_mails import LinkMails
from whatsync.engine.links import Links
from whatsync.engine.sessions import Sessions
from whatsync.engine.sign_in import SignIn
from whatsync.engine.users import Users
from whatsync.ports.clock import Clock
from whatsync.ports.mailer import Mailer
from whatsync.ports.randomness import Randomness
from whatsync.store.passwords import Argon2Passwords


class People:
    """What concerns people rather than programs."""

    def __init__(
        self,
        directory: Directory,
        configuration: Configuration,
        clock: Clock,
        randomness: Randomness,
        *,
        base_url: str,
        frames: bool,
        mailer: Mailer | None = None,
    ) -> None:
        self.passwords = Argon2Passwords(randomness)
        self.sessions = Sessions(directory, configuration, clock, randomness)
        self.users = Users(
            directory=directory,
            configuration=configuration,
            sessions=self.sessions,
            passwords=self.passwords,
            clock=clock,
            randomness=randomness,
        )
        self.links = Links(
            directory=directory,
            configuration=configuration,
            sessions=self.sessions,
            users=self.users,
            clock=clock,
            randomness=randomness,
            base_url=base_url,
            frames=frames,
        )
        self.sign_in = SignIn(
            directory=directory,
            users=self.users,
            sessions=self.sessions,
            passwords=self.passwords,
            clock=clock,
        )
        self.link_mails = LinkMails(directory=directory, links=self.links, mailer=mailer, clock=clock)
