//! Who changed what, on records as tools and people leave them.

use super::*;

const SECOND: i64 = 1_000_000;

fn by(command: &str, login: Option<&str>, tools: &[&str]) -> Author {
    let evidence = Evidence {
        command: Some(command),
        comment: None,
        requested_by: login,
    };
    author(&evidence, tools)
}

fn tool(name: &str) -> Author {
    Author::Tool {
        name: name.to_owned(),
    }
}

fn change(package: &str, from: Option<&str>, to: Option<&str>) -> PackageChange {
    PackageChange {
        package: package.into(),
        architecture: "amd64".into(),
        from: from.map(Into::into),
        to: to.map(Into::into),
    }
}

fn did(second: i64, change: PackageChange) -> Performed {
    Performed {
        at_micros: second * SECOND,
        change,
    }
}

fn record(start: i64, end: Option<i64>, command: &str, changes: Vec<PackageChange>) -> Recorded {
    Recorded {
        start_micros: start * SECOND,
        end_micros: end.map(|end| end * SECOND),
        command: Some(command.to_owned()),
        changes,
        ..Recorded::default()
    }
}

#[test]
fn a_tool_is_known_by_its_name_or_by_its_options_where_it_is_installed() {
    assert_eq!(
        by("/usr/bin/unattended-upgrade", None, &[]),
        tool("unattended-upgrades")
    );
    assert_eq!(
        by("/usr/bin/python3 /usr/bin/unattended-upgrade -v", None, &[]),
        tool("unattended-upgrades")
    );
    assert_eq!(
        by("packagekit role='update-packages'", None, &[]),
        tool("packagekit")
    );
    let ansible = "/usr/bin/apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install nginx";
    assert_eq!(by(ansible, Some("deploy"), &[]), tool("ansible"));
    let quoted = "/usr/bin/apt-get -y -o \"Dpkg::Options::=--force-confdef\" -o \"Dpkg::Options::=--force-confold\" install nginx";
    assert_eq!(by(quoted, None, &[]), tool("ansible"));
    let puppet = "/usr/bin/apt-get -q -y -o DPkg::Options::=--force-confold install nginx";
    assert_eq!(by(puppet, None, &["puppet-agent"]), tool("puppet"));
    assert!(matches!(by(puppet, None, &[]), Author::Root { .. }));
    let salt =
        "apt-get -q -y -o DPkg::Options::=--force-confold -o DPkg::Options::=--force-confdef install nginx";
    assert_eq!(by(salt, None, &["salt-minion", "puppet"]), tool("salt"));
    let cloud = "apt-get --option=Dpkg::Options::=--force-confold --option=Dpkg::options::=--force-unsafe-io \
                 --assume-yes --quiet install git";
    assert_eq!(by(cloud, None, &[]), tool("cloud-init"));
}

#[test]
fn a_person_is_who_became_root_and_root_alone_is_nobody_in_particular() {
    let person = |program: &str| Author::Person {
        login: "alice".to_owned(),
        program: program.to_owned(),
    };
    assert_eq!(by("apt-get install nginx", Some("alice"), &[]), person("apt-get"));
    assert_eq!(by("/usr/sbin/synaptic", Some("alice"), &[]), person("synaptic"));
    assert_eq!(
        by("packagekit role='install-packages'", Some("alice"), &[]),
        person("packagekit")
    );
    let root = Author::Root {
        program: "apt".to_owned(),
    };
    assert_eq!(by("apt upgrade", None, &[]), root);
}

#[test]
fn patchyards_own_commands_name_their_order() {
    let command = "/usr/bin/apt-get -o Patchyard::Order=0192f0c1-1 -y install openssl=3.0.20-1";
    let expected = Author::Patchyard {
        order: "0192f0c1-1".to_owned(),
    };
    assert_eq!(by(command, Some("alice"), &["puppet"]), expected);
}

