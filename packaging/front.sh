#!/usr/bin/env bash
# Fetches what others have written for the dashboard's pages, as locked in front/package-lock.json, and copies the few
# files that are served into the package. Knows npm; builds nothing.
# Usage: front.sh BIN [npm ci's options]     BIN: a folder with node and npm, such as .venv/bin
set -euo pipefail

bin=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
served=$root/src/whatsync/web/static/vendor

cd "$root/front"
PATH="$bin:$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts "$@"
mkdir -p "$served"
install -m 0644 node_modules/htmx.org/dist/htmx.min.js "$served/htmx.js"
install -m 0644 node_modules/uplot/dist/uPlot.iife.min.js "$served/uplot.js"
install -m 0644 node_modules/uplot/dist/uPlot.min.css "$served/uplot.css"
