//! One of each thing that is said of orders, always the same.

use super::{check_in, checked_in, time};
use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, Release, Rules};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use domain::identity::BootId;
use domain::order::{
    Direction, Go, Order, OrderedIndex, OrderedPackage, OrderedSnapshot, RebootRule, Removal, Start, Window,
};
use jiff::{SignedDuration, Timestamp};
use protocol::key::SigningKey;
use protocol::message::check_in::{CheckIn, CheckedIn, Mode as WireMode};
use protocol::message::orders::{FailureKind, GoAsked, GoBytes, OfferedOrder, OrderReport, Stage, Took};
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::scope::Tree;
use protocol::sha256;
use protocol::statement::seal;

pub const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

pub fn orders_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

pub fn telnet() -> Removal {
    Removal {
        name: "telnet".into(),
        architecture: "amd64".into(),
    }
}

pub fn snapshot(number: u8) -> OrderedSnapshot {
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

pub fn order() -> Order {
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

pub fn hosts() -> Vec<HostId> {
    (0..9).map(|number| HostId([number; 16])).collect()
}

pub fn update(source: &str) -> UpdateId {
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

pub fn approval() -> Approval {
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

/// The order's statement.
pub fn order_statement() -> Vec<u8> {
    seal(&OrderDocument::of(&order()), &orders_key())
}

pub fn go() -> Go {
    Go {
        order: sha256(&order_statement()),
        boot: BootId([5; 16]),
        nonce: [6; 16],
        issued_at: NOW,
        lease_seconds: 600,
    }
}

/// The go's statement.
pub fn go_statement() -> Vec<u8> {
    seal(&GoDocument::of(&go()), &orders_key())
}

pub fn bundle() -> Bundle {
    let approval = ApprovalDocument::bytes_of(&approval());
    let approved = ApprovalDocument::parse(&approval).expect("it was just written");
    Bundle {
        order: order_statement(),
        approval,
        signatures: vec![approved.sign(&SigningKey::from_seed(&[9; 32]))],
        inclusion: Tree::over(&hosts())
            .prove(order().host)
            .expect("it is among them"),
    }
}

/// An order that waits for a host.
pub fn offered() -> OfferedOrder {
    let bundle = bundle().to_bytes();
    OfferedOrder {
        bundle: sha256(&bundle),
        size_bytes: bundle.len() as u64,
        number: 8,
    }
}

/// A report with nothing but what each has.
pub fn report(stage: Stage) -> OrderReport {
    OrderReport {
        order: sha256(&order_statement()),
        number: 8,
        stage,
        since: time(),
        failure: None,
        detail: String::new(),
        last_line: String::new(),
        output: None,
        asks: None,
        took: Took::default(),
    }
}

/// A check-in that asks for a go, tells of an order that failed, and one of no number.
pub fn check_in_with_orders() -> CheckIn {
    let asks = OrderReport {
        asks: Some(GoAsked {
            boot: [5; 16],
            nonce: [6; 16],
        }),
        took: Took {
            fetch_millis: 1_200,
            install_millis: 0,
            fetched_bytes: 2_884_000,
        },
        ..report(Stage::Prepared)
    };
    let failed = OrderReport {
        order: Sha256Digest([7; 32]),
        number: 7,
        failure: Some(FailureKind::Script),
        detail: "The script of \"postgresql-15\" failed.".into(),
        last_line: "dpkg: error processing package postgresql-15 (--configure):".into(),
        output: Some(Sha256Digest([0xf; 32])),
        took: Took {
            fetch_millis: 1,
            install_millis: 40_000,
            fetched_bytes: 2,
        },
        ..report(Stage::Failed)
    };
    let refused = OrderReport {
        order: Sha256Digest([6; 32]),
        number: 0,
        failure: Some(FailureKind::Refused),
        ..report(Stage::Failed)
    };
    CheckIn {
        mode: WireMode::Install,
        hold_seconds: 0,
        highest_order: 8,
        orders: vec![asks, failed, refused],
        ..check_in()
    }
}

pub fn checked_in_with_orders() -> CheckedIn {
    CheckedIn {
        orders: vec![offered()],
        goes: vec![GoBytes(go_statement())],
        withdrawn: vec![Sha256Digest([8; 32])],
        heard: vec![Sha256Digest([7; 32]), Sha256Digest([6; 32])],
        ticket: Some("a-ticket".into()),
        ..checked_in()
    }
}
