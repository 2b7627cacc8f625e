#!/bin/sh
# Installs, by package name from the machine's own configured sources, what a build or the tests need and what is missing.
# Usage: scripts/setup.sh build|test. Nothing is installed without root or a password-less sudo: then it says what to install,
# and fails only where nothing can go on (no C compiler for a build) or where nothing may be skipped (CI=true).
set -u

purpose=${1:?build or test}
# gcc, libc6-dev: rustc links with them, and zstd and ring contain C. ca-certificates: for downloads of crates.
needed="gcc libc6-dev ca-certificates"
if [ "$purpose" = test ]; then
    # The oracles: apt, dpkg and libapt's Python binding, gpgv, the compressors, libstdc++'s random numbers, fresh roots; clamd.
    needed="$needed g++ git python3 python3-apt apt dpkg dpkg-dev gpgv gnupg zstd lz4 xz-utils gzip mmdebstrap systemd-container iproute2 libfaketime openssh-client postgresql debian-archive-keyring clamav-daemon"
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
    if ! command -v cc >/dev/null 2>&1; then
        echo "setup: without a C compiler nothing can be built" >&2
        exit 1
    fi
    if [ "${CI:-}" = true ]; then
        echo "setup: with CI=true nothing may be missing" >&2
        exit 1
    fi
    [ "$purpose" = build ] || echo "setup: until then the tests that need them say that they are skipped" >&2
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
    give_up "not root, and no sudo without a password; what is missing comes with: apt-get install $missing"
fi

echo "setup: installing $missing(the $purpose needs them)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends -y "$@" >>"$log" 2>&1
}
# shellcheck disable=SC2086 # a list of words
if ! install $missing; then
    # The lists may be missing or name files that are gone: fetch them again, once.
    echo "setup: fetching package lists (apt-get update)"
    $as_root apt-get -qq update >"$log" 2>&1
    if ! install $missing; then
        # One that no source has must not keep the others away.
        for package in $missing; do
            install "$package"
        done
        missing=$(missing_packages)
        if [ -n "$missing" ]; then
            grep '^[EW]:' "$log" | awk '!seen[$0]++' | head -n 15 >&2
            give_up "could not install: $missing"
        fi
    fi
fi
