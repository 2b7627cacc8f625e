#!/bin/sh
# `make run`: builds the scanner, then scans this machine. Changes nothing on it but the packages that setup.sh names.
set -eu
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null 2>&1; then
    echo "run: there is no cargo here. Install a Rust toolchain with rustup, then try again." >&2
    exit 1
fi
scripts/setup.sh build
echo "run: building the scanner (the first time takes about a minute on two cores)"
# The scanner alone: with the server in it the first findings would take three times as long.
cargo build --profile quick -p cli --no-default-features --bin patchyard

scanner=$(pwd)/target/quick/patchyard
if ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; then
    exec "$scanner" scan "$@"
fi
echo "run: this machine has no package lists; patchyard syncs the configured sources into a cache of its own"
exec "$scanner" scan --refresh "$@"
