//! The agent's conversation with a server that really seals envelopes: who it is, what it sends, whom it believes, and what it
//! does when it is refused.

pub mod host;
mod orders;
mod refusals;
pub mod server;
mod trust;

use agent::session::{Phase, Stop};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, Inventory, PackageState, ReinstallRequired, Selection,
};
use domain::id::HostId;
use host::{End, Host, Way};
use jiff::Timestamp;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentKind};
use protocol::message::check_in::CarriedSource;
use protocol::message::documents::Form;
use protocol::message::enrol::Standing;
use server::Server;
use std::time::Duration;

const DAY: u64 = 86_400;
/// 2026-06-01T00:00:00Z.
const START: i64 = 1_780_272_000;

fn world() -> (Server, Host) {
    let now = Timestamp::from_second(START).expect("a time of this century");
    let mut host = Host::new(1);
    host.shelf.set(DocumentKind::Inventory, inventory(900));
    host.shelf.set(DocumentKind::Facts, b"{}".to_vec());
    (Server::new(now), host)
}

fn enrolled() -> (Server, Host) {
    let (mut server, mut host) = world();
    host.enrol(&mut server);
    (server, host)
}

/// An inventory of so many packages.
fn inventory(packages: u32) -> Vec<u8> {
    let packages = (0..packages).map(|number| InstalledPackage {
        name: format!("package-{number:04}").into(),
        architecture: "amd64".into(),
        version: "1.0-1".into(),
        source: format!("package-{number:04}").into(),
        source_version: "1.0-1".into(),
        selection: Selection::Install,
        state: PackageState::Installed,
        reinstall_required: ReinstallRequired::No,
        fingerprint: BuildFingerprint::default(),
    });
    let inventory = Inventory {
        packages: packages.collect(),
    };
    InventoryDocument::from(&inventory).to_bytes()
}

fn id(host: &Host) -> HostId {
    host.session.memory().host().expect("it is enrolled")
}

fn stop(host: &Host) -> Option<Stop> {
    match &host.session.memory().phase {
        Phase::Enrolled { stop, .. } => *stop,
        other => panic!("not enrolled: {other:?}"),
    }
}

#[test]
fn a_host_enrols_checks_in_and_sends_what_the_server_lacks() {
    let (mut server, mut host) = world();
    assert_eq!(host.wake(&mut server), End::Rest);
    let end = host.enrol(&mut server);
    let End::Sleep(delay) = end else { panic!("{end:?}") };
    assert!((240..=360).contains(&delay.as_secs()), "{delay:?}");
    assert_eq!(server.documents, host.shelf.0);
    assert_eq!(server.hosts[&id(&host)].check_ins, 1);
    assert_eq!(host.trouble(), "");
    // An unchanged host sends nothing more.
    host.pass(&mut server, 300);
    host.wake(&mut server);
    assert_eq!((server.hosts[&id(&host)].check_ins, server.forms.len()), (2, 2));
}

#[test]
fn a_changed_inventory_costs_what_changed_and_is_sent_whole_where_the_server_lost_the_old_one() {
    let (mut server, mut host) = enrolled();
    host.shelf.set(DocumentKind::Inventory, inventory(901));
    host.wake(&mut server);
    assert!(
        matches!(server.forms[..], [Form::Whole, Form::Whole, Form::Delta { .. }]),
        "{:?}",
        server.forms
    );
    assert_eq!(server.documents, host.shelf.0);
    server.documents.clear();
    host.shelf.set(DocumentKind::Inventory, inventory(902));
    host.wake(&mut server);
    let last = protocol::sha256(&inventory(902));
    assert!(server.documents.contains_key(&last));
    assert_eq!(server.forms.last(), Some(&Form::Whole));
}

#[test]
fn a_lost_answer_is_asked_for_again_and_makes_no_copy_even_over_a_restart() {
    let (mut server, mut host) = enrolled();
    let before = id(&host);
    for _ in 0..3 {
        host.pass(&mut server, 300);
        host.wake_over(&mut server, &[Way::AnswerLost]);
        host.restart();
        host.pass(&mut server, 10);
        host.wake(&mut server);
        assert_eq!((id(&host), stop(&host)), (before, None));
    }
    assert_eq!(server.hosts.len(), 1);
}

