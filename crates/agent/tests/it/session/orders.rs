//! What the process without rights does for an order: it tells what the executor says, fetches what it wants, passes on what the
//! server says, and is never away from the server for long while anything goes on.

use super::host::{End, Host};
use super::server::Server;
use super::{enrolled, id};
use agent::executor::asks::Ask;
use agent::executor::spool::{self, Board, Outbox, Wish};
use agent::service::Places;
use agent::session::upload::collect;
use agent::session::{Event, Fault, Fetched, Trouble};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use protocol::document::DocumentKind;
use protocol::limits;
use protocol::message::check_in::{CheckIn, Wanted};
use protocol::message::documents::Form;
use protocol::message::orders::{GoAsked, GoBytes, OfferedOrder, OrderReport, Stage, Took};
use std::time::Duration;

const BUNDLE: Sha256Digest = Sha256Digest([0xb; 32]);
const ORDER: Sha256Digest = Sha256Digest([0xe; 32]);

fn wish(number: u8) -> Wish {
    Wish {
        digest: Sha256Digest([number; 32]),
        size_bytes: 1_000,
    }
}

fn report(stage: Stage) -> OrderReport {
    OrderReport {
        order: ORDER,
        number: 8,
        stage,
        since: Timestamp::UNIX_EPOCH,
        failure: None,
        detail: String::new(),
        last_line: String::new(),
        output: None,
        asks: None,
        took: Took::default(),
    }
}

/// The executor is at an order.
fn at_work(stage: Stage) -> Board {
    Board {
        highest: 8,
        reports: vec![report(stage)],
        is_active: true,
        ..Board::default()
    }
}

/// A server that has an order for its host.
fn offering() -> (Server, Host) {
    let (mut server, host) = enrolled();
    server.of_orders.orders = vec![OfferedOrder {
        bundle: BUNDLE,
        size_bytes: limits::BUNDLE_BYTES as u64,
        number: 8,
    }];
    server.of_orders.ticket = Some("a ticket".to_owned());
    (server, host)
}

fn last(server: &Server, host: &Host) -> CheckIn {
    server.hosts[&id(host)].last.clone().expect("it checked in")
}

fn failed(fault: Fault) -> (Fetched, u64) {
    let trouble = Trouble::new("The file does not come.", "wait.");
    (Fetched::Failed { trouble, fault }, 0)
}

/// The asks for orders; the card is given to the executor at every start.
fn asked(host: &Host) -> Vec<Ask> {
    let asked = host.asked.iter();
    asked
        .filter(|ask| !matches!(ask, Ask::Card { .. }))
        .cloned()
        .collect()
}

fn soon(end: End) -> bool {
    matches!(end, End::Sleep(delay) if (3_000..=4_500).contains(&delay.as_millis()))
}

#[test]
fn an_order_that_is_offered_is_fetched_with_the_ticket_and_given_to_the_executor_once() {
    let (mut server, mut host) = offering();
    assert!(soon(host.wake(&mut server)));
    let bundle = Wish {
        digest: BUNDLE,
        size_bytes: limits::BUNDLE_BYTES as u64,
    };
    assert_eq!(host.fetches.len(), 1);
    assert_eq!(
        (host.fetches[0].1, host.fetches[0].2.0.as_str()),
        (bundle, "a ticket")
    );
    assert_eq!(asked(&host), [Ask::Order { bundle: BUNDLE }]);
    assert_eq!(host.session.bundles(), [BUNDLE]);
    // Offered again before the executor has said anything: it may still be at it.
    host.pass(&mut server, 5);
    host.wake(&mut server);
    assert_eq!(asked(&host).len(), 1);
    // Nothing was heard of it: perhaps it was lost on the way.
    host.pass(&mut server, 30);
    host.wake(&mut server);
    assert_eq!(asked(&host).len(), 2);
}

