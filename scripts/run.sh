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

# Builds; on a terminal what is compiled takes one line and not hundreds, so that the findings above stay in sight.
build() {
    if [ ! -t 1 ]; then
        cargo build --profile quick "$@"
        return
    fi
    { cargo build --profile quick "$@" 2>&1 || echo "status failed"; } | {
        count=0
        while IFS= read -r line; do
            case $line in
            *" Compiling "*)
                count=$((count + 1))
                name=${line#*Compiling }
                printf '\r\033[K  %s crates, now %s' "$count" "${name%% *}"
                ;;
            *" Downloading "* | *" Downloaded "* | *" Updating "* | *" Locking "* | *" Adding "* | *" Finished "*) ;;
            "status failed") exit 1 ;;
            *) printf '\r\033[K%s\n' "$line" ;;
            esac
        done
        printf '\r\033[K'
    }
}

echo "run: building the scanner (the first time takes about a minute on two cores)"
# The scanner alone: with the server in it the first findings would take three times as long.
build -p cli --no-default-features --bin patchyard
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
build -p cli -p agent --bin patchyard --bin patchyard-agent
# The package by which other hosts get the agent takes another minute: it is offered when it is there.
(cargo xtask dist --plain --out target/quick/package >target/quick/package.log 2>&1 &&
    mv target/quick/package/patchyard-agent_*.deb target/quick/patchyard-agent.deb) &
export PATCHYARD_COMMAND=target/quick/patchyard
exec target/quick/patchyard up
