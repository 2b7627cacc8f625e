//! Orders, goes and approvals as bytes: nothing is believed before its signature, and nothing can be changed after it.

use crate::samples::orders::{
    approval, bundle, go, hosts, order, order_statement, orders_key, snapshot, update,
};
use domain::change::{InScope, NotCovered};
use domain::host::mode::Mode;
use domain::id::{HostId, TenantId};
use domain::order::{Direction, Order, OrderedPackage, RebootRule, Start, acceptance};
use jiff::SignedDuration;
use protocol::document::DocumentError;
use protocol::key::SigningKey;
use protocol::limits;
use protocol::limits::OverLimit;
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::scope::Tree;
use protocol::statement::{StatementError, Unread, seal};

#[test]
fn an_order_and_a_go_come_back_as_they_were_signed() {
    let key = orders_key();
    let sealed = seal(&OrderDocument::of(&order()), &key);
    let unread = Unread::parse(&sealed).expect("it was just sealed");
    assert_eq!(unread.key(), key.id());
    let stated = unread
        .open::<OrderDocument>(&key.verifying())
        .expect("the key is the one");
    assert_eq!(stated.says.into_order(), order());
    assert_eq!(stated.digest, go().order);
    let sealed = seal(&GoDocument::of(&go()), &key);
    let stated = Unread::parse(&sealed).and_then(|unread| unread.open::<GoDocument>(&key.verifying()));
    assert_eq!(stated.expect("the key is the one").says.into_go(), go());
}

#[test]
fn a_statement_changed_at_any_byte_is_refused() {
    let key = orders_key();
    let sealed = order_statement();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let opened =
            Unread::parse(&changed).and_then(|unread| unread.open::<OrderDocument>(&key.verifying()));
        // The key's name says which key to try; with the right key the signature over it fails.
        assert!(opened.is_err(), "byte {at}");
        let cut =
            Unread::parse(&sealed[..at]).and_then(|unread| unread.open::<OrderDocument>(&key.verifying()));
        assert!(matches!(cut, Err(StatementError::NotOne)), "cut at {at}");
    }
    let longer = [sealed.as_slice(), b"x"].concat();
    assert!(matches!(Unread::parse(&longer), Err(StatementError::NotOne)));
}

#[test]
fn a_statement_of_another_key_or_kind_is_refused() {
    let (key, other) = (orders_key(), SigningKey::from_seed(&[8; 32]));
    let sealed = seal(&GoDocument::of(&go()), &key);
    let unread = Unread::parse(&sealed).expect("it was just sealed");
    assert!(matches!(
        unread.open::<GoDocument>(&other.verifying()),
        Err(StatementError::BadSignature)
    ));
    assert!(matches!(
        unread.open::<OrderDocument>(&key.verifying()),
        Err(StatementError::OtherKind)
    ));
}

#[test]
fn a_statement_may_be_as_large_as_the_limit_and_no_larger() {
    let at_limit = vec![0; limits::STATEMENT_BYTES];
    assert!(matches!(Unread::parse(&at_limit), Err(StatementError::NotOne)));
    let above = vec![0; limits::STATEMENT_BYTES + 1];
    assert!(matches!(Unread::parse(&above), Err(StatementError::TooLarge(_))));
}

#[test]
fn an_approval_comes_back_under_the_digest_that_is_signed() {
    let bytes = ApprovalDocument::bytes_of(&approval());
    let approved = ApprovalDocument::parse(&bytes).expect("it was just written");
    assert_eq!(approved.approval, approval());
    assert_eq!(approved.digest, protocol::sha256(&bytes));
    let spaced = [b" ", bytes.as_slice()].concat();
    assert!(
        ApprovalDocument::parse(&spaced).is_err(),
        "another spelling has another digest"
    );
}

#[test]
fn only_approvers_count_and_each_once() {
    let approved = ApprovalDocument::parse(&ApprovalDocument::bytes_of(&approval())).expect("it was written");
    let keys: Vec<SigningKey> = (1..4).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
    let approvers = [keys[0].verifying(), keys[1].verifying()];
    let [first, second, stranger] = [0, 1, 2].map(|at| approved.sign(&keys[at]));
    let count = |signatures: &[_]| approved.signed_by(signatures, &approvers);
    assert_eq!(count(&[]), 0);
    assert_eq!(count(&[first, first]), 1);
    assert_eq!(count(&[first, second, stranger]), 2);
    assert_eq!(count(&[stranger]), 0);
    let mut forged = stranger;
    forged.key = first.key;
    assert_eq!(count(&[forged]), 0);
    let mut other = approval();
    other.not_after += SignedDuration::from_secs(1);
    let other = ApprovalDocument::parse(&ApprovalDocument::bytes_of(&other)).expect("it was written");
    assert_eq!(
        other.signed_by(&[first, second], &approvers),
        0,
        "they signed something else"
    );
}

