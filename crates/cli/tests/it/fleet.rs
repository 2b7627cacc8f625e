//! The whole system in the lab: a server, real hosts that enrol by the printed command, and findings that are those of each
//! host's own apt. Then what happens to hosts in real life: a reboot, a cut link, a proxy in between.

mod world;

use crate::product::assert_same;
use std::collections::BTreeSet;
use testkit::apt::output::{LIST_FORMAT, parse_list};
use testkit::lab::booted::BootedHost;
use testkit::lab::network::Plug;
use testkit::lab::proxy::Weather;
use testkit::skip;
use world::{Fleet, text};

/// Source packages with something to upgrade, by the host's own apt and dpkg.
fn by_apt(host: &BootedHost) -> BTreeSet<String> {
    let format = format!("APT::Cmd::format={LIST_FORMAT}");
    let listed = host.run(&["apt", "list", "--upgradable", "-o", "APT::Cmd::use-format=true", "-o", &format]);
    let pending = parse_list(&listed.unwrap()).unwrap();
    assert!(!pending.is_empty(), "{} has nothing to upgrade: it is not outdated", host.name());
    let sources = host.run(&["dpkg-query", "--show", "--showformat=${Package} ${Architecture} ${source:Package}\n"]);
    let sources = sources.unwrap();
    let source = |name: &str, architecture: &str| {
        let start = format!("{name} {architecture} ");
        let found = sources.lines().find_map(|line| line.strip_prefix(&start));
        found.unwrap_or_else(|| panic!("dpkg does not know {start}")).to_owned()
    };
    pending.iter().map(|own| source(&own.name, &own.architecture)).collect()
}

/// The same by the server.
fn by_server(fleet: &Fleet, tenant: &str, host: &BootedHost) -> BTreeSet<String> {
    let findings = fleet.list(&["host", "findings", host.name(), "--tenant", tenant]);
    findings.iter().map(|finding| text(finding, "source")).collect()
}

#[test]
fn hosts_that_enrol_by_the_printed_command_are_found_to_miss_what_their_apt_would_upgrade() {
    let mut fleet = match Fleet::start() {
        Ok(fleet) => fleet,
        Err(missing) => return skip::skip_for(&missing),
    };
    for tenant in ["north", "south"] {
        fleet.say(&["tenant", "add", tenant]);
        fleet.say(&["site", "add", "main", "--tenant", tenant]);
    }
    let web = fleet.host("north", "web1", "bookworm");
    let shop = fleet.host_behind_the_proxy("south", "shop1", "trixie");
    fleet.sync_all();

    for (tenant, host) in [("north", &web), ("south", &shop)] {
        fleet.until(&format!("{} is assessed", host.name()), |fleet| {
            let shown = fleet.one(&["host", "show", host.name(), "--tenant", tenant]);
            shown["standing"] == "updates_missing"
        });
        assert_same(host.name(), &by_server(&fleet, tenant, host), &by_apt(host));
    }
    // A tenant's hosts are nobody else's.
    let names: Vec<String> = fleet.list(&["host", "list", "--tenant", "north"]).iter().map(|host| text(host, "name")).collect();
    assert_eq!(names, ["web1"]);

    // What changes on a host is known after its next check-in, also after a reboot.
    web.run(&["dpkg", "--purge", "--force-depends", "nginx", "nginx-common"]).unwrap();
    web.reboot().unwrap();
    let is_gone = |fleet: &Fleet| !by_server(fleet, "north", &web).contains("nginx");
    fleet.until("the removed package is known", is_gone);

    // A cut link and a silent proxy are outages, not new hosts.
    web.plug(Plug::Out).unwrap();
    fleet.proxy().weather(Weather::Silent);
    for host in [&web, &shop] {
        assert!(!host.try_run(&["patchyard-agent", "once"]).unwrap().status.success());
    }
    web.plug(Plug::In).unwrap();
    fleet.proxy().weather(Weather::Fair);
    for (tenant, host) in [("north", &web), ("south", &shop)] {
        host.run(&["patchyard-agent", "once"]).unwrap();
        let hosts = fleet.list(&["host", "list", "--tenant", tenant]);
        assert_eq!(hosts.len(), 1, "{hosts:?}");
    }
}
