"""One attempt in a few lines: what came back, how long it took, what a failure means and what to do."""

from typing import Any

from whatsync.cli.output import clean, look_up, moment, say

_ANSWER_CHARACTERS = 1_000


def show_attempt(attempt: dict[str, Any], whole: bool = False) -> None:
    """Print one attempt as the API tells it; ``whole`` with headers and bodies of request and answer."""
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
    if whole:
        _show_timing(attempt)
        _show_side("Request", attempt.get("request"), f"{look_up(attempt, 'request.method')} ")
        _show_side("Answer", attempt.get("response"))
    elif body := look_up(attempt, "response.body"):
        say(f"    Answer: {_begin(clean(body))}", "dim")


def _show_timing(attempt: dict[str, Any]) -> None:
    timing = attempt.get("timing") or {}
    phases = (("DNS", "dnsMs"), ("connect", "connectMs"), ("TLS", "tlsMs"), ("first byte", "firstByteMs"))
    parts = [f"{word} {timing[name]:g} ms" for word, name in phases if timing.get(name) is not None]
    if attempt.get("address"):
        parts.insert(0, f"to {clean(attempt['address'])}" + (", connection reused" if attempt.get("reused") else ""))
    if parts:
        say(f"    {', '.join(parts)}", "dim")


def _show_side(title: str, message: dict[str, Any] | None, first: str = "") -> None:
    """One side of the exchange: its first line, headers, and body."""
    if not message:
        return
    say(f"    {title}: {first}{clean(message.get('url') or message.get('status'))}", "bold")
    for name, value in message.get("headers") or []:
        say(f"      {clean(name)}: {clean(value)}", "dim")
    body = message.get("body")
    if body is None and message.get("bodyBase64"):
        say("      (the body is not text; --json has it in Base64)", "dim")
    elif body:
        say(f"      {_begin(clean(body)) if title == 'Answer' else clean(body)}")
    if message.get("truncated"):
        say("      (cut here; more came)", "dim")


def _begin(body: str) -> str:
    """An answer as far as it helps to read it here."""
    left = len(body) - _ANSWER_CHARACTERS
    return body if left <= 0 else f"{body[:_ANSWER_CHARACTERS]} … ({left:,} more characters; --json has them)"


def show_command(attempt: dict[str, Any]) -> None:
    """Print an attempt's request as a curl command, on one line however long it is: it goes to a shell."""
    if command := look_up(attempt, "request.curl"):
        print(command)


def _milliseconds(attempt: dict[str, Any]) -> str:
    took = look_up(attempt, "timing.totalMs")
    return f"{took:g} ms" if isinstance(took, int | float) else ""