#[test]
fn a_lost_answer_to_an_enrolment_spends_no_second_token() {
    let (mut server, mut host) = world();
    let event = agent::session::Event::Enrol(server.token(), host.look());
    host.happen(event, &mut server, &[Way::AnswerLost]);
    host.restart();
    host.wake(&mut server);
    assert_eq!((server.hosts.len(), server.uses), (1, 0));
    assert_eq!(server.hosts[&id(&host)].check_ins, 1);
}

#[test]
fn a_copy_asks_for_an_identity_of_its_own_and_the_original_keeps_its_own() {
    let (mut server, mut host) = enrolled();
    let original = id(&host);
    let mut copy = host.copied(2);
    host.pass(&mut server, 300);
    host.wake(&mut server);
    copy.boot_seconds += 300;
    copy.wake(&mut server);
    let own = id(&copy);
    assert_ne!(own, original);
    assert_eq!(server.hosts[&own].copy_of, Some(original));
    assert_eq!(stop(&copy), Some(Stop::Pending));
    assert_ne!(copy.session.memory().key, host.session.memory().key);
    server.hosts.get_mut(&own).expect("it is there").standing = Standing::Active;
    copy.pass(&mut server, 100);
    copy.wake(&mut server);
    assert_eq!((stop(&copy), copy.trouble()), (None, String::new()));
    host.wake(&mut server);
    assert_eq!((id(&host), stop(&host)), (original, None));
}

#[test]
fn an_original_that_checks_in_after_its_copy_gets_its_identity_back() {
    let (mut server, mut host) = enrolled();
    let original = id(&host);
    let mut copy = host.copied(2);
    copy.wake(&mut server);
    host.pass(&mut server, 300);
    host.wake(&mut server);
    copy.wake(&mut server);
    assert_eq!(id(&host), original);
    assert_ne!(id(&copy), original);
}

#[test]
fn a_host_that_waits_for_approval_says_so_and_goes_on_when_it_is_given() {
    let (mut server, mut host) = world();
    server.admits = Standing::Pending;
    let end = host.enrol(&mut server);
    assert!(
        matches!(end, End::Sleep(delay) if (60..=90).contains(&delay.as_secs())),
        "{end:?}"
    );
    assert!(
        host.trouble().contains("waits for somebody to approve it"),
        "{}",
        host.trouble()
    );
    host.restart();
    host.wake(&mut server);
    assert_eq!(stop(&host), Some(Stop::Pending));
    let own = id(&host);
    server.hosts.get_mut(&own).expect("it is there").standing = Standing::Active;
    host.wake(&mut server);
    assert_eq!((stop(&host), host.trouble()), (None, String::new()));
    assert_eq!(server.documents, host.shelf.0);
}

#[test]
fn a_certificate_is_renewed_at_half_its_life_and_not_before() {
    let (mut server, mut host) = enrolled();
    let first = server.hosts[&id(&host)].not_after;
    host.pass(&mut server, 7 * DAY - 60);
    host.wake(&mut server);
    assert_eq!(server.hosts[&id(&host)].not_after, first);
    host.pass(&mut server, 120);
    let before = host.reconnects;
    host.wake(&mut server);
    assert!(server.hosts[&id(&host)].not_after > first);
    assert_eq!(
        (host.reconnects - before, server.hosts[&id(&host)].check_ins),
        (1, 3)
    );
}

#[test]
fn a_host_that_slept_past_its_certificate_renews_and_goes_on_within_400_days() {
    for days in [15, 399] {
        let (mut server, mut host) = enrolled();
        host.pass(&mut server, days * DAY);
        host.wake(&mut server);
        assert_eq!(
            (stop(&host), server.hosts[&id(&host)].check_ins),
            (None, 2),
            "{days} days"
        );
    }
    let (mut server, mut host) = enrolled();
    host.pass(&mut server, 415 * DAY);
    host.wake(&mut server);
    assert_eq!(stop(&host), Some(Stop::Unknown));
    assert!(
        host.trouble().contains("patchyard-agent enrol"),
        "{}",
        host.trouble()
    );
}

#[test]
fn a_host_that_was_switched_off_for_months_does_not_know_the_time_and_finds_back() {
    let (mut server, mut host) = enrolled();
    server.now += jiff::SignedDuration::from_hours(24 * 100);
    host.boot = 9;
    host.boot_seconds = 5;
    host.restart();
    host.wake(&mut server);
    assert_eq!((stop(&host), server.hosts[&id(&host)].check_ins), (None, 2));
}

