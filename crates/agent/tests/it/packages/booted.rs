//! On a booted host, from within the very restrictions under which systemd runs the agent: a transaction is started in a unit
//! of its own, outlives the agent, and comes into effect.

use super::cut_off::WAITING;
use super::room::{Case, LEASE, Room, archive, name_of, suite_inside};
use agent::packages::{self, Begun, End, effect};
use domain::host::mode::Mode;
use domain::order::RebootRule;
use std::fs;
use testkit::archive::package::Package;
use testkit::lab::Lab;
use testkit::lab::booted::BootedHost;
use testkit::skip;

/// The agent's unit, as it is given to hosts.
const UNIT: &str = include_str!("../../../../../packaging/agent/patchyard-agent.service");

/// A service that runs a program of its package, by the loader: files of test packages are not executable.
const SERVICE: &str = "[Service]\nExecStart=/lib64/ld-linux-x86-64.so.2 /usr/lib/daemon/daemon infinity\n";

fn daemon(version: &str) -> Package {
    let program = fs::read("/bin/sleep").unwrap();
    Package::new("daemon", version)
        .file("usr/lib/daemon/daemon", &program)
        .file("usr/lib/systemd/system/daemon.service", SERVICE.as_bytes())
}

fn tool(version: &str) -> Package {
    Package::new("tool", version).script("postinst", WAITING)
}

fn case(room: &Room) -> Case {
    let packages = [(&tool("2"), Some("1")), (&daemon("2"), Some("1"))];
    let mut case = room.case(&archive([tool("2"), daemon("2")]), &packages);
    let reboot = RebootRule::IfNeeded {
        notice_seconds: 3_600,
    };
    (case.order.needs, case.approval.release.rules.needs) = (Mode::Full, Mode::Full);
    (case.order.reboot, case.approval.release.rules.reboot) = (reboot, reboot);
    case
}

#[test]
fn under_the_agents_own_restrictions_an_order_outlives_the_agent_and_comes_into_effect() {
    let name = name_of(&|| ());
    match suite_inside().as_deref() {
        Some("furnish") => furnish(&Room::furnished()),
        Some("begin") => begin(&Room::entered()),
        Some("finish") => finish(&Room::entered()),
        Some(_) => {}
        None => drive(name),
    }
}

/// The host before the order: both packages in their first version, and a service that runs.
fn furnish(room: &Room) {
    fs::write("/room/once", "").unwrap();
    room.install(&tool("1"));
    fs::remove_file("/room/once").unwrap();
    room.install(&daemon("1"));
    room.run(&["systemctl", "daemon-reload"]);
    room.run(&["systemctl", "start", "daemon.service"]);
    room.run(&["mkfifo", "/room/ready", "/room/go"]);
}

/// The agent begins, and ends in the middle of it.
fn begin(room: &Room) {
    let case = case(room);
    assert!(
        fs::write("/etc/not-for-the-agent", "").is_err(),
        "the agent cannot change the host itself"
    );
    assert_eq!(room.prepare(&case).unwrap().steps, 4);
    assert_eq!(
        effect::standing().unwrap().services,
        [""; 0],
        "nothing old runs yet"
    );
    assert_eq!(room.start(&case, LEASE), Begun::Now);
    room.wait_for_script();
    let unit = room.run(&[
        "systemctl",
        "show",
        "--property=ControlGroup",
        "patchyard-order-7.service",
    ]);
    let processes = fs::read_to_string(format!(
        "/sys/fs/cgroup/systemd{}/cgroup.procs",
        unit.trim().strip_prefix("ControlGroup=").unwrap()
    ));
    assert!(
        processes.unwrap().lines().count() >= 4,
        "transact, apt, dpkg and its script"
    );
}

/// It comes back while the transaction is still at work.
fn finish(room: &Room) {
    let case = case(room);
    assert!(packages::is_running(&room.folder(&case)), "nobody ended it");
    assert_eq!(room.start(&case, LEASE), Begun::Already);
    room.let_go();
    let outcome = room.outcome(&case);
    assert_eq!(
        outcome.end,
        End::Installed {},
        "{outcome:?}\n{}",
        packages::output(&room.folder(&case))
    );
    assert_eq!(room.state("tool"), "2 installed");

    assert_eq!(
        effect::standing().unwrap().services,
        ["daemon.service"],
        "it runs what was replaced"
    );
    let mut lower = case.order.clone();
    lower.needs = Mode::Install;
    assert_eq!(
        effect::restart(&lower).unwrap(),
        effect::Restarts::default(),
        "that was not allowed"
    );
    let restarts = effect::restart(&case.order).unwrap();
    assert_eq!(restarts.restarted, ["daemon.service"], "{restarts:?}");
    assert_eq!(effect::standing().unwrap().services, [""; 0]);
    let scheduled = || fs::exists("/run/systemd/shutdown/scheduled").unwrap();
    let mut never = case.order.clone();
    never.reboot = RebootRule::Never;
    effect::reboot(&never).unwrap();
    assert!(!scheduled(), "that was not allowed");
    effect::reboot(&case.order).unwrap();
    assert!(scheduled(), "with an hour's notice");
}

fn drive(name: &str) {
    let mut lab = match Lab::start() {
        Ok(lab) => lab,
        Err(missing) => return skip::skip_for(&missing),
    };
    let host = match lab.boot("order1", "bookworm") {
        Ok(host) => host,
        Err(missing) => return skip::skip_for(&missing),
    };
    let inside = |path: &str| host.root().join(path);
    fs::create_dir(inside("room")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), inside("room/it")).unwrap();
    fs::copy(
        env!("CARGO_BIN_EXE_patchyard-agent"),
        inside("usr/bin/patchyard-agent"),
    )
    .unwrap();
    let test = ["/room/it", "--exact", name, "--nocapture", "--test-threads=1"];
    let passed = |words: &[&str]| {
        let said = host.run(words).unwrap();
        assert!(said.contains("1 passed"), "{said}");
    };
    passed(&[&["env", "PATCHYARD_ROOM=furnish"], &test[..]].concat());
    for phase in ["begin", "finish"] {
        let words = as_the_agent(phase);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(test).collect();
        passed(&words);
    }
    no_unit_is_left(&host);
}

/// Runs as the agent's unit, with all that it says of restrictions.
fn as_the_agent(phase: &str) -> Vec<String> {
    let own = ["Type=", "ExecStart=", "Restart=", "RestartSec=", "UMask="];
    let properties = (UNIT.split_once("[Service]").unwrap().1.lines())
        .take_while(|line| *line != "[Install]")
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .filter(|line| !own.iter().any(|own| line.starts_with(own)));
    let mut words: Vec<String> = [
        "systemd-run",
        "--wait",
        "--pipe",
        "--quiet",
        "--collect",
        "--unit=patchyard-agent",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(format!("--setenv=PATCHYARD_ROOM={phase}"));
    words.extend(properties.map(|property| format!("--property={property}")));
    assert!(
        words.iter().any(|word| word.contains("ProtectSystem=strict")),
        "{words:?}"
    );
    words
}

fn no_unit_is_left(host: &BootedHost) {
    let units = host.run(&[
        "systemctl",
        "list-units",
        "--all",
        "--no-legend",
        "patchyard-order-*",
    ]);
    assert_eq!(units.unwrap(), "");
}
