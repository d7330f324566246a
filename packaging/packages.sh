#!/usr/bin/env bash
# Installs locked Python packages, each checked by its hash, and says how far it is: the first time takes a minute or two.
# Usage: packages.sh BIN LOCK...     BIN: a virtual environment's folder of programs, such as .venv/bin
set -euo pipefail

bin=$1
shift
total=$(cat "$@" | grep -c '^[A-Za-z0-9].*==')
locks=()
for lock in "$@"; do
    locks+=(-r "$lock")
done

say_how_far() {
    local line count=0
    while IFS= read -r line; do
        case $line in
            Collecting\ * | Requirement\ already\ satisfied*)
                count=$((count + 1))
                if [ -t 1 ]; then
                    printf '\r  fetching %d of about %d ' "$count" "$total"
                elif [ $((count % 20)) = 0 ]; then
                    echo "  fetched $count of about $total"
                fi
                ;;
            Installing\ collected*)
                if [ -t 1 ]; then printf '\r\033[K'; fi
                echo "  unpacking and compiling them ..."
                ;;
        esac
    done
}

"$bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --require-hashes "${locks[@]}" \
    | say_how_far