#[test]
fn an_approval_covers_its_order_and_nothing_beyond() {
    let covers = |change: fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        approval().covers(&order, InScope::Proved)
    };
    assert_eq!(covers(|_| ()), Ok(()));
    assert_eq!(covers(|order| order.reboot = RebootRule::Never), Ok(()));
    assert_eq!(covers(|order| order.removals.clear()), Ok(()));
    type Change = fn(&mut Order);
    let beyond: [(Change, NotCovered); 8] = [
        (|order| order.tenant = TenantId([9; 16]), NotCovered::Tenant),
        (
            |order| order.window.closes += SignedDuration::from_micros(1),
            NotCovered::End,
        ),
        (|order| order.snapshots.push(snapshot(7)), NotCovered::Snapshot),
        (
            |order| order.removals[0].name = "openssh-server".into(),
            NotCovered::Removal,
        ),
        (|order| order.start = Start::OfflineOk, NotCovered::Offline),
        (
            |order| order.reboot = RebootRule::IfNeeded { notice_seconds: 299 },
            NotCovered::Reboot,
        ),
        (
            |order| order.direction = Direction::BackOut,
            NotCovered::Direction,
        ),
        (|order| order.host = HostId([9; 16]), NotCovered::Scope),
    ];
    for (change, why) in beyond {
        let mut order = order();
        change(&mut order);
        let proof = Tree::over(&hosts())
            .prove(HostId([2; 16]))
            .expect("it is in the scope");
        let in_scope = match proof.proves(order.host, approval().scope) {
            true => InScope::Proved,
            false => InScope::NotProved,
        };
        assert_eq!(approval().covers(&order, in_scope), Err(why));
    }
    let mut lower = approval();
    lower.release.rules.needs = Mode::Install;
    assert_eq!(lower.covers(&order(), InScope::Proved), Err(NotCovered::Mode));
    assert!(approval().has(&update("openssl")));
    assert!(!approval().has(&update("openssh")));
}

#[test]
fn a_bundle_comes_back_as_it_was_and_in_no_other_spelling() {
    let bytes = bundle().to_bytes();
    assert_eq!(Bundle::parse(&bytes).expect("it was just written"), bundle());
    let more = br#"{"later":1,"#;
    let grown = [more.as_slice(), &bytes[1..]].concat();
    assert!(
        Bundle::parse(&grown).is_err(),
        "what a host follows has no words that it does not know"
    );
    for at in 0..bytes.len() {
        assert!(Bundle::parse(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn an_order_of_as_many_packages_as_may_be_comes_in_a_bundle() {
    let mut order = order();
    let package = order.packages[0].clone();
    order.packages = (0..acceptance::MAX_PACKAGES)
        .map(|number| OrderedPackage {
            name: format!("package-{number:05}").into(),
            ..package.clone()
        })
        .collect();
    let mut bundle = bundle();
    bundle.order = seal(&OrderDocument::of(&order), &orders_key());
    let parsed = Bundle::parse(&bundle.to_bytes()).expect("it is within every limit");
    let unread = Unread::parse(&parsed.order).expect("it is within every limit");
    let stated = unread.open::<OrderDocument>(&orders_key().verifying());
    assert_eq!(stated.expect("it was just sealed").says.into_order(), order);
}

#[test]
fn a_bundle_may_be_as_large_as_the_limit_and_no_larger() {
    // Base64 grows by four characters, and a place by one.
    let of = |approval: usize, place: u64| {
        let mut bundle = bundle();
        bundle.approval = vec![0; approval];
        bundle.inclusion.place = place;
        bundle.to_bytes()
    };
    let places = [1, 10, 100, 1_000];
    let place = places.into_iter().find(|place| of(0, *place).len() % 4 == 0);
    let place = place.expect("one of four lengths in a row");
    let approval = (limits::BUNDLE_BYTES - of(0, place).len()) / 4 * 3;
    let at_limit = of(approval, place);
    assert_eq!(at_limit.len(), limits::BUNDLE_BYTES);
    Bundle::parse(&at_limit).expect("it is not above the limit");
    let above = of(approval, place * 10);
    assert_eq!(above.len(), limits::BUNDLE_BYTES + 1);
    assert!(matches!(
        Bundle::parse(&above),
        Err(DocumentError::TooLarge(OverLimit { .. }))
    ));
}

#[test]
fn a_bundle_has_as_many_signatures_as_the_limit_and_no_more() {
    let with = |count| {
        let mut bundle = bundle();
        bundle.signatures = vec![bundle.signatures[0]; count];
        Bundle::parse(&bundle.to_bytes())
    };
    assert!(with(limits::APPROVERS).is_ok());
    assert!(matches!(
        with(limits::APPROVERS + 1),
        Err(DocumentError::TooLarge(_))
    ));
}
