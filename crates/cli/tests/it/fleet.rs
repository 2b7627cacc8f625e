//! The whole system in the lab: a server of the built command, six real, outdated hosts of three releases with the agent's
//! package, two tenants, one host behind a proxy that holds no keys. What is said of them is what their own apt says, and
//! whatever happens to hosts, links and server, every host returns by itself.

mod deploy;
mod enrolment;
mod failures;
mod keep;
mod world;

use crate::product::assert_same;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::apt::Pending;
use testkit::apt::output::{LIST_FORMAT, parse_list};
use testkit::lab::booted::BootedHost;
use testkit::lab::network::Plug;
use testkit::skip;
use world::{Calendar, Fleet, Place, id_of, status, text, until};

/// A host that is enrolled with a tenant.
struct Member {
    tenant: &'static str,
    id: String,
    host: BootedHost,
}

/// The hosts of the lab.
struct Members(Vec<Member>);

const SIX: [(&str, &str, &str, Place); 6] = [
    ("north", "web1", "bookworm", Place::Lab),
    ("north", "web2", "bookworm", Place::Lab),
    ("north", "db1", "trixie", Place::Lab),
    ("south", "mail1", "bullseye", Place::Lab),
    ("south", "shop1", "bookworm", Place::Lab),
    ("south", "shop2", "trixie", Place::Island),
];

impl Members {
    /// Boots them, and enrols each by the command that is printed for it.
    fn enrolled(fleet: &mut Fleet) -> Self {
        let boot = |(tenant, name, suite, place)| (tenant, place, fleet.boot(name, suite, place));
        let booted: Vec<_> = SIX.into_iter().map(boot).collect();
        std::thread::scope(|scope| {
            let all: Vec<_> = booted
                .iter()
                .map(|(_, _, host)| scope.spawn(|| host.refresh_lists().unwrap()))
                .collect();
            all.into_iter().for_each(|one| one.join().unwrap());
        });
        let enrol = |(tenant, place, host)| {
            let address = match place {
                Place::Lab => fleet.address(),
                Place::Island => fleet.proxy().address(),
            };
            let said = fleet.enrol(&host, tenant, address);
            assert!(said.contains("This host is enrolled with"), "{said}");
            let id = id_of(&host);
            Member { tenant, id, host }
        };
        Self(booted.into_iter().map(enrol).collect())
    }

    fn named(&mut self, name: &str) -> &mut Member {
        let found = self.0.iter_mut().find(|member| member.host.name() == name);
        found.expect("one of the six")
    }

    /// Waits until the server has heard all of them after this moment, and none has anything to complain about.
    fn until_heard(&self, fleet: &Fleet, after: Timestamp) {
        for member in &self.0 {
            fleet.until_heard(member.tenant, &member.id, after);
            let stands_well = || {
                let status = status(&member.host);
                let is_well = status["state"] == "enrolled" && status["host"] == *member.id;
                // The lab's hosts have this machine's clock, the server perhaps another.
                let told = status["troubles"].to_string();
                is_well && (told == "[]" || told.contains("clock is"))
            };
            let name = member.host.name();
            until(&format!("{name} stands well"), stands_well, || {
                status(&member.host).to_string()
            });
        }
    }
}

/// Packages that dpkg on the host lists.
fn by_dpkg(host: &BootedHost) -> BTreeSet<String> {
    let format = "--showformat=${Package} ${Architecture} ${Version}\n";
    let listed = host.run(&["dpkg-query", "--show", format]).unwrap();
    listed.lines().map(str::to_owned).collect()
}

/// The same by the server.
fn by_server(fleet: &Fleet, tenant: &str, id: &str) -> BTreeSet<String> {
    let packages = fleet.list(&["host", "packages", id, "--tenant", tenant]);
    let line = |package| {
        ["name", "architecture", "version"]
            .map(|field| text(package, field))
            .join(" ")
    };
    packages.iter().map(line).collect()
}

/// What the host's own apt would upgrade.
fn by_apt(host: &BootedHost) -> BTreeSet<Pending> {
    let format = format!("APT::Cmd::format={LIST_FORMAT}");
    let words = [
        "apt",
        "list",
        "--upgradable",
        "-o",
        "APT::Cmd::use-format=true",
        "-o",
        &format,
    ];
    parse_list(&host.run(&words).unwrap()).unwrap()
}

