#!/bin/sh
# `make demo`: six real, outdated Debian hosts (booted systemd, one bridge, no way out), a server, two tenants with a site each.
# One host stands in a network apart, which only a forwarding proxy without keys leads out of. Shows what the hosts miss, patches
# openssl on one of them, then waits for Ctrl-C and takes everything away again. Needs root; nothing on this machine is changed
# but the packages that setup.sh names and a cache (~/.cache/patchyard-tests).
# DEMO_PROFILE chooses the build profile, DEMO_BUILT a folder with everything built, DEMO_HOLD=no ends after the findings.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\ndemo: %s\n' "$1"; }
fail() {
    printf 'demo: %s\n' "$1" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || fail "booting hosts needs root: sudo make demo"
command -v cargo >/dev/null 2>&1 || fail "there is no cargo here. Install a Rust toolchain with rustup, then try again."

profile=${DEMO_PROFILE:-quick}
folder=$profile
[ "$profile" != dev ] || folder=debug
port=8443
hosts="web1=bookworm web2=bookworm db1=trixie mail1=bullseye shop1=bookworm shop2=trixie@island"
proxied=shop2
north="web1 web2 db1"
south="mail1 shop1 shop2"

scripts/setup.sh test
if [ -z "${DEMO_BUILT:-}" ]; then
    say "building the server, the lab and the agent's package (the first time takes some minutes)"
    cargo build --quiet --profile "$profile" -p cli --bin patchyard
    cargo build --quiet --profile "$profile" -p testkit --example lab
    cargo xtask dist
    DEMO_BUILT=$(pwd)/target/$folder
    cp target/dist/patchyard-agent_*.deb "$DEMO_BUILT/"
    cp "$DEMO_BUILT/examples/lab" "$DEMO_BUILT/lab"
fi
built=$DEMO_BUILT
package=$(ls -t "$built"/patchyard-agent_*.deb | head -n 1)

work=$(mktemp -d)
server=
cleaned=
clean() {
    [ -z "$cleaned" ] || return 0
    cleaned=yes
    say "taking everything away"
    # The lab ends when its standard input does.
    exec 9>&- || true
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

say "booting six hosts (the first time their roots are built: a few minutes)"
mkfifo "$work/hold"
# In a session of its own: Ctrl-C is for this script, which then ends the lab in order.
# shellcheck disable=SC2086 # a list of words
setsid "$built/lab" "$work" "$port" $hosts <"$work/hold" &
lab=$!
exec 9>"$work/hold"
while [ ! -e "$work/lab.env" ]; do
    kill -0 "$lab" 2>/dev/null || fail "the lab did not start"
    sleep 0.2
done
# shellcheck source=/dev/null
. "$work/lab.env"

data=$work/server
patchyard() { "$built/patchyard" "$@" --data "$data"; }
mkdir -m 700 "$data"
# The addresses by which hosts know the server; the second one is the proxy's, as the network apart sees it.
cat >"$data/settings.toml" <<END
listen = "$ADDRESS:$port"
addresses = ["$ADDRESS:$port", "$PROXY"]
END
say "starting the server on $ADDRESS:$port"
setsid "$built/patchyard" up --no-agent --agent-package "$package" --data "$data" >"$work/server.log" 2>&1 9>&- &
server=$!
until [ -e "$data/local-address" ]; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start: $(tail -n 5 "$work/server.log")"
    sleep 0.2
done

enrol() {
    tenant=$1
    host=$2
    address=$ADDRESS:$port
    [ "$host" != "$proxied" ] || address=$PROXY
    command=$(patchyard enrol --tenant "$tenant" --site main --address "$address" --no-wait | sed -n 's/^  //p')
    "$work/$host" sh -c "$command" >"$work/said" 2>&1 || fail "$host could not be enrolled: $(cat "$work/said")"
    # What root on the host decides: a server cannot lift it.
    "$work/$host" patchyard-agent mode full >"$work/said" 2>&1 || fail "the mode of $host was not set: $(cat "$work/said")"
    echo "  $host is enrolled with $tenant at $address, and lets itself be patched"
}

for tenant in north south; do
    say "making the tenant $tenant with its site, and enrolling its hosts by the printed command"
    patchyard tenant add "$tenant"
    patchyard site add main --tenant "$tenant"
    eval "members=\$$tenant"
    # shellcheck disable=SC2154 # eval sets it
    for host in $members; do
        enrol "$tenant" "$host"
    done
done

# The value of a member in JSON that the server printed, one a line.
values() { sed -n 's/^ *"'"$1"'": "\(.*\)",\{0,1\}$/\1/p'; }

# Asks again each second until a command succeeds; gives up after some minutes.
until_so() {
    what=$1
    shift
    tries=0
    until "$@" >"$work/said" 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 240 ] || fail "waited in vain: $what; the last answer: $(tail -n 3 "$work/said")"
        sleep 1
    done
}
has_sources() { patchyard source list --tenant "$1" --json | values id | grep -q .; }
is_assessed() { [ "$(patchyard host show "$2" --tenant "$1" --json | values standing | head -n 1)" = updates_missing ]; }

say "adopting the sources that the hosts use, and syncing them"
for tenant in north south; do
    until_so "hosts of $tenant propose their sources" has_sources "$tenant"
    for source in $(patchyard source list --tenant "$tenant" --json | values id); do
        patchyard source adopt "$source" --tenant "$tenant" >/dev/null || true
    done
    patchyard source sync --tenant "$tenant" || true
done

is_willing() { patchyard host show "$2" --tenant "$1" --json | values mode | grep -q full; }

say "waiting until every host is assessed"
for tenant in north south; do
    eval "members=\$$tenant"
    for host in $members; do
        until_so "$host is assessed" is_assessed "$tenant" "$host"
        until_so "$host says what it allows" is_willing "$tenant" "$host"
    done
done
for tenant in north south; do
    say "hosts of $tenant"
    patchyard host list --tenant "$tenant"
done
say "what db1 misses"
patchyard host findings db1 --tenant north

say "patching it: patchyard deploy --update openssl --hosts db1 --reboot if-needed --notice 0 --tenant north --yes"
patchyard deploy --update openssl --hosts db1 --reboot if-needed --notice 0 --tenant north --yes || fail "db1 was not patched"

say "this lab stays until Ctrl-C. Look around from another terminal, as root:
  a host            $work/web1 [COMMAND]        (also: $HOSTS)
  the server        $built/patchyard host list --tenant north --data $data
  patch the rest    $built/patchyard deploy --update openssl --hosts all --restart-services --tenant north --data $data
  the proxy         $proxied reaches nothing but $PROXY, which forwards bytes to the server and holds no keys"
[ "${DEMO_HOLD:-yes}" = yes ] || exit 0
wait "$lab"
