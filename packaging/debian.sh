#!/usr/bin/env bash
# Installs Debian packages for programs that are missing, when it may; otherwise says exactly what to type.
# Usage: debian.sh PROGRAM=PACKAGE ...     for example: debian.sh php=php-cli make=make
# A library of Ruby's is asked for as ruby:LIBRARY=PACKAGE, for example: ruby:sinatra/base=ruby-sinatra
# A shared library is asked for as library:NAME=PACKAGE, for example: library:libatomic.so.1=libatomic1
# What is no program is asked for by its path: file:/usr/share/fonts/truetype/dejavu=fonts-dejavu-core
set -euo pipefail

is_there() {
    case $1 in
        file:*) [ -e "${1#file:}" ] ;;
        library:*) [[ $(/sbin/ldconfig -p) == *"${1#library:} "* ]] ;;
        ruby:*) ruby -r "${1#ruby:}" -e '' ;;
        *) command -v "$1" ;;
    esac
} >/dev/null 2>&1

missing=()
for pair in "$@"; do
    is_there "${pair%%=*}" || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing here, and needed for the tests: ${missing[*]}. On Debian or Ubuntu type:" >&2
    echo "    sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

echo "Installing ${missing[*]} with apt-get ..."
export DEBIAN_FRONTEND=noninteractive
# What is installed here is for tests, which start it themselves: nothing shall run as a service of the machine.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