/// What the server says that a host misses.
fn by_findings(fleet: &Fleet, tenant: &str, id: &str) -> BTreeSet<Pending> {
    let found = fleet.one(&["host", "findings", id, "--tenant", tenant]);
    let pending = |package: &Value| Pending {
        name: text(package, "name"),
        architecture: text(package, "architecture"),
        installed: text(package, "installed"),
        candidate: text(package, "available"),
    };
    found["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(pending)
        .collect()
}

fn ids(hosts: &[Value]) -> BTreeSet<String> {
    hosts.iter().map(|host| text(host, "id")).collect()
}

#[test]
fn hosts_are_known_as_their_own_apt_knows_them_and_return_by_themselves_from_whatever_happens() {
    let mut fleet = match Fleet::start() {
        Ok(fleet) => fleet,
        Err(missing) => return skip::skip_for(&missing),
    };
    for tenant in ["north", "south"] {
        fleet.say(&["tenant", "add", tenant]);
        fleet.say(&["site", "add", "main", "--tenant", tenant]);
    }
    let mut members = Members::enrolled(&mut fleet);
    findings_are_those_of_apt(&fleet, &members);
    a_host_on_an_island_has_the_proxy_and_nothing_else(&fleet, &mut members);
    a_cut_link_is_an_outage(&fleet, &mut members);
    a_retired_host_stops_and_its_history_stays(&fleet, &mut members);
    a_host_that_moves_to_another_tenant_leaves_its_history(&fleet, &mut members);
    let copy = a_copied_disk_becomes_a_host_that_waits(&mut fleet, &mut members);
    members.0.push(copy);
    a_host_installed_anew_goes_on_as_itself_after_a_word(&fleet, &mut members);
    a_server_that_was_destroyed_goes_on_elsewhere(&mut fleet, &members);
    a_host_that_slept_past_its_certificate_wakes_up_enrolled(&mut fleet, &mut members);
}

fn findings_are_those_of_apt(fleet: &Fleet, members: &Members) {
    for tenant in ["north", "south"] {
        let suites = SIX.iter().filter(|own| own.0 == tenant).map(|own| own.2);
        // The release, its updates and its security updates.
        let expected = suites.collect::<BTreeSet<_>>().len() * 3;
        fleet.until(&format!("{tenant} proposes {expected} sources"), |fleet| {
            fleet.list(&["source", "list", "--tenant", tenant]).len() == expected
        });
        for source in fleet.list(&["source", "list", "--tenant", tenant]) {
            fleet.say(&["source", "adopt", &text(&source, "id"), "--tenant", tenant]);
        }
        fleet.say(&["source", "sync", "--tenant", tenant]);
    }
    for Member { tenant, id, host } in &members.0 {
        let name = host.name();
        fleet.until(&format!("{name} is assessed"), |fleet| {
            fleet.host(tenant, id)["standing"] == "updates_missing"
        });
        assert_same(
            &format!("packages of {name}"),
            &by_server(fleet, tenant, id),
            &by_dpkg(host),
        );
        let theirs = by_apt(host);
        assert!(!theirs.is_empty(), "{name} is outdated");
        assert_same(
            &format!("updates of {name}"),
            &by_findings(fleet, tenant, id),
            &theirs,
        );
    }
    for tenant in ["north", "south"] {
        let own = members.0.iter().filter(|member| member.tenant == tenant);
        let own: BTreeSet<String> = own.map(|member| member.id.clone()).collect();
        assert_same(tenant, &ids(&fleet.hosts(tenant)), &own);
    }
}

fn a_host_on_an_island_has_the_proxy_and_nothing_else(fleet: &Fleet, members: &mut Members) {
    let host = &members.named("shop2").host;
    let proxy = fleet.proxy().address();
    assert_eq!(status(host)["server"], proxy.to_string());
    assert!(fleet.proxy().bytes() > 0);
    // Not even with a route that it does not have by itself.
    let gateway = proxy.ip().to_string();
    host.run(&["ip", "route", "add", "default", "via", &gateway])
        .unwrap();
    let reach = |address: std::net::SocketAddr| {
        let connect = format!("exec 3<>/dev/tcp/{}/{}", address.ip(), address.port());
        let tried = host.try_run(&["timeout", "3", "bash", "-c", &connect]);
        tried.unwrap().status.success()
    };
    assert!(!reach(fleet.address()));
    assert!(reach(proxy));
}

fn a_cut_link_is_an_outage(fleet: &Fleet, members: &mut Members) {
    let Member { tenant, id, host } = members.named("web1");
    host.plug(Plug::Out).unwrap();
    host.run(&["systemctl", "restart", "patchyard-agent"]).unwrap();
    let has_trouble = || {
        status(host)["troubles"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    };
    until("web1 says that it hears nobody", has_trouble, || {
        status(host).to_string()
    });
    let before = now();
    host.plug(Plug::In).unwrap();
    fleet.until_heard(tenant, id, before);
    assert_eq!(id_of(host), *id);
}

fn a_retired_host_stops_and_its_history_stays(fleet: &Fleet, members: &mut Members) {
    let at = members.0.iter().position(|member| member.host.name() == "shop1");
    let Member { tenant, id, host } = members.0.remove(at.expect("one of the six"));
    fleet.say(&["host", "retire", "shop1", "--tenant", tenant]);
    until(
        "shop1 knows that it is retired",
        || status(&host)["state"] == "retired",
        || status(&host).to_string(),
    );
    assert_eq!(fleet.host(tenant, &id)["state"], "retired");
    assert_same("shop1", &by_server(fleet, tenant, &id), &by_dpkg(&host));
    assert!(
        !fleet
            .list(&["host", "history", &id, "--tenant", tenant])
            .is_empty()
    );
}

fn a_host_that_moves_to_another_tenant_leaves_its_history(fleet: &Fleet, members: &mut Members) {
    let member = members.named("db1");
    fleet.say(&["site", "add", "branch", "--tenant", "south"]);
    let before = fleet.list(&["host", "history", &member.id, "--tenant", "north"]);
    let moved = now();
    let to_south = [
        "host",
        "move",
        "db1",
        "--site",
        "branch",
        "--to-tenant",
        "south",
        "--tenant",
        "north",
    ];
    fleet.say(&to_south);
    member.tenant = "south";
    fleet.until_heard("south", &member.id, moved);
    fleet.until("db1 has told the south what it has", |fleet| {
        fleet
            .try_say(&["host", "packages", &member.id, "--tenant", "south"])
            .is_ok()
            && by_server(fleet, "south", &member.id) == by_dpkg(&member.host)
    });
    assert_eq!(id_of(&member.host), member.id);
    let left = fleet.host("north", &member.id);
    assert_eq!(left["state"], "retired");
    assert_eq!(
        fleet.list(&["host", "history", &member.id, "--tenant", "north"]),
        before
    );
    let history = fleet.list(&["host", "history", &member.id, "--tenant", "south"]);
    let is_of_the_south = |entry: &Value| text(entry, "received_at").parse::<Timestamp>().unwrap() >= moved;
    assert!(
        !history.is_empty() && history.iter().all(is_of_the_south),
        "{history:#?}"
    );
}

fn a_copied_disk_becomes_a_host_that_waits(fleet: &mut Fleet, members: &mut Members) -> Member {
    let Member { tenant, id, host } = members.named("web2");
    host.power_off().unwrap();
    let mut copy = fleet.lab.copy(host).unwrap();
    let before = now();
    host.power_on().unwrap();
    // Its first check-in may be the one that it was cut off in, which the copy repeats too: only the next one is its own.
    fleet.until_heard(tenant, id, before);
    fleet.until_heard(tenant, id, now());
    copy.power_on().unwrap();
    until(
        "the copy knows that it is one",
        || status(&copy)["state"] == "pending",
        || status(&copy).to_string(),
    );
    let own = id_of(&copy);
    assert_ne!(own, *id);
    let known = fleet.host(tenant, &own);
    assert_eq!(
        (&known["state"], &known["copy_of"]),
        (&Value::from("pending"), &Value::from(id.as_str()))
    );
    let after = now();
    fleet.until_heard(tenant, id, after);
    assert_eq!(id_of(host), *id);
    assert_eq!(fleet.host(tenant, id)["state"], "active");
    fleet.say(&["host", "approve", &own, "--tenant", tenant]);
    Member {
        tenant,
        id: own,
        host: copy,
    }
}

fn a_host_installed_anew_goes_on_as_itself_after_a_word(fleet: &Fleet, members: &mut Members) {
    let member = members.named("mail1");
    member.host.reimage().unwrap();
    fleet.enrol(&member.host, member.tenant, fleet.address());
    let former = std::mem::replace(&mut member.id, id_of(&member.host));
    assert_ne!(former, member.id);
    let merge = [
        "host",
        "merge",
        &member.id,
        "--with",
        &former,
        "--tenant",
        member.tenant,
    ];
    fleet.say(&merge);
    assert_eq!(fleet.host(member.tenant, &former)["state"], "retired");
    let known = fleet.host(member.tenant, &member.id);
    assert_eq!(
        (&known["state"], &known["name"]),
        (&Value::from("active"), &Value::from("mail1"))
    );
    assert!(
        !fleet
            .list(&["host", "history", &former, "--tenant", member.tenant])
            .is_empty()
    );
}

fn a_server_that_was_destroyed_goes_on_elsewhere(fleet: &mut Fleet, members: &Members) {
    members.until_heard(fleet, now());
    let lost = now();
    fleet.destroy_and_restore_elsewhere();
    members.until_heard(fleet, lost);
    let address = fleet.address().to_string();
    let on_the_bridge = members.0.iter().filter(|member| member.host.name() != "shop2");
    for member in on_the_bridge {
        assert_eq!(status(&member.host)["server"], *address);
    }
}

/// Longer than a host's certificate (14 days), and than the server's own towards hosts (90 days).
const SLEEP_DAYS: u32 = 100;

fn a_host_that_slept_past_its_certificate_wakes_up_enrolled(fleet: &mut Fleet, members: &mut Members) {
    members.named("web1").host.power_off().unwrap();
    fleet.kill_server();
    fleet.run_server(Calendar::Ahead(SLEEP_DAYS));
    let later = now() + SignedDuration::from_hours(24 * i64::from(SLEEP_DAYS));
    members.named("web1").host.power_on().unwrap();
    members.until_heard(fleet, later);
    for member in &members.0 {
        let until = status(&member.host)["certificate_until"].as_i64().unwrap();
        assert!(
            Timestamp::from_microsecond(until).unwrap() > later,
            "{}",
            member.host.name()
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "real programs run beside the test, in real time"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
