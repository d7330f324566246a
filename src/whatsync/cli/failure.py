"""What ends a command early: a sentence for the person who typed it and the exit status. Knows no other command."""

WRONG_USE = 2
FAILED = 1


class Failure(Exception):  # noqa: N818 - the word on the person's screen
    """The command can't do it. ``message`` says why and what to do; ``exit_code`` is 2 for wrong use, else 1."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def wrong_use(message: str) -> Failure:
    """The failure of a command that was typed, or is set up, in a way that can't work."""
    return Failure(message, WRONG_USE)
