//! Whether an order is believed, by all that root keeps: each thing that may be wrong with it is refused by its own sentence.

use super::{Issuer, NOW, TENANT};
use crate::session::server::Root;
use agent::order::verify::{self, Judge};
use agent::order::{Accepted, Refusal};
use agent::trust::{Approvers, CardNotTaken, PublicKey, Server};
use domain::host::mode::Mode;
use domain::id::{HostId, TenantId};
use domain::order::{Order, RebootRule, Start};
use jiff::{SignedDuration, Timestamp};
use protocol::card::Purpose;
use protocol::key::SigningKey;
use protocol::order::{ApprovalDocument, Bundle};
use protocol::scope::Tree;

/// What the judge finds, where a test changes what it judges by.
struct By {
    highest: u64,
    epoch: u64,
    mode: Mode,
    now: Timestamp,
}

const AS_IT_IS: By = By {
    highest: 0,
    epoch: 0,
    mode: Mode::Install,
    now: NOW,
};

fn judged(issuer: &Issuer, bundle: &Bundle, by: &By) -> Result<Accepted, Refusal> {
    let (server, approvers) = (issuer.server(), Approvers::read(&issuer.places).unwrap());
    let judge = Judge {
        server: &server,
        host: issuer.host,
        approvers: &approvers,
        highest_number: by.highest,
        epoch: by.epoch,
        mode: by.mode,
        now: by.now,
    };
    judge.order(&bundle.to_bytes())
}

fn why(issuer: &Issuer, bundle: &Bundle, by: &By) -> String {
    judged(issuer, bundle, by).expect_err("it is refused").why
}

#[test]
fn an_order_that_was_approved_for_this_host_is_believed_as_it_was_signed() {
    let issuer = Issuer::new();
    let order = issuer.order(3);
    let accepted = judged(&issuer, &issuer.bundle(&order), &AS_IT_IS).unwrap();
    assert_eq!(accepted, issuer.accepted(&order));
}

#[test]
fn an_order_that_is_not_for_this_host_now_is_refused_by_its_own_sentence() {
    let issuer = Issuer::new();
    type Change = fn(&mut Order);
    let cases: [(Change, By, &str); 8] = [
        (|order| order.host = HostId([9; 16]), AS_IT_IS, "for another host"),
        (
            |_| (),
            By {
                highest: 3,
                ..AS_IT_IS
            },
            "number 3 was already seen",
        ),
        (
            |_| (),
            By { epoch: 2, ..AS_IT_IS },
            "before the server was restored",
        ),
        (
            |_| (),
            By {
                now: NOW + SignedDuration::from_hours(25),
                ..AS_IT_IS
            },
            "ended 3600 s ago",
        ),
        (
            |_| (),
            By {
                mode: Mode::Monitor,
                ..AS_IT_IS
            },
            "sudo patchyard-agent mode install",
        ),
        (|order| order.packages.clear(), AS_IT_IS, "changes nothing"),
        (
            |order| order.window.closes += SignedDuration::from_secs(1),
            AS_IT_IS,
            "later than was approved",
        ),
        (
            |order| {
                order.needs = Mode::Full;
                order.reboot = RebootRule::IfNeeded { notice_seconds: 59 };
            },
            By {
                mode: Mode::Full,
                ..AS_IT_IS
            },
            "restart the host otherwise",
        ),
    ];
    for (change, by, expected) in cases {
        let mut order = issuer.order(3);
        change(&mut order);
        let bundle = issuer.bundle(&order);
        let refusal = judged(&issuer, &bundle, &by).expect_err(expected);
        assert!(refusal.why.contains(expected), "{}", refusal.why);
        // It is reported by its own name.
        assert_eq!(
            (refusal.order, refusal.number),
            (protocol::sha256(&bundle.order), 3)
        );
    }
}

#[test]
fn the_first_order_says_whose_a_host_is_and_no_later_one_another() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&issuer.order(1));
    assert!(judged(&issuer, &bundle, &AS_IT_IS).is_ok());
    let server = issuer.server().of_tenant(TenantId([2; 16])).of_tenant(TENANT);
    server.write(&issuer.places).unwrap();
    assert_eq!(issuer.server().tenant(), Some(TenantId([2; 16])));
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("another host"));
}

