#!/usr/bin/env bash
# Makes the virtual environment that everything else is installed into.
# Knows how to find a Python that is new enough and what Debian leaves out of its own; installs no package of ours.
# Usage: venv.sh FOLDER [PYTHON]     without PYTHON the first fitting one on the PATH is taken
set -euo pipefail

folder=$1
wanted=${2:-}
oldest="3.11"

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "$wanted" ]; then
        if ! fits "$wanted"; then
            echo "PYTHON=$wanted is no Python $oldest or newer ($("$wanted" --version 2>&1 | tail -n 1))." >&2
            echo "Name one that is, for example: make setup PYTHON=python$oldest" >&2
            return 1
        fi
        echo "$wanted"
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "WhatsSync needs Python $oldest or newer; python3 here is: $(python3 --version 2>&1 | tail -n 1)." >&2
    echo "Install one, then name it: make setup PYTHON=/path/to/python$oldest" >&2
    return 1
}

python=$(find_python)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    # Debian and Ubuntu keep this part of Python in a package of its own.
    package="python$version-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Python $version has no venv module; installing $package with apt-get."
        apt-get install -y -q "$package" >/dev/null 2>&1 \
            || { apt-get update -q && apt-get install -y -q "$package"; }
    else
        echo "Python $version has no venv module. On Debian or Ubuntu type:" >&2
        echo "    sudo apt-get install -y $package" >&2
        echo "and then run the same make command again." >&2
        exit 1
    fi
fi

echo "Making $folder with Python $version ..."
"$python" -m venv --clear "$folder"
