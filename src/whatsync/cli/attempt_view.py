"""One attempt in a few lines: what came back, how long it took, what a failure means and what to do."""

from typing import Any

from whatsync.cli.output import clean, look_up, moment, say


def show_attempt(attempt: dict[str, Any]) -> None:
    """Print one attempt as the API tells it."""
    code, status = attempt.get("code"), attempt.get("status")
    parts = [
        f"#{attempt.get('number')}",
        moment(attempt.get("startedAt")),
        clean(status or code),
        _milliseconds(attempt),
        "late" if attempt.get("late") else "",
    ]
    say("  ".join(part for part in parts if part), "red" if code else "green")
    for path in ("explanation.sentence", "explanation.nextStep", "detail"):
        if text := look_up(attempt, path):
            say(f"    {clean(text)}")
    if body := look_up(attempt, "response.body"):
        say(f"    Answer: {clean(body)}", "dim")


def show_command(attempt: dict[str, Any]) -> None:
    """Print an attempt's request as a curl command, on one line however long it is: it goes to a shell."""
    if command := look_up(attempt, "request.curl"):
        print(command)


def _milliseconds(attempt: dict[str, Any]) -> str:
    took = look_up(attempt, "timing.totalMs")
    return f"{took:g} ms" if isinstance(took, int | float) else ""
