#!/bin/sh
# `make run`: builds the scanner and scans this machine; meanwhile builds the server, then runs it here with this machine as its
# first host. Changes nothing on the machine but the packages that setup.sh names, and what the server keeps in its data folder.
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
cp target/quick/patchyard target/quick/patchyard-scan

scan=target/quick/patchyard-scan
if ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; then
    "$scan" scan "$@" || echo "run: the scan did not end well; the server is built all the same" >&2
else
    echo "run: this machine has no package lists; patchyard syncs the configured sources into a cache of its own"
    "$scan" scan --refresh "$@" || echo "run: the scan did not end well; the server is built all the same" >&2
fi

echo
echo "run: that was the scan. Building the server and the agent now (the first time takes about two more minutes on two cores)"
cargo build --profile quick -p cli -p agent --bin patchyard --bin patchyard-agent
# The package by which other hosts get the agent takes another minute: it is offered when it is there.
(cargo xtask dist --plain --out target/quick/package >target/quick/package.log 2>&1 &&
    mv target/quick/package/patchyard-agent_*.deb target/quick/patchyard-agent.deb) &
export PATCHYARD_COMMAND=target/quick/patchyard
exec target/quick/patchyard up
