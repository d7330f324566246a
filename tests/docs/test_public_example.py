"""The webhooks page repeats the public document's example word for word, and it is the one that the tests run."""

from tests.docs.pages import ROOT, page


def test_the_example_shown_is_the_example_run() -> None:
    program = (ROOT / "tests" / "receivers" / "express_example.js").read_text(encoding="utf-8")
    example = program.split("example begins\n")[1].split("// ---- the document's example ends")[0]
    shown = "\n".join(line.rstrip() for line in page("webhooks.md").splitlines())
    assert "\n".join(line.rstrip() for line in example.strip().splitlines()) in shown
