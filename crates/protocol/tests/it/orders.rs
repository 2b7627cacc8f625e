//! Orders, goes and approvals as bytes: nothing is believed before its signature, and nothing can be changed after it.

use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, InScope, NotCovered, Release, Rules};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use domain::identity::BootId;
use domain::order::{
    Direction, Go, Order, OrderedIndex, OrderedPackage, OrderedSnapshot, RebootRule, Removal, Start, Window,
};
use jiff::{SignedDuration, Timestamp};
use protocol::key::SigningKey;
use protocol::limits;
use protocol::order::{ApprovalDocument, GoDocument, OrderDocument};
use protocol::scope::Tree;
use protocol::statement::{StatementError, Unread, seal};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn orders_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn telnet() -> Removal {
    Removal {
        name: "telnet".into(),
        architecture: "amd64".into(),
    }
}

fn snapshot(number: u8) -> OrderedSnapshot {
    OrderedSnapshot {
        address: "http://deb.example/debian-security".into(),
        suite: "bookworm-security".into(),
        release: Sha256Digest([number; 32]),
        signature: None,
        indexes: vec![OrderedIndex {
            path: "main/binary-amd64/Packages.xz".into(),
            sha256: Sha256Digest([8; 32]),
            size_bytes: 376_000,
        }],
    }
}

fn order() -> Order {
    let package = |name: &str, from: Option<&str>| OrderedPackage {
        name: name.into(),
        architecture: "amd64".into(),
        version: "3.0.22-1~deb12u2".into(),
        from: from.map(Into::into),
        sha256: Sha256Digest([3; 32]),
        size_bytes: 1_442_000,
    };
    Order {
        number: 8,
        epoch: 3,
        tenant: TenantId([1; 16]),
        host: HostId([2; 16]),
        change: ChangeId([3; 16]),
        deployment: DeploymentId([4; 16]),
        approved: Sha256Digest([1; 32]),
        direction: Direction::Forward,
        snapshots: vec![snapshot(9)],
        packages: vec![
            package("libssl3", Some("3.0.20-1~deb12u2")),
            package("openssl", None),
        ],
        removals: vec![telnet()],
        window: Window {
            opens: NOW,
            closes: NOW + SignedDuration::from_hours(1),
        },
        needs: Mode::Full,
        start: Start::WithGo,
        reboot: RebootRule::IfNeeded { notice_seconds: 300 },
    }
}

fn hosts() -> Vec<HostId> {
    (0..9).map(|number| HostId([number; 16])).collect()
}

fn update(source: &str) -> UpdateId {
    UpdateId {
        publisher: Publisher {
            origin: "Debian".into(),
            keys: vec!["AB".into()],
        },
        source: source.into(),
        source_version: "3.0.22-1~deb12u2".into(),
        build: String::new(),
    }
}

fn approval() -> Approval {
    Approval {
        tenant: TenantId([1; 16]),
        release: Release {
            updates: vec![update("curl"), update("openssl")],
            rules: Rules {
                needs: Mode::Full,
                start: Start::WithGo,
                reboot: RebootRule::IfNeeded { notice_seconds: 300 },
                removals: vec![telnet()],
            },
        },
        snapshots: vec![Sha256Digest([8; 32]), Sha256Digest([9; 32])],
        scope: Tree::over(&hosts()).scope(),
        not_after: NOW + SignedDuration::from_hours(1),
        direction: Direction::Forward,
    }
}

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
    let go = Go {
        order: stated.digest,
        boot: BootId([5; 16]),
        nonce: [6; 16],
        issued_at: NOW,
        lease_seconds: 600,
    };
    let sealed = seal(&GoDocument::of(&go), &key);
    let stated = Unread::parse(&sealed).and_then(|unread| unread.open::<GoDocument>(&key.verifying()));
    assert_eq!(stated.expect("the key is the one").says.into_go(), go);
}

#[test]
fn a_statement_changed_at_any_byte_is_refused() {
    let key = orders_key();
    let sealed = seal(&OrderDocument::of(&order()), &key);
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
    let go = GoDocument::of(&Go {
        order: Sha256Digest([1; 32]),
        boot: BootId([5; 16]),
        nonce: [6; 16],
        issued_at: NOW,
        lease_seconds: 600,
    });
    let sealed = seal(&go, &key);
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