#[test]
fn only_a_key_that_the_authority_certified_for_orders_makes_them() {
    let mut issuer = Issuer::new();
    let order = issuer.order(1);
    // The key of answers, a stranger's key.
    for key in [SigningKey::from_seed(&[2; 32]), SigningKey::from_seed(&[77; 32])] {
        let own = std::mem::replace(&mut issuer.orders, key);
        let bundle = issuer.bundle(&order);
        assert!(why(&issuer, &bundle, &AS_IT_IS).contains("does not vouch"));
        issuer.orders = own;
    }
    // One that ended.
    let late = By {
        now: NOW + SignedDuration::from_hours(24 * 3_601),
        ..AS_IT_IS
    };
    assert!(why(&issuer, &issuer.bundle(&order), &late).contains("does not vouch"));
    // One that another authority certified, which stands on the card all the same.
    let stranger = Root::new(44);
    issuer.orders = SigningKey::from_seed(&[45; 32]);
    let certificate = issuer.certified(&stranger, Purpose::Orders);
    issuer.card.keys.push(certificate);
    issuer.hand_over().unwrap();
    assert!(why(&issuer, &issuer.bundle(&order), &AS_IT_IS).contains("does not vouch"));
    // One that it certified for something else.
    let certificate = issuer.certified(&issuer.root, Purpose::Audit);
    issuer.card.keys.push(certificate);
    issuer.hand_over().unwrap();
    assert!(why(&issuer, &issuer.bundle(&order), &AS_IT_IS).contains("does not vouch"));
}

#[test]
fn a_bundle_changed_at_any_byte_is_refused_or_says_the_same() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&issuer.order(1));
    let whole = bundle.to_bytes();
    let accepted = issuer.accepted(&issuer.order(1));
    let (server, approvers) = (issuer.server(), Approvers::default());
    let judge = Judge {
        server: &server,
        host: issuer.host,
        approvers: &approvers,
        highest_number: 0,
        epoch: 0,
        mode: Mode::Install,
        now: NOW,
    };
    assert_eq!(judge.order(&whole), Ok(accepted));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(judge.order(&changed).is_err(), "byte {at}");
        assert!(judge.order(&whole[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn the_approval_is_the_one_that_was_named_and_the_host_is_in_its_scope() {
    let issuer = Issuer::new();
    let order = issuer.order(1);
    let mut wider = issuer.approval();
    wider.not_after += SignedDuration::from_hours(1);
    let mut bundle = issuer.bundle(&order);
    bundle.approval = ApprovalDocument::bytes_of(&wider);
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("another one than the order names"));
    // The proof of another host of the same scope, and a scope without this host.
    let mut bundle = issuer.bundle(&order);
    bundle.inclusion = Tree::over(&issuer.hosts()).prove(HostId([3; 16])).unwrap();
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("not approved for this host"));
    let mut elsewhere = issuer.approval();
    elsewhere.scope = Tree::over(&[HostId([3; 16]), HostId([4; 16])]).scope();
    let mut order = order;
    order.approved = protocol::sha256(&ApprovalDocument::bytes_of(&elsewhere));
    let mut bundle = issuer.bundle(&order);
    bundle.approval = ApprovalDocument::bytes_of(&elsewhere);
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("not approved for this host"));
}

/// The thief has the server, its database and every key of it, the authority's included, but no approver's.
#[test]
fn whoever_has_the_server_and_all_its_keys_gives_no_order_where_root_demands_approvers() {
    let issuer = Issuer::new();
    let approvers: Vec<_> = (50..53).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
    for approver in &approvers {
        Approvers::add(&issuer.places, PublicKey(approver.verifying().to_bytes())).unwrap();
    }
    Approvers::need(&issuer.places, 2).unwrap();
    let mut bundle = issuer.bundle(&issuer.order(1));
    let approved = ApprovalDocument::parse(&bundle.approval).unwrap();
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("0 of this host's approvers"));
    let thief = approved.sign(&issuer.root.key);
    let server = approved.sign(&issuer.orders);
    let one = approved.sign(&approvers[0]);
    let mut posing = thief;
    posing.key = approvers[1].id();
    bundle.signatures = vec![thief, server, posing, one, one];
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("1 of this host's approvers have signed it, and 2"));
    // Signatures under something else that they approved.
    let mut other = issuer.approval();
    other.release.updates[0].source = "cowsay".to_owned();
    let other = ApprovalDocument::parse(&ApprovalDocument::bytes_of(&other)).unwrap();
    bundle.signatures = vec![other.sign(&approvers[0]), other.sign(&approvers[1])];
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("0 of this host's approvers"));
    bundle.signatures = vec![one, approved.sign(&approvers[2])];
    assert!(judged(&issuer, &bundle, &AS_IT_IS).is_ok());
}

