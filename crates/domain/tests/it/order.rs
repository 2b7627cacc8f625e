//! Which orders a host takes, and which permissions start one.

use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use domain::identity::BootId;
use domain::order::acceptance::{Addressee, NotTaken, take};
use domain::order::{
    Direction, Go, NoGo, Order, OrderedIndex, OrderedPackage, OrderedSnapshot, RebootRule, Removal, Start,
    Window,
};
use jiff::{SignedDuration, Timestamp};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn after(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn package(name: &str) -> OrderedPackage {
    OrderedPackage {
        name: name.into(),
        architecture: "amd64".into(),
        version: "2".into(),
        from: Some("1".into()),
        sha256: Sha256Digest([2; 32]),
        size_bytes: 10,
    }
}

fn snapshot() -> OrderedSnapshot {
    OrderedSnapshot {
        address: "http://deb.example/debian-security".into(),
        suite: "bookworm-security".into(),
        release: Sha256Digest([9; 32]),
        signature: None,
        indexes: vec![OrderedIndex {
            path: "main/binary-amd64/Packages.xz".into(),
            sha256: Sha256Digest([8; 32]),
            size_bytes: 376_000,
        }],
    }
}

fn order() -> Order {
    Order {
        number: 8,
        epoch: 3,
        tenant: TenantId([1; 16]),
        host: HostId([2; 16]),
        change: ChangeId([3; 16]),
        deployment: DeploymentId([4; 16]),
        approved: Sha256Digest([1; 32]),
        direction: Direction::Forward,
        snapshots: vec![snapshot()],
        packages: vec![package("libssl3"), package("openssl")],
        removals: Vec::new(),
        window: Window {
            opens: after(-3_600),
            closes: after(3_600),
        },
        needs: Mode::Install,
        start: Start::WithGo,
        reboot: RebootRule::Never,
    }
}

fn addressee() -> Addressee {
    Addressee {
        host: HostId([2; 16]),
        tenant: TenantId([1; 16]),
        highest_number: 7,
        epoch: 3,
        mode: Mode::Install,
    }
}

/// What becomes of an order after a change to it or to the host.
fn taken(change: impl FnOnce(&mut Order, &mut Addressee)) -> Result<(), NotTaken> {
    let (mut order, mut addressee) = (order(), addressee());
    change(&mut order, &mut addressee);
    take(&order, &addressee, NOW)
}

#[test]
fn an_order_in_turn_and_in_time_is_taken() {
    assert_eq!(taken(|_, _| ()), Ok(()));
    assert_eq!(
        taken(|order, _| order.window.opens = after(60)),
        Ok(()),
        "it may be prepared before it opens"
    );
    assert_eq!(taken(|order, _| order.epoch = 4), Ok(()));
    assert_eq!(taken(|_, host| host.mode = Mode::Full), Ok(()));
}

#[test]
fn an_order_for_another_host_or_tenant_is_not_taken() {
    assert_eq!(taken(|order, _| order.host.0[15] ^= 1), Err(NotTaken::OtherHost));
    assert_eq!(taken(|order, _| order.tenant.0[0] ^= 1), Err(NotTaken::OtherHost));
}

#[test]
fn an_order_that_was_seen_before_is_not_taken_again() {
    let old = NotTaken::OldNumber {
        number: 8,
        highest: 8,
    };
    assert_eq!(taken(|_, host| host.highest_number = 8), Err(old));
    assert_eq!(taken(|order, _| order.epoch = 2), Err(NotTaken::OldEpoch));
}

#[test]
fn an_order_past_its_end_is_not_taken() {
    let over = |seconds_ago| Err(NotTaken::Over { seconds_ago });
    assert_eq!(taken(|order, _| order.window.closes = NOW), over(0));
    assert_eq!(taken(|order, _| order.window.closes = after(-5)), over(5));
    assert_eq!(
        taken(|order, _| order.window.closes = after(401 * 86_400)),
        Err(NotTaken::TooLong)
    );
}

#[test]
fn an_order_above_the_ceiling_is_not_taken_and_says_how_to_raise_it() {
    let refusal = taken(|_, host| host.mode = Mode::Download).expect_err("it installs");
    assert_eq!(
        refusal.to_string(),
        "the order needs mode install, and this host is in mode download; `sudo patchyard-agent mode install` raises it"
    );
    let restarts = |order: &mut Order, needs| {
        order.reboot = RebootRule::IfNeeded { notice_seconds: 60 };
        order.needs = needs;
    };
    assert!(matches!(
        taken(|order, _| restarts(order, Mode::Full)),
        Err(NotTaken::AboveCeiling { .. })
    ));
    assert!(matches!(
        taken(|order, _| restarts(order, Mode::Install)),
        Err(NotTaken::Malformed(_))
    ));
}

#[test]
fn an_order_that_contradicts_itself_is_not_taken() {
    let telnet = || Removal {
        name: "telnet".into(),
        architecture: "amd64".into(),
    };
    let wrongs: [fn(&mut Order); 6] = [
        |order| order.packages.clear(),
        |order| order.packages.swap(0, 1),
        |order| order.packages[1] = order.packages[0].clone(),
        |order| order.packages[0].from = Some("2".into()),
        |order| order.window.opens = order.window.closes,
        |order| order.needs = Mode::Download,
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let refusal = taken(|order, host| {
            host.mode = Mode::Full;
            wrong(order);
        });
        assert!(
            matches!(refusal, Err(NotTaken::Malformed(_))),
            "{number}: {refusal:?}"
        );
    }
    for path in [
        "",
        "/etc/passwd",
        "main/../../x",
        "main//x",
        "main/.x",
        "main/x y",
        "main/",
    ] {
        let refusal = taken(|order, _| order.snapshots[0].indexes[0].path = path.into());
        assert!(matches!(refusal, Err(NotTaken::Malformed(_))), "{path:?}");
    }
    let nowhere = taken(|order, _| order.snapshots.clear());
    assert!(matches!(nowhere, Err(NotTaken::Malformed(_))));
    let twice = taken(|order, _| order.removals = vec![telnet(), telnet()]);
    assert!(matches!(twice, Err(NotTaken::Malformed(_))));
    let only_removals = taken(|order, _| {
        order.packages.clear();
        order.removals = vec![telnet()];
    });
    assert_eq!(only_removals, Ok(()));
}

fn go() -> Go {
    Go {
        order: Sha256Digest([5; 32]),
        boot: BootId([6; 16]),
        nonce: [7; 16],
        issued_at: NOW,
        lease_seconds: 600,
    }
}

fn allowed(go: Go, now: Timestamp) -> Result<(), NoGo> {
    go.allows(Sha256Digest([5; 32]), BootId([6; 16]), [7; 16], now)
}

#[test]
fn a_go_starts_its_order_until_its_lease_ends_and_not_at_that_moment() {
    assert_eq!(allowed(go(), NOW), Ok(()));
    assert_eq!(allowed(go(), after(599)), Ok(()));
    assert_eq!(allowed(go(), after(600)), Err(NoGo::Ended { seconds_ago: 0 }));
    assert_eq!(allowed(go(), after(-1)), Err(NoGo::Future { seconds: 1 }));
}

#[test]
fn no_go_lasts_longer_than_an_hour_whatever_it_says() {
    let go = Go {
        lease_seconds: u32::MAX,
        ..go()
    };
    assert_eq!(allowed(go, after(3_599)), Ok(()));
    assert_eq!(allowed(go, after(3_600)), Err(NoGo::Ended { seconds_ago: 0 }));
}

#[test]
fn a_go_for_another_order_boot_or_question_starts_nothing() {
    let (order, boot) = (Sha256Digest([5; 32]), BootId([6; 16]));
    assert_eq!(
        go().allows(Sha256Digest([0; 32]), boot, [7; 16], NOW),
        Err(NoGo::OtherOrder)
    );
    assert_eq!(
        go().allows(order, BootId([0; 16]), [7; 16], NOW),
        Err(NoGo::OtherBoot)
    );
    assert_eq!(go().allows(order, boot, [0; 16], NOW), Err(NoGo::OtherNonce));
}
