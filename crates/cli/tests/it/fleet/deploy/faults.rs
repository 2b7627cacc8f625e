//! Whatever is killed in the middle of a deployment, at whatever moment: in the end the host has exactly the approved versions,
//! or it says what is wrong and the next attempt repairs it. `PATCHYARD_FAULTS` says how many, `PATCHYARD_SEED` which.

use super::super::world::{Calendar, until};
use super::{Yard, assert_once, by_dpkg, dpkg_log, expected, set_back, text};
use crate::chance::Chance;
use crate::product::assert_same;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::lab::booted::BootedHost;
use testkit::skip;

/// Faults where nobody asks for more.
const FEW: u64 = 3;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The host has no power any more, and gets it back.
    PowerCut,
    /// Everything of the agent's service is killed, and started again by systemd.
    Agent,
    /// The network process alone.
    Network,
    /// The server, which is started again.
    Server,
    /// apt-get, wherever it is.
    Apt,
    /// dpkg, wherever it is.
    Dpkg,
    /// The transient unit with everything in it.
    Unit,
}

const ALL: [Fault; 7] = [
    Fault::PowerCut,
    Fault::Agent,
    Fault::Network,
    Fault::Server,
    Fault::Apt,
    Fault::Dpkg,
    Fault::Unit,
];

impl Fault {
    fn strike(self, yard: &mut Yard) {
        let host = &mut yard.hosts[0];
        // Nobody may be there to be killed at this moment: that is a moment too.
        let try_run = |words: &[&str]| drop(host.try_run(words).unwrap());
        match self {
            Self::Agent => try_run(&["systemctl", "kill", "--signal=KILL", "patchyard-agent"]),
            Self::Network => try_run(&["pkill", "-KILL", "-u", "patchyard-agent"]),
            Self::Apt => try_run(&["pkill", "-KILL", "-x", "apt-get"]),
            Self::Dpkg => try_run(&["pkill", "-KILL", "-x", "dpkg"]),
            Self::Unit => try_run(&["systemctl", "kill", "--signal=KILL", "patchyard-order-*"]),
            Self::PowerCut => {
                host.cut_power().unwrap();
                host.power_on().unwrap();
            }
            Self::Server => {
                yard.fleet.kill_server();
                yard.fleet.run_server(Calendar::Today);
            }
        }
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "who runs the test says how much of it")]
    let said = std::env::var(variable);
    said.map_or(usual, |said| said.parse().expect("a number"))
}

#[test]
fn whatever_is_killed_in_the_middle_a_host_ends_exactly_or_repairable_and_says_so() {
    let mut yard = match Yard::open(&[("web1", "bookworm")], set_back_to_release) {
        Ok(yard) => yard,
        Err(missing) => return skip::skip_for(&missing),
    };
    yard.allow_all();
    let seed = number("PATCHYARD_SEED", 1);
    for round in 0..number("PATCHYARD_FAULTS", FEW) {
        let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let fault = match round {
            // Each of the worst at least once.
            0 => Fault::PowerCut,
            _ => *chance.one_of(&ALL),
        };
        let after = Duration::from_millis(chance.number(0..9_000));
        println!("round {round} of seed {seed}: {fault:?} after {after:?}");
        strike_once(&mut yard, fault, after);
    }
}

/// The version of the release suite, which is older than the one of -security.
fn set_back_to_release(host: &BootedHost) {
    let listed = host.run(&["apt-cache", "madison", "openssl"]).unwrap();
    let oldest = listed.lines().filter_map(|line| line.split('|').nth(1)).nth(1);
    set_back(host, oldest.expect("the release has an older one").trim());
}

/// A deployment that is struck, and what has become of the host.
fn strike_once(yard: &mut Yard, fault: Fault, after: Duration) {
    yard.until_missing(&yard.hosts[0], "openssl");
    let before = by_dpkg(&yard.hosts[0]);
    let wanted = expected(&before, &yard.missing(&yard.hosts[0], "openssl"));
    let since = dpkg_log(&yard.hosts[0]).len();
    let change = yard.begin(&["--update", "openssl", "--hosts", "web1"]);
    pause(after);
    fault.strike(yard);
    for attempt in 1.. {
        let ended = yard.ended(&change).remove(0);
        match text(&ended, "shown").as_str() {
            "succeeded" | "not_in_effect" => break,
            "failed" => {
                // It may not say that it failed and have it all the same, or have something else.
                let now = by_dpkg(&yard.hosts[0]);
                assert!(
                    is_between(&now, &before, &wanted),
                    "{fault:?} after {after:?}: {ended:#}"
                );
                assert!(attempt < 3, "{fault:?} after {after:?}: {ended:#}");
                yard.fleet.say(&["deployment", "retry", &text(&ended, "id")]);
                until_begun(yard, &change);
            }
            other => panic!("{fault:?} after {after:?}: {other}: {ended:#}"),
        }
    }
    let host = &yard.hosts[0];
    assert_same(&format!("{fault:?} after {after:?}"), &by_dpkg(host), &wanted);
    assert_eq!(
        host.run(&["dpkg", "--audit"]).unwrap(),
        "",
        "{fault:?} after {after:?}"
    );
    assert_once(host, since);
    set_back_to_release(host);
}

/// A retry is an order of its own: the former end is over.
fn until_begun(yard: &Yard, change: &str) {
    until(
        "the retry has begun",
        || yard.deployments(change)[0]["shown"] != "failed",
        || format!("{:#?}", yard.deployments(change)),
    );
}

/// Whether each package is at its former or its approved version.
fn is_between(now: &BTreeSet<String>, before: &BTreeSet<String>, wanted: &BTreeSet<String>) -> bool {
    now.iter()
        .all(|package| before.contains(package) || wanted.contains(package))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fault strikes at a moment of real time"
)]
fn pause(span: Duration) {
    std::thread::sleep(span);
}