#[test]
fn an_order_larger_than_any_is_not_fetched() {
    let (mut server, mut host) = offering();
    server.of_orders.orders[0].size_bytes += 1;
    host.wake(&mut server);
    assert_eq!((host.fetches.len(), asked(&host).len()), (0, 0));
    assert!(
        host.said.iter().any(|said| said.contains("larger than any")),
        "{:?}",
        host.said
    );
}

#[test]
fn what_the_executor_wants_is_fetched_one_after_the_other_and_each_is_rung_for() {
    let (mut server, mut host) = offering();
    server.of_orders.orders.clear();
    host.board = at_work(Stage::Taken);
    host.board.wants = vec![wish(1), wish(2), wish(3)];
    assert!(soon(host.wake(&mut server)));
    let fetched: Vec<_> = host.fetches.iter().map(|(_, file, _)| *file).collect();
    assert_eq!((fetched, host.rings), (vec![wish(1), wish(2), wish(3)], 3));
    assert_eq!(asked(&host), []);
}

#[test]
fn without_a_ticket_nothing_is_fetched() {
    let (mut server, mut host) = offering();
    server.of_orders.ticket = None;
    host.board = at_work(Stage::Taken);
    host.board.wants = vec![wish(1)];
    host.wake(&mut server);
    assert_eq!((host.fetches.len(), asked(&host)), (0, vec![]));
}

#[test]
fn the_server_is_heard_at_least_every_twenty_seconds_while_files_are_fetched() {
    let (mut server, mut host) = offering();
    server.of_orders.orders.clear();
    host.board = at_work(Stage::Taken);
    host.board.wants = vec![wish(1), wish(2)];
    host.fetching
        .extend([(Fetched::Part, 20), (Fetched::Part, 20), (Fetched::Part, 1)]);
    let before = last(&server, &host).measures;
    assert_eq!(host.wake(&mut server), End::Sleep(Duration::ZERO));
    assert_eq!(host.fetches.len(), 1, "{before:?}");
    let check_ins = server.hosts[&id(&host)].check_ins;
    assert_eq!(host.wake(&mut server), End::Sleep(Duration::ZERO));
    assert_eq!(server.hosts[&id(&host)].check_ins, check_ins + 1);
    // A file that goes on within a round is asked for again at once.
    assert!(soon(host.wake(&mut server)));
    let fetched: Vec<_> = host.fetches.iter().map(|(_, file, _)| file.digest.0[0]).collect();
    assert_eq!(fetched, [1, 1, 1, 1, 2]);
}

#[test]
fn a_file_that_one_address_does_not_give_is_asked_for_at_the_others_and_then_later_and_later() {
    let (mut server, mut host) = super::world();
    server.addresses = ["one.example:8443", "two.example:8443"]
        .map(|address| address.parse().expect("an address"))
        .to_vec();
    server.of_orders.ticket = Some("a ticket".to_owned());
    host.enrol(&mut server);
    host.board = at_work(Stage::Taken);
    host.board.wants = vec![wish(1)];
    host.fetching.push_back(failed(Fault::Way));
    assert!(soon(host.wake(&mut server)));
    let from: Vec<_> = host.fetches.iter().map(|(from, ..)| from.to_string()).collect();
    assert_eq!(from, ["one.example:8443", "two.example:8443"]);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        host.fetching.extend([failed(Fault::Way), failed(Fault::Way)]);
        match host.wake(&mut server) {
            End::Sleep(delay) => pauses.push(delay.as_secs()),
            End::Rest => panic!("an enrolled host never gives up"),
        }
    }
    for (pause, least) in pauses.iter().zip([5, 10, 20, 40, 80, 160, 300, 300]) {
        assert!((least..=least * 3 / 2).contains(pause), "{pauses:?}");
    }
    assert!(
        host.trouble().contains("The file does not come."),
        "{}",
        host.trouble()
    );
    assert!(
        last(&server, &host)
            .troubles
            .contains(&"The file does not come.".to_owned())
    );
    // It comes, and that is that.
    host.wake(&mut server);
    assert_eq!(host.trouble(), "");
}