#[test]
fn a_card_counts_only_if_the_pinned_authority_vouches_for_it_and_no_older_one() {
    let mut issuer = Issuer::new();
    assert!(!issuer.hand_over().unwrap(), "the same card is no change");
    issuer.card.epoch = 2;
    assert!(issuer.hand_over().unwrap());
    assert_eq!(issuer.server().epoch(), 2);
    issuer.card.epoch = 1;
    assert!(matches!(issuer.hand_over(), Err(CardNotTaken::OldEpoch)));
    let stranger = Root::new(44);
    let mut other = issuer.card.clone();
    other.epoch = 3;
    other.authorities = vec![protocol::card::Authority::new(stranger.certificate.clone())];
    other.keys = vec![
        issuer.certified(&stranger, Purpose::Answers),
        issuer.certified(&stranger, Purpose::Orders),
    ];
    let card = protocol::message::check_in::CardBytes(other.to_bytes());
    let taken = agent::trust::take_card(&issuer.places, &card);
    assert!(matches!(taken, Err(CardNotTaken::NotBelieved(_))), "{taken:?}");
    assert_eq!(issuer.server().epoch(), 2, "nothing changed");
}

/// The memory is the network process's own file; it may have been taken over while the host was enrolled.
#[test]
fn what_the_network_process_remembers_of_a_server_counts_only_as_the_token_says() {
    let issuer = Issuer::new();
    let mut server = crate::session::server::Server::new(NOW);
    let mut host = crate::session::host::Host::new(1);
    host.enrol(&mut server);
    let memory = host.session.memory().clone();
    let pinned = Server::named(Root::new(44).digest()).enrolled(&memory);
    assert_eq!(pinned.epoch(), 0, "its card is not of the token's authority");
    assert!(pinned.orders_key(issuer.orders.id(), NOW).is_none());
    // Who this host is to its server is taken over once: later only root says so.
    let pinned = Server::named(server.root.digest()).enrolled(&memory);
    assert_eq!(pinned.host(), memory.host());
    let mut copy = host.copied(2);
    host.pass(&mut server, 300);
    host.wake(&mut server);
    copy.wake(&mut server);
    let other = copy.session.memory().clone();
    assert_ne!(other.host(), memory.host(), "the copy has become another host");
    assert_eq!(pinned.clone().enrolled(&other).host(), memory.host());
    assert_eq!(pinned.confirmed(other.host().unwrap()).host(), other.host());
}

#[test]
fn a_go_is_read_only_with_the_signature_of_a_key_for_orders() {
    let mut issuer = Issuer::new();
    let order = protocol::sha256(b"an order");
    let statement = issuer.go(order);
    let server = issuer.server();
    assert_eq!(verify::go(&statement, &server, NOW).unwrap().order, order);
    for at in 0..statement.len() {
        let mut changed = statement.clone();
        changed[at] ^= 1;
        assert!(verify::go(&changed, &server, NOW).is_err(), "byte {at}");
    }
    issuer.orders = SigningKey::from_seed(&[2; 32]);
    assert!(verify::go(&issuer.go(order), &server, NOW).is_err());
    // An order is no go.
    let issuer = Issuer::new();
    assert!(verify::go(&issuer.bundle(&issuer.order(1)).order, &server, NOW).is_err());
}

#[test]
fn approvers_are_whole_or_no_order_is_followed() {
    let issuer = Issuer::new();
    let key = PublicKey([3; 32]);
    assert!(Approvers::need(&issuer.places, 1).is_err(), "of nobody");
    Approvers::add(&issuer.places, key).unwrap();
    assert_eq!(Approvers::add(&issuer.places, key).unwrap().keys(), [key]);
    assert_eq!(Approvers::read(&issuer.places).unwrap().needed(), 1);
    assert!(Approvers::remove(&issuer.places, PublicKey([4; 32])).is_err());
    let path = issuer.places.trust().join("approvers");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(Approvers::read(&issuer.places).is_err());
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(Approvers::remove(&issuer.places, key).unwrap().needed(), 0);
}

#[test]
fn an_order_that_begins_without_the_server_was_approved_to_do_so() {
    let issuer = Issuer::new();
    let mut order = issuer.order(1);
    order.start = Start::OfflineOk;
    assert!(judged(&issuer, &issuer.bundle(&order), &AS_IT_IS).is_ok());
    let mut approval = issuer.approval();
    approval.release.rules.start = Start::WithGo;
    order.approved = protocol::sha256(&ApprovalDocument::bytes_of(&approval));
    let mut bundle = issuer.bundle(&order);
    bundle.approval = ApprovalDocument::bytes_of(&approval);
    assert!(why(&issuer, &bundle, &AS_IT_IS).contains("without the server"));
}
