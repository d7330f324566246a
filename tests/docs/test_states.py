"""The diagram of a delivery's states is drawn from the table itself: ``python -m tests.docs.test_states``."""

from tests.docs.pages import DOCS, page
from whatsync.model.delivery import FINAL, TRANSITIONS, State

BEGIN, END = "<!-- states begin -->\n", "<!-- states end -->"


def drawing() -> str:
    """The table as a diagram in Mermaid's language."""
    moves: dict[tuple[State, State], list[str]] = {}
    for (before, happening), after in TRANSITIONS.items():
        moves.setdefault((before, after), []).append(happening.value.replace("_", " "))
    lines = ["stateDiagram-v2", f"    [*] --> {State.PENDING}"]
    lines += [f"    {before} --> {after}: {', '.join(words)}" for (before, after), words in moves.items()]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def test_the_page_shows_the_table_as_it_is() -> None:
    assert drawing() in page("concepts.md"), "run: python -m tests.docs.test_states"


if __name__ == "__main__":
    before, _, rest = page("concepts.md").partition(BEGIN)
    (DOCS / "concepts.md").write_text(before + BEGIN + drawing() + END + rest.partition(END)[2], encoding="utf-8")
