"""The texts of the ``.sql`` files by name. Knows no table."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statements(file: str) -> dict[str, str]:
    """Read one file of statements, once."""
    parts = _NAME.split(files(__package__).joinpath("queries", file).read_text("utf-8"))[1:]
    return {
        name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
