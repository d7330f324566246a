"""Compiles the hot path (``whatsync.compiled``) with mypyc into a folder of the virtual environment.

Needs a C compiler and Python's headers. What was there before stays until the new one is complete.
Usage: python packaging/compile.py
"""

import contextlib
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

from whatsync import compiled

PACKAGE = Path(compiled.__file__).parent
_OPTIONS = ["--strict", "--explicit-package-bases", "--no-incremental", "--no-error-summary"]


def missing() -> str | None:
    """What is missing to compile, in words."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler}); on Debian: apt install gcc libc6-dev"
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        return f"Python's headers are missing ({header}); on Debian: apt install python3-dev"
    return None


def compile_into(folder: Path, work: Path) -> None:
    """Compile in ``work`` and put what it makes into ``folder``, which appears whole or not at all."""
    shutil.copytree(PACKAGE, work / "whatsync", ignore=shutil.ignore_patterns("__pycache__", "static"))
    sources = [f"whatsync/{module.replace('.', '/')}.py" for module in compiled.MODULES]
    made = work / "made"
    with contextlib.chdir(work):
        os.environ["MYPYPATH"] = str(work)
        extensions = mypycify([*_OPTIONS, *sources], opt_level="3", debug_level="0")
        setup(
            name="whatsync-compiled",
            packages=[],
            ext_modules=extensions,
            script_args=["--quiet", "build_ext", "--build-lib", str(made), "--build-temp", str(work / "objects")],
        )
    (made / compiled.FINGERPRINT).write_text(compiled.fingerprint(PACKAGE) + "\n", "ascii")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(made, folder)


def main() -> int:
    """Compile, or say what is missing."""
    if compiled.unusable() is None:
        return 0
    reason = missing()
    if reason is not None:
        print(f"Can't compile the hot path: {reason}", file=sys.stderr)
        return 1
    print("Compiling the hot path; this takes a minute or two ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="whatsync-compile-") as work:
        compile_into(compiled.FOLDER, Path(work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