#[test]
fn a_fault_of_this_host_is_not_looked_for_at_other_addresses() {
    let (mut server, mut host) = super::world();
    server.addresses = ["one.example:8443", "two.example:8443"]
        .map(|address| address.parse().expect("an address"))
        .to_vec();
    server.of_orders.ticket = Some("a ticket".to_owned());
    host.enrol(&mut server);
    host.board = at_work(Stage::Taken);
    host.board.wants = vec![wish(1)];
    host.fetching.push_back(failed(Fault::Here));
    host.wake(&mut server);
    assert_eq!(host.fetches.len(), 1);
}

#[test]
fn a_ticket_that_does_not_count_any_more_is_used_no_more() {
    let (mut server, mut host) = offering();
    host.fetching.push_back(failed(Fault::Ticket));
    host.wake(&mut server);
    server.of_orders.ticket = None;
    host.wake(&mut server);
    assert_eq!(host.fetches.len(), 1);
    server.of_orders.ticket = Some("another".to_owned());
    host.wake(&mut server);
    assert_eq!(host.fetches[1].2.0, "another");
}

#[test]
fn what_the_server_says_of_orders_reaches_the_executor() {
    let (mut server, mut host) = enrolled();
    server.of_orders.goes = vec![GoBytes(vec![1, 2, 3])];
    server.of_orders.withdrawn = vec![Sha256Digest([1; 32])];
    server.of_orders.heard = vec![Sha256Digest([2; 32])];
    host.wake(&mut server);
    let order = |number| Sha256Digest([number; 32]);
    let said = [
        Ask::Withdraw { order: order(1) },
        Ask::Go {
            statement: GoBytes(vec![1, 2, 3]),
        },
        Ask::Heard { order: order(2) },
    ];
    assert_eq!(asked(&host), said, "what stops comes first");
}

#[test]
fn the_executor_is_given_the_card_at_every_start_and_with_every_change() {
    let (mut server, mut host) = enrolled();
    let cards = |host: &Host| {
        host.asked
            .iter()
            .filter(|ask| matches!(ask, Ask::Card { .. }))
            .count()
    };
    host.wake(&mut server);
    host.wake(&mut server);
    assert_eq!(cards(&host), 1);
    host.restart();
    host.wake(&mut server);
    assert_eq!(cards(&host), 2);
    server
        .addresses
        .push("two.example:8443".parse().expect("an address"));
    host.wake(&mut server);
    host.wake(&mut server);
    assert_eq!(cards(&host), 3);
    let card = protocol::message::check_in::CardBytes(server.card().to_bytes());
    assert_eq!(host.asked.last(), Some(&Ask::Card { card }));
}

#[test]
fn reports_and_the_highest_number_go_with_every_check_in_until_they_are_gone_from_the_board() {
    let (mut server, mut host) = enrolled();
    host.board = at_work(Stage::Installing);
    for _ in 0..2 {
        host.wake(&mut server);
        let told = last(&server, &host);
        assert_eq!((told.orders, told.highest_order), (host.board.reports.clone(), 8));
    }
    host.board = Board {
        highest: 8,
        ..Board::default()
    };
    host.wake(&mut server);
    let told = last(&server, &host);
    assert_eq!((told.orders, told.highest_order), (vec![], 8));
}

#[test]
fn a_host_at_an_order_is_not_held_and_comes_every_few_seconds_and_one_that_waits_for_its_window_is_held() {
    let (mut server, mut host) = enrolled();
    server.hold_seconds = 55;
    host.board = at_work(Stage::Installing);
    for _ in 0..2 {
        assert!(soon(host.wake(&mut server)));
        assert_eq!(last(&server, &host).hold_seconds, 0);
    }
    host.board = at_work(Stage::Prepared);
    host.board.is_active = false;
    host.wake(&mut server);
    assert_eq!(last(&server, &host).hold_seconds, 55);
}

