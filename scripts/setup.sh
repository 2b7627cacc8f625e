#!/bin/sh
# Installs, by package name from the machine's own configured sources, what a build or the tests need and what is missing.
# Usage: scripts/setup.sh build|test. Nothing is installed without root or a password-less sudo: then it says what to install,
# and fails only where nothing can go on (no C compiler for a build) or where nothing may be skipped (CI=true).
set -u

purpose=${1:?build or test}
# gcc, libc6-dev: rustc links with them, and zstd and ring contain C. ca-certificates: for downloads of crates.
needed="gcc libc6-dev ca-certificates"
if [ "$purpose" = test ]; then
    # The oracles: apt, dpkg and libapt's Python binding, gpgv, the compressors, libstdc++'s random numbers, fresh roots.
    needed="$needed g++ git python3 python3-apt apt dpkg dpkg-dev gpgv gnupg zstd lz4 xz-utils gzip mmdebstrap systemd-container iproute2 debian-archive-keyring"
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
    for package in $needed; do
        is_installed "$package" || printf '%s ' "$package"
    done
}

give_up() {
    echo "setup: $1" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
    if ! command -v cc >/dev/null 2>&1; then exit 1; fi
    exit 0
}

if ! command -v dpkg-query >/dev/null 2>&1; then
    give_up "this is no Debian system: install the equivalents of: $needed"
fi
missing=$(missing_packages)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    give_up "without root these stay missing, and tests that need them are skipped: apt-get install $missing"
fi

echo "setup: installing $missing(the $purpose needs them)"
install() {
    # shellcheck disable=SC2086 # both are lists of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends -y $missing >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists may be missing or name files that are gone: fetch them again, once.
if ! install; then
    echo "setup: fetching package lists (apt-get update)"
    if ! { $as_root apt-get -qq update >"$log" 2>&1 && install; }; then
        tail -n 15 "$log" >&2
        give_up "could not install: $missing"
    fi
fi
