//! The running system's facts against the programs that everybody trusts for them, and file trees, which have few.

use crate::oracle::{put, run};
use agent::host::{ReadOptions, read};
use agent::survey::{Look, facts, facts_without_packages, measures, virtualisation};
use agent::tree::Tree;
use domain::host::facts::{HostFacts, Known, PackageDatabase};
use domain::host::hardware::Virtualisation;
use domain::host::measures::ClockKeeping;
use domain::host::network::{NEIGHBOURS_LAST_MICROS, Neighbour, Neighbours};
use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use testkit::host::HostTree;

const NOW: i64 = 1_800_000_000_000_000;

fn look() -> Look {
    Look {
        now_micros: NOW,
        neighbours: None,
    }
}

fn live() -> (Tree, HostFacts) {
    let tree = Tree::open(Path::new("/")).unwrap();
    let facts = facts_without_packages(&tree, "not asked for", &look());
    (tree, facts)
}

fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    run(program, Command::new(program).args(arguments)).map(|answer| answer.unwrap_or_default())
}

#[test]
fn virtualisation_is_what_systemd_detects() {
    let Some(theirs) = printed("systemd-detect-virt", &[]) else {
        return;
    };
    // It prints `none` and fails on a real machine.
    let theirs = if theirs.trim().is_empty() {
        "none"
    } else {
        theirs.trim()
    };
    let ours = match virtualisation(&Tree::open(Path::new("/")).unwrap()) {
        Virtualisation::Physical => "none".to_owned(),
        Virtualisation::Machine { kind } | Virtualisation::Container { kind } => kind,
        Virtualisation::Unknown => "unknown".to_owned(),
    };
    assert_eq!(ours, theirs);
}

#[test]
fn a_container_has_no_kernel_and_no_nameplate() {
    let (_, facts) = live();
    if !facts.virtualisation.is_container() {
        return testkit::skip::skip(&"this is no container");
    }
    assert_eq!(facts.kernels.running, None);
    assert_eq!(facts.hardware.serial, None);
    assert_eq!(facts.system.kernel_release, None);
}

#[test]
fn processors_and_memory_are_what_the_c_library_and_the_kernel_count() {
    let (_, facts) = live();
    let Some(online) = printed("getconf", &["_NPROCESSORS_ONLN"]) else {
        return;
    };
    assert_eq!(facts.hardware.cpu_count, online.trim().parse().ok());
    let pages: u64 = printed("getconf", &["_PHYS_PAGES"])
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let size: u64 = printed("getconf", &["PAGESIZE"]).unwrap().trim().parse().unwrap();
    assert_eq!(facts.hardware.memory_bytes, Some(pages * size));
}

