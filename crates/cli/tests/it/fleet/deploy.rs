//! An approved update on its way to real hosts, by the built commands alone: shown, begun, installed exactly, verified, brought
//! back; refused where it has to be. What is on a host is what its own dpkg says, and what dpkg did is what its log says.

mod faults;
mod thief;

use super::by_dpkg;
use super::world::{Fleet, Place, id_of, text, until};
use crate::product::assert_same;
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::lab::booted::BootedHost;
use testkit::skip;

/// The tenant of these tests.
const TENANT: &str = "north";
/// Where a host stands while nothing more comes of it without somebody's doing.
const ENDS: [&str; 5] = ["succeeded", "not_in_effect", "failed", "cancelled", "nothing"];

/// Enrolled hosts of one tenant whose sources are synced and who are assessed.
struct Yard {
    fleet: Fleet,
    hosts: Vec<BootedHost>,
}

impl Yard {
    /// Boots them; `prepare` is done to each before it is enrolled.
    fn open(hosts: &[(&str, &str)], prepare: impl Fn(&BootedHost)) -> Result<Self, testkit::lab::LabMissing> {
        let mut fleet = Fleet::start()?;
        fleet.say(&["tenant", "add", TENANT]);
        fleet.say(&["site", "add", "main"]);
        let hosts: Vec<BootedHost> = hosts
            .iter()
            .map(|(name, suite)| fleet.boot(name, suite, Place::Lab))
            .collect();
        for host in &hosts {
            prepare(host);
            let said = fleet.enrol(host, TENANT, fleet.address());
            assert!(said.contains("This host is enrolled with"), "{said}");
        }
        let yard = Self { fleet, hosts };
        yard.sync();
        for host in &yard.hosts {
            yard.until_missing(host, "openssl");
        }
        Ok(yard)
    }

    /// Adopts every source that hosts use, and syncs them all.
    fn sync(&self) {
        let suites = |host: &BootedHost| {
            let sources = host.root().join("etc/apt/sources.list.d/debian.sources");
            let sources = std::fs::read_to_string(sources).unwrap();
            let suites = sources.lines().filter_map(|line| line.strip_prefix("Suites: "));
            let suites = suites.flat_map(str::split_whitespace);
            suites.map(str::to_owned).collect::<Vec<_>>()
        };
        let used: BTreeSet<String> = self.hosts.iter().flat_map(suites).collect();
        self.fleet.until("all sources are proposed", |fleet| {
            fleet.list(&["source", "list"]).len() >= used.len()
        });
        for source in self.fleet.list(&["source", "list"]) {
            if source["state"] == "proposed" {
                self.fleet.say(&["source", "adopt", &text(&source, "id")]);
            }
        }
        self.fleet.say(&["source", "sync"]);
    }

    /// The host's packages of a source, with the versions that it is known to miss.
    fn missing(&self, host: &BootedHost, source: &str) -> Vec<Value> {
        let found = self.fleet.one(&["host", "findings", &id_of(host)]);
        let own = of_source(host, source);
        let packages = found["packages"].as_array().cloned().unwrap_or_default();
        let is_own = |package: &Value| own.contains(package["name"].as_str().unwrap_or_default());
        packages.into_iter().filter(is_own).collect()
    }

    fn until_missing(&self, host: &BootedHost, source: &str) {
        let id = id_of(host);
        let is_of_it = |update: &Value| {
            let hosts = self.fleet.list(&["update", "hosts", &text(update, "id")]);
            hosts.iter().any(|host| host["id"] == *id)
        };
        self.fleet
            .until(&format!("{} is known to miss {source}", host.name()), |fleet| {
                !self.missing(host, source).is_empty()
                    && fleet
                        .list(&["update", "list", "--package", source])
                        .iter()
                        .any(is_of_it)
            });
    }

    fn until_nothing_is_missing(&self, host: &BootedHost, source: &str) {
        self.fleet.until(
            &format!("{} is known to miss nothing of {source}", host.name()),
            |_| self.missing(host, source).is_empty(),
        );
    }

    /// Lets all hosts be patched, as root on them does, and waits until the server knows.
    fn allow_all(&self) {
        for host in &self.hosts {
            host.run(&["patchyard-agent", "mode", "full"]).unwrap();
        }
        self.fleet
            .until("the server knows what the hosts allow", |fleet| {
                fleet.hosts(TENANT).iter().all(|host| host["mode"] == "full")
            });
    }