#[test]
fn a_change_that_the_server_waits_for_ends_the_pause_and_the_last_line_does_not() {
    let (mut server, mut host) = enrolled();
    host.board = at_work(Stage::Installing);
    host.wake(&mut server);
    let changed = |host: &mut Host, server: &mut Server, board: Board| {
        host.board = board.clone();
        host.happen(Event::Orders(board), server, &[])
    };
    let mut board = host.board.clone();
    board.reports[0].last_line = "Unpacking openssl ...".to_owned();
    assert_ne!(changed(&mut host, &mut server, board), End::Sleep(Duration::ZERO));
    let mut board = at_work(Stage::Prepared);
    board.reports[0].asks = Some(GoAsked {
        boot: [1; 16],
        nonce: [2; 16],
    });
    assert_eq!(
        changed(&mut host, &mut server, board.clone()),
        End::Sleep(Duration::ZERO)
    );
    host.wake(&mut server);
    assert_eq!(last(&server, &host).orders, board.reports);
    assert_ne!(changed(&mut host, &mut server, board), End::Sleep(Duration::ZERO));
}

#[test]
fn a_pause_that_goes_on_is_not_made_longer_by_what_does_not_end_it() {
    let (mut server, mut host) = enrolled();
    let End::Sleep(pause) = host.wake(&mut server) else {
        panic!("it sleeps")
    };
    host.pass(&mut server, 100);
    let event = Event::Orders(host.board.clone());
    let left = pause
        .checked_sub(Duration::from_secs(100))
        .expect("pauses are longer");
    assert_eq!(host.happen(event, &mut server, &[]), End::Sleep(left));
}

#[test]
fn a_server_that_is_away_is_not_asked_more_often_because_of_an_order() {
    let (mut server, mut host) = enrolled();
    host.board = at_work(Stage::Installing);
    for _ in 0..6 {
        host.wake_over(&mut server, &[super::Way::Cut]);
    }
    let board = at_work(Stage::Verifying);
    let end = host.happen(Event::Orders(board), &mut server, &[]);
    assert!(
        matches!(end, End::Sleep(delay) if delay >= Duration::from_secs(100)),
        "{end:?}"
    );
}

#[test]
fn an_answer_of_an_older_server_leaves_everything_as_it_was() {
    let (mut server, mut host) = enrolled();
    let rounds = |host: &mut Host, server: &mut Server| {
        let end = host.wake(server);
        (end, host.fetches.len(), asked(host).len(), host.rings)
    };
    let (end, fetches, asks, rings) = rounds(&mut host, &mut server);
    assert_eq!((fetches, asks, rings), (0, 0, 0));
    assert!(
        matches!(end, End::Sleep(delay) if (240..=360).contains(&delay.as_secs())),
        "{end:?}"
    );
    let told = last(&server, &host);
    assert_eq!((told.orders, told.highest_order), (vec![], 0));
}

#[test]
fn all_that_a_package_manager_said_is_sent_from_the_outbox_like_any_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let places = Places {
        state: folder.path().to_owned(),
        settings: folder.path().join("agent.toml"),
    };
    std::fs::create_dir(places.outbox()).expect("a folder");
    let said = vec![b'.'; limits::OUTPUT_BYTES];
    let digest = spool::publish_output(&places, &said, None).expect("the folder is ours");
    let want = |digest| Wanted {
        kind: DocumentKind::Output,
        digest,
        base: None,
        offset: 0,
    };
    let outbox = Outbox::open(&places).expect("there is one");
    let upload = collect(vec![want(digest), want(ORDER)], &outbox);
    assert_eq!(upload.parts.len(), 1);
    assert_eq!(upload.parts[0].form, Form::Whole);
    assert_eq!((upload.parts[0].digest, upload.bytes), (digest, said));
    assert_eq!(
        upload.missing,
        [want(ORDER)],
        "what is not there any more is no fault"
    );
}