#[test]
fn what_dpkg_did_counts_instead_of_what_apt_set_out_to_do() {
    let asked = vec![
        change("a", Some("1"), Some("2")),
        change("b", Some("1"), Some("2")),
    ];
    let recorded = vec![record(100, Some(110), "apt upgrade", asked.clone())];
    let done = vec![
        did(50, change("old", None, Some("1"))),
        did(105, change("a", Some("1"), Some("2"))),
    ];
    let transactions = attribute(recorded.clone(), done, &[]);
    assert_eq!(transactions.len(), 2);
    assert_eq!(transactions[0].by, Author::Unrecorded);
    assert_eq!(transactions[1].changes, [change("a", Some("1"), Some("2"))]);
    // dpkg's log was rotated away: apt's word stands.
    let transactions = attribute(recorded, Vec::new(), &[]);
    assert_eq!(transactions[0].changes, asked);
}

#[test]
fn a_transaction_that_apt_did_not_live_to_end_keeps_what_it_names_until_the_next() {
    let recorded = vec![
        record(100, None, "apt upgrade", vec![change("a", Some("1"), Some("2"))]),
        record(
            200,
            Some(201),
            "apt install c",
            vec![change("c", None, Some("1"))],
        ),
    ];
    let done = vec![
        did(100, change("a", Some("1"), Some("2"))),
        did(150, change("b", Some("1"), Some("2"))),
        did(200, change("c", None, Some("1"))),
        did(300, change("d", None, Some("1"))),
        did(330, change("e", None, Some("1"))),
        did(500, change("d", Some("1"), None)),
    ];
    let transactions = attribute(recorded, done, &[]);
    let names = |place: usize| -> Vec<&str> {
        transactions[place]
            .changes
            .iter()
            .map(|change| &*change.package)
            .collect()
    };
    assert_eq!(names(0), ["a"]);
    assert_eq!(names(1), ["b"]);
    assert_eq!(names(2), ["c"]);
    assert_eq!(names(3), ["d", "e"]);
    assert_eq!(names(4), ["d"]);
    assert_eq!(transactions.len(), 5);
    assert_eq!(transactions[1].by, Author::Unrecorded);
}

#[test]
fn what_dpkg_does_in_the_second_in_which_apt_ends_is_apts_only_if_it_is_named() {
    let recorded = vec![record(
        100,
        Some(103),
        "apt remove a",
        vec![change("a", Some("1"), None)],
    )];
    let done = vec![
        did(100, change("before", None, Some("1"))),
        did(100, change("a", Some("1"), None)),
        did(102, change("disappears", Some("1"), None)),
        did(103, change("after", None, Some("1"))),
    ];
    let transactions = attribute(recorded, done, &[]);
    let by_apt = transactions
        .iter()
        .find(|own| own.command.is_some())
        .expect("apt noted one");
    let names: Vec<&str> = by_apt.changes.iter().map(|change| &*change.package).collect();
    assert_eq!(names, ["a", "disappears"]);
}

#[test]
fn several_steps_with_one_package_are_one_change_from_first_to_last() {
    let done = vec![
        did(1, change("a", Some("1"), Some("2"))),
        did(2, change("a", Some("2"), Some("3"))),
        did(3, change("b", Some("1"), None)),
        did(3, change("b", Some("1"), None)),
        did(4, change("c", None, Some("1"))),
        did(5, change("c", Some("1"), None)),
    ];
    let transactions = attribute(Vec::new(), done, &[]);
    assert_eq!(
        transactions[0].changes,
        [change("a", Some("1"), Some("3")), change("b", Some("1"), None)]
    );
}

#[test]
fn only_the_latest_changes_are_reported_and_what_is_left_out_is_counted() {
    let done = (0..200).flat_map(|run| {
        (0..20).map(move |package| did(run * 100, change(&format!("p{package}"), Some("1"), Some("2"))))
    });
    let transactions = attribute(Vec::new(), done.collect(), &[]);
    assert_eq!(transactions.len(), TRANSACTIONS);
    let listed: usize = transactions
        .iter()
        .map(|transaction| transaction.changes.len())
        .sum();
    assert_eq!(listed, CHANGES);
    assert_eq!(transactions[TRANSACTIONS - 1].changes.len(), 20);
    let all = |transaction: &Transaction| transaction.changes.len() + transaction.omitted as usize;
    assert!(transactions.iter().all(|transaction| all(transaction) == 20));
}