#[test]
fn addresses_are_those_that_ip_shows() {
    let Some(text) = printed("ip", &["-j", "addr"]) else {
        return;
    };
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut theirs = BTreeSet::new();
    for link in links.as_array().unwrap() {
        let has_flag = |flag: &str| link["flags"].as_array().unwrap().iter().any(|own| own == flag);
        for address in link["addr_info"].as_array().unwrap() {
            let is_lasting = address["scope"] != "link" && address["temporary"] != true;
            if has_flag("UP") && !has_flag("LOOPBACK") && is_lasting {
                let local: IpAddr = address["local"].as_str().unwrap().parse().unwrap();
                let name = link["ifname"].as_str().unwrap().to_owned();
                let ethernet = link["address"].as_str().map(str::to_owned);
                theirs.insert((name, ethernet, local, address["prefixlen"].as_u64().unwrap()));
            }
        }
    }
    let (_, facts) = live();
    let ours: BTreeSet<_> = facts
        .interfaces
        .known()
        .unwrap()
        .iter()
        .flat_map(|interface| {
            interface.addresses.iter().map(|own| {
                let prefix = u64::from(own.prefix_length);
                (
                    interface.name.clone(),
                    interface.link_address.clone(),
                    own.address,
                    prefix,
                )
            })
        })
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn neighbours_are_those_of_ip_that_have_answered() {
    let Some(text) = printed("ip", &["-j", "neigh"]) else {
        return;
    };
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    let answered = ["REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT"];
    let theirs: BTreeSet<(IpAddr, String)> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| {
            row["state"]
                .as_array()
                .unwrap()
                .iter()
                .any(|own| answered.contains(&own.as_str().unwrap()))
        })
        .filter_map(|row| {
            Some((
                row["dst"].as_str()?.parse().ok()?,
                row["lladdr"].as_str()?.to_owned(),
            ))
        })
        .collect();
    let (_, facts) = live();
    let seen = facts.neighbours.known().unwrap();
    assert_eq!(seen.seen_at_micros, NOW);
    let ours: BTreeSet<(IpAddr, String)> = seen
        .neighbours
        .iter()
        .map(|own| (own.address, own.link_address.clone()))
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn what_was_seen_of_neighbours_is_repeated_for_a_day() {
    let tree = Tree::open(Path::new("/")).unwrap();
    let seen = Neighbours {
        seen_at_micros: NOW,
        neighbours: vec![Neighbour {
            address: IpAddr::from([192, 0, 2, 77]),
            link_address: "02:00:00:00:00:4d".to_owned(),
            interface: "eth0".to_owned(),
        }],
        omitted: 0,
    };
    let at = |now_micros: i64| {
        let look = Look {
            now_micros,
            neighbours: Some(seen.clone()),
        };
        facts_without_packages(&tree, "not asked for", &look).neighbours
    };
    assert_eq!(at(NOW + NEIGHBOURS_LAST_MICROS - 1), Known::Known(seen.clone()));
    assert_ne!(at(NOW + NEIGHBOURS_LAST_MICROS), Known::Known(seen.clone()));
}

#[test]
fn a_listening_socket_is_reported_with_its_program_and_one_that_asks_is_not() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let asking = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_, facts) = live();
    let listening = facts.listening.known().unwrap();
    let port = tcp.local_addr().unwrap().port();
    let own = listening
        .iter()
        .find(|own| own.port == port && own.address.is_loopback());
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    // The thread that runs the test has a name of its own; the process has the binary's.
    let process = std::fs::read_to_string(format!("/proc/{}/comm", std::process::id())).unwrap();
    let program = own.unwrap().program.clone().unwrap();
    assert!(program == comm.trim() || program == process.trim(), "{program}");
    let port = asking.local_addr().unwrap().port();
    assert!(
        !listening
            .iter()
            .any(|own| own.port == port && own.protocol == domain::host::network::Transport::Udp)
    );
}

#[test]
fn listening_tcp_ports_are_those_that_ss_shows() {
    let Some(text) = printed("ss", &["-Hltn"]) else {
        return;
    };
    // Tests beside this one open and close ports: what stays the same around our look must be in it.
    let ports = |text: &str| -> BTreeSet<u16> {
        text.lines()
            .filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next()?.parse().ok())
            .collect()
    };
    let before = ports(&text);
    let (_, facts) = live();
    let after = ports(&printed("ss", &["-Hltn"]).unwrap());
    let ours: BTreeSet<u16> = facts
        .listening
        .known()
        .unwrap()
        .iter()
        .filter(|own| own.protocol == domain::host::network::Transport::Tcp)
        .map(|own| own.port)
        .collect();
    let lasting: BTreeSet<u16> = before.intersection(&after).copied().collect();
    assert!(lasting.is_subset(&ours), "{lasting:?} {ours:?}");
    assert!(!lasting.is_empty());
}