#[test]
fn a_check_in_whose_answer_was_lost_goes_before_a_renewal() {
    let (mut server, mut host) = enrolled();
    let own = id(&host);
    host.pass(&mut server, 6 * DAY);
    host.wake_over(&mut server, &[Way::AnswerLost]);
    host.pass(&mut server, 2 * DAY);
    host.wake(&mut server);
    host.pass(&mut server, 300);
    host.wake(&mut server);
    assert_eq!((id(&host), stop(&host), server.hosts.len()), (own, None, 1));
    assert!(server.hosts[&own].not_after > server.now + jiff::SignedDuration::from_hours(24 * 13));
}

#[test]
fn a_wrong_clock_of_the_host_does_not_keep_it_away() {
    for off in [-3 * 3_600, 3 * 3_600, -365 * 86_400, 365 * 86_400] {
        let (mut server, mut host) = world();
        host.off_seconds = off;
        host.enrol(&mut server);
        assert_eq!(server.hosts[&id(&host)].check_ins, 1, "{off} s");
        assert_eq!(host.session.clock_off_seconds(), off);
        // The clock is stepped the other way while the agent runs.
        host.off_seconds = -off;
        host.pass(&mut server, 300);
        host.wake(&mut server);
        assert_eq!(
            (server.hosts[&id(&host)].check_ins, host.trouble()),
            (2, String::new()),
            "{off} s"
        );
    }
}

#[test]
fn another_address_is_tried_at_once_and_the_good_one_remembered() {
    let (mut server, mut host) = world();
    server.addresses = ["one.example:8443", "two.example:8443", "three.example:8443"]
        .map(|address| address.parse().expect("an address"))
        .to_vec();
    host.enrol(&mut server);
    host.sent_to.clear();
    host.wake_over(&mut server, &[Way::Cut, Way::Cut]);
    let asked: Vec<_> = host.sent_to.iter().map(ToString::to_string).collect();
    assert_eq!(
        asked,
        ["one.example:8443", "two.example:8443", "three.example:8443"]
    );
    host.sent_to.clear();
    host.restart();
    host.wake(&mut server);
    let asked: Vec<_> = host.sent_to.iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["three.example:8443"]);
}

#[test]
fn failures_make_pauses_longer_up_to_the_usual_time_and_the_first_answer_ends_them() {
    let (mut server, mut host) = enrolled();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        match host.wake_over(&mut server, &[Way::Cut]) {
            End::Sleep(delay) => pauses.push(delay.as_secs()),
            End::Rest => panic!("an enrolled host never gives up"),
        }
    }
    let least = [5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300];
    for (pause, least) in pauses.iter().zip(least) {
        assert!((least..=least * 3 / 2).contains(pause), "{pauses:?}");
    }
    assert!(host.trouble().contains("The link is cut."), "{}", host.trouble());
    let end = host.wake(&mut server);
    assert!(
        matches!(end, End::Sleep(delay) if delay >= Duration::from_secs(240)),
        "{end:?}"
    );
    assert_eq!(host.trouble(), "");
}

#[test]
fn a_server_that_holds_check_ins_is_asked_again_soon() {
    let (mut server, mut host) = world();
    server.hold_seconds = 55;
    let end = host.enrol(&mut server);
    assert!(
        matches!(end, End::Sleep(delay) if delay < Duration::from_secs(7)),
        "{end:?}"
    );
    host.wake(&mut server);
    let asked = server.hosts[&id(&host)]
        .last
        .as_ref()
        .expect("it checked in")
        .hold_seconds;
    assert_eq!(asked, 55);
}

#[test]
fn an_enrolled_host_refuses_another_server() {
    let (mut server, mut host) = enrolled();
    let own = id(&host);
    let mut other = Server::new(server.now);
    other.root = server::Root::new(9);
    assert_eq!(host.enrol(&mut other), End::Rest);
    assert!(
        host.trouble().contains("enrolled already, with one.example:8443"),
        "{}",
        host.trouble()
    );
    host.wake(&mut server);
    assert_eq!((id(&host), other.hosts.len()), (own, 0));
}

#[test]
fn what_the_server_wants_carried_is_known_for_the_next_check_in_and_no_longer() {
    let (mut server, mut host) = enrolled();
    assert_eq!(host.session.carry(), []);
    server.carry = vec![CarriedSource {
        uri: "http://archive.example/own".to_owned(),
        suite: "stable".to_owned(),
    }];
    host.wake(&mut server);
    assert_eq!(host.session.carry(), server.carry);
    server.carry.clear();
    host.wake(&mut server);
    assert_eq!(host.session.carry(), []);
}