    /// Begins a deployment and leaves; gives the change's id.
    fn begin(&self, words: &[&str]) -> String {
        let words = [&["deploy", "--yes", "--no-wait"], words].concat();
        text(&self.fleet.one(&words), "id")
    }

    /// The deployments of a change.
    fn deployments(&self, change: &str) -> Vec<Value> {
        self.fleet.list(&["deployment", "list", "--change", change])
    }

    /// Waits until each host has come to an end, and gives them.
    fn ended(&self, change: &str) -> Vec<Value> {
        let has_ended = |deployment: &Value| ENDS.contains(&text(deployment, "shown").as_str());
        until(
            &format!("the change {change} ends"),
            || {
                let deployments = self
                    .fleet
                    .try_say(&["deployment", "list", "--change", change, "--json"]);
                let deployments: Vec<Value> =
                    deployments.map_or_else(|_| vec![], |said| serde_json::from_str(&said).unwrap());
                !deployments.is_empty() && deployments.iter().all(has_ended)
            },
            || format!("{:#?}", self.deployments(change)),
        );
        self.deployments(change)
    }
}

/// Names of the host's packages that are built from this source.
fn of_source(host: &BootedHost, source: &str) -> BTreeSet<String> {
    let format = "--showformat=${source:Package} ${Package}\n";
    let listed = host.run(&["dpkg-query", "--show", format]).unwrap();
    let own = listed.lines().filter_map(|line| line.split_once(' '));
    own.filter(|(of, _)| *of == source)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// What dpkg would list if these packages, and no others, were at these versions.
fn expected(before: &BTreeSet<String>, changed: &[Value]) -> BTreeSet<String> {
    let mut after = before.clone();
    for package in changed {
        let name = text(package, "name");
        let architecture = text(package, "architecture");
        let line = |version: &str| format!("{name} {architecture} {version}");
        assert!(
            after.remove(&line(&text(package, "installed"))),
            "{package} is installed so"
        );
        after.insert(line(&text(package, "available")));
    }
    after
}

/// What dpkg did since its log had this length: one line for each package and version that was unpacked.
fn upgrades(host: &BootedHost, since: usize) -> Vec<String> {
    let log = dpkg_log(host);
    let lines = log[since.min(log.len())..].lines();
    // `2026-05-01 12:00:00 upgrade openssl:amd64 3.0.20 3.0.22`, or `install`.
    let words = lines.map(|line| line.splitn(3, ' ').nth(2).unwrap_or_default());
    let steps = words.filter(|words| words.starts_with("upgrade ") || words.starts_with("install "));
    steps.map(str::to_owned).collect()
}

fn dpkg_log(host: &BootedHost) -> String {
    std::fs::read_to_string(host.root().join("var/log/dpkg.log")).unwrap()
}

/// No package and version was unpacked twice.
fn assert_once(host: &BootedHost, since: usize) {
    let done = upgrades(host, since);
    let distinct: BTreeSet<&String> = done.iter().collect();
    assert_eq!(distinct.len(), done.len(), "{}: {done:#?}", host.name());
}

/// All of it is there; without a restart of the host what cannot be restarted alone still runs old code.
fn assert_installed(deployment: &Value) {
    let shown = text(deployment, "shown");
    assert!(
        matches!(shown.as_str(), "succeeded" | "not_in_effect"),
        "{deployment:#}"
    );
}

#[test]
fn an_approved_update_reaches_real_hosts_exactly_and_is_proved() {
    let opened = Yard::open(
        &[("web1", "bookworm"), ("web2", "bookworm"), ("db1", "trixie")],
        |_| (),
    );
    let mut yard = match opened {
        Ok(yard) => yard,
        Err(missing) => return skip::skip_for(&missing),
    };
    a_host_that_only_watches_is_left_alone_and_the_refusal_says_what_lifts_it(&yard);
    all_hosts_get_exactly_what_was_shown(&yard);
    a_host_goes_from_version_to_version_and_back(&mut yard);
}

fn a_host_that_only_watches_is_left_alone_and_the_refusal_says_what_lifts_it(yard: &Yard) {
    let before = yard.hosts.iter().map(by_dpkg).collect::<Vec<_>>();
    let refused = yard
        .fleet
        .try_say(&["deploy", "--update", "openssl", "--hosts", "all", "--yes"]);
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("3 hosts") && refused.contains("sudo patchyard-agent mode install"),
        "{refused}"
    );
    assert!(yard.fleet.list(&["change", "list"]).is_empty());
    assert_eq!(before, yard.hosts.iter().map(by_dpkg).collect::<Vec<_>>());
}