#[test]
fn room_on_disks_is_what_df_shows() {
    let Some(text) = printed("df", &["-B1", "--output=target,size,avail", "/"]) else {
        return;
    };
    let tree = Tree::open(Path::new("/")).unwrap();
    let measures = measures(&tree, NOW);
    let root = &measures.disks[0];
    let fields: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (root.path.as_str(), root.total_bytes.to_string().as_str()),
        ("/", fields[1])
    );
    // Others write meanwhile.
    let available: u64 = fields[2].parse().unwrap();
    assert!(available.abs_diff(root.available_bytes) < root.total_bytes / 20);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(measures.boot_id.as_deref(), Some(boot.trim()));
    assert!(measures.boot_clock_micros > 0);
    assert_ne!(
        measures.clock,
        ClockKeeping::Unknown,
        "a container's clock is its machine's"
    );
}

#[test]
fn facts_of_an_unchanged_host_stay_the_same() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        return testkit::skip::skip(&"this is no Debian system");
    }
    let host = read(Path::new("/"), ReadOptions::default()).unwrap();
    let one = facts(&host, &look());
    let mut later = facts(
        &host,
        &Look {
            now_micros: NOW + 3_600_000_000,
            neighbours: one.neighbours.known().cloned(),
        },
    );
    // Tests beside this one listen and end.
    later.listening = one.listening.clone();
    later.restart = one.restart.clone();
    assert_eq!(one, later);
    assert_eq!(one.packages, PackageDatabase::Dpkg);
}

#[test]
fn a_file_tree_says_of_most_facts_that_they_are_unknown() {
    let root = tempfile::tempdir().unwrap();
    let status = "Package: linux-image-6.1.0-25-amd64\nStatus: install ok installed\nArchitecture: amd64\nVersion: 6.1.106-3\n";
    HostTree::new().status(status).write_to(root.path()).unwrap();
    let host = read(root.path(), ReadOptions::default()).unwrap();
    let facts = facts(&host, &look());
    assert_eq!(facts.virtualisation, Virtualisation::Unknown);
    assert_eq!(facts.kernels.running, None);
    assert_eq!(facts.kernels.installed[0].release, "6.1.0-25-amd64");
    for unknown in [
        facts.interfaces.known().is_none(),
        facts.neighbours.known().is_none(),
        facts.listening.known().is_none(),
        facts.restart.known().is_none(),
    ] {
        assert!(unknown);
    }
    assert_eq!(measures(&host.tree, NOW).disks, []);
}

#[test]
fn an_rpm_system_has_facts_and_packages_that_are_unknown_for_a_reason() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "/var/lib/rpm/Packages", b"\0\0\0\0b1\x05\0");
    put(
        root.path(),
        "/etc/os-release",
        "ID=\"almalinux\"\nPRETTY_NAME=\"AlmaLinux 8.10\"\nVERSION_ID=\"8.10\"\n",
    );
    let timer = "/etc/systemd/system/timers.target.wants/dnf-automatic-install.timer";
    put(root.path(), timer, "[Timer]\n");
    let tree = Tree::open(root.path()).unwrap();
    let facts = facts_without_packages(&tree, "no dpkg status", &look());
    assert_eq!(facts.system.os_id, "almalinux");
    assert!(
        matches!(facts.packages, PackageDatabase::Rpm { .. }),
        "{:?}",
        facts.packages
    );
    assert_eq!(facts.updaters[0].name, "dnf-automatic");
}

/// The budget of a whole inventory is 0.3 s on two idle cores; beside other tests it gets ten times that.
#[test]
fn a_whole_look_at_this_machine_takes_a_fraction_of_a_second() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        return testkit::skip::skip(&"this is no Debian system");
    }
    #[expect(clippy::disallowed_methods, reason = "it is real time that is promised")]
    let start = std::time::Instant::now();
    let host = read(Path::new("/"), ReadOptions::default()).unwrap();
    let all = facts(&host, &look());
    let taken = start.elapsed();
    assert!(taken.as_millis() < 3_000, "{taken:?}");
    assert!(all.hardware.cpu_count.is_some());
}