fn all_hosts_get_exactly_what_was_shown(yard: &Yard) {
    yard.allow_all();
    let mut expectations = Vec::new();
    for host in &yard.hosts {
        let before = by_dpkg(host);
        let pending = yard.missing(host, "openssl");
        expectations.push((expected(&before, &pending), pending.len(), dpkg_log(host).len()));
    }
    for (names, restarts) in [
        ("web1,web2", &["--restart-services"][..]),
        // Before systemd 254 a service does not see the id that nspawn gives each boot.
        ("db1", &["--reboot", "if-needed", "--notice", "0"]),
    ] {
        let words = [
            "deploy",
            "--update",
            "openssl",
            "--hosts",
            names,
            "--yes",
            "--no-wait",
        ];
        let change = text(&yard.fleet.one(&[&words[..], restarts].concat()), "id");
        for deployment in yard.ended(&change) {
            match names {
                "db1" => assert_eq!(deployment["shown"], "succeeded", "{deployment:#}"),
                _ => assert_installed(&deployment),
            }
        }
    }
    for (host, (packages, count, since)) in yard.hosts.iter().zip(expectations) {
        assert_same(host.name(), &by_dpkg(host), &packages);
        assert_eq!(upgrades(host, since).len(), count, "{:#?}", upgrades(host, since));
        assert_once(host, since);
        yard.until_nothing_is_missing(host, "openssl");
    }
    // Who did it is known as well.
    let changes = yard.fleet.list(&["host", "changes", &id_of(&yard.hosts[0])]);
    assert!(
        changes.iter().any(|change| change["package"] == "openssl"),
        "{changes:#?}"
    );
}

/// openssl on bookworm: what -updates, the release and -security list.
const CHAIN: [&str; 3] = ["3.0.17-1~deb12u2", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2"];

fn a_host_goes_from_version_to_version_and_back(yard: &mut Yard) {
    let host = &yard.hosts[0];
    let id = id_of(host);
    let is_listed = |version: &str| {
        let listed = host.run(&["apt-cache", "madison", "openssl"]).unwrap();
        listed.contains(&format!(" {version} "))
    };
    if !CHAIN.iter().all(|version| is_listed(version)) {
        return skip::skip(&"the archive does not have all three versions of openssl any more");
    }
    let version = || {
        let line = "--showformat=${Version}";
        host.run(&["dpkg-query", "--show", line, "openssl"]).unwrap()
    };
    set_back(host, CHAIN[0]);
    yard.fleet.until("the server knows the oldest version", |_| {
        is_known_at(yard, &id, CHAIN[0])
    });
    let since = dpkg_log(host).len();
    let mut last = String::new();
    for next in &CHAIN[1..] {
        let update = format!("openssl={next}");
        let change = yard.begin(&["--update", &update, "--hosts", "web1"]);
        let ended = yard.ended(&change);
        assert_installed(&ended[0]);
        assert_eq!(version(), *next);
        last = text(&ended[0], "id");
    }
    let back = text(
        &yard
            .fleet
            .one(&["deployment", "back-out", &last, "--yes", "--no-wait"]),
        "id",
    );
    let ended = yard.ended(&back);
    assert_installed(&ended[0]);
    assert_eq!(version(), CHAIN[1]);
    assert_once(host, since);
}

fn is_known_at(yard: &Yard, id: &str, version: &str) -> bool {
    let packages = yard.fleet.list(&["host", "packages", id]);
    packages
        .iter()
        .any(|package| package["name"] == "openssl" && package["version"] == version)
}

/// Puts older packages onto a host by hand, as somebody without Patchyard does.
fn set_back(host: &BootedHost, version: &str) {
    let libraries = of_source(host, "openssl");
    let wanted: Vec<String> = libraries.iter().map(|name| format!("{name}={version}")).collect();
    let words: Vec<&str> = ["--allow-downgrades"]
        .into_iter()
        .chain(wanted.iter().map(String::as_str))
        .collect();
    host.install(&words).unwrap();
}
