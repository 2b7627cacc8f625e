//! What a power cut leaves of orders: what was saved, or a truthful end; and nothing that somebody else wrote.

use super::{Issuer, NOW};
use agent::order::journal::{OrdersJournal, accepted, order_folder};
use agent::order::{Event, Found, Moment, Orders, Phase, next};
use domain::host::mode::Mode;
use domain::id::HostId;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use domain::order::Go;
use protocol::message::orders::{FailureKind, Stage};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn moment() -> Moment {
    Moment {
        clock: BootClock {
            boot: BootId([1; 16]),
            micros: 5_000_000,
        },
        up_since_micros: 0,
        wall: NOW,
        estimate: NOW,
        mode: Mode::Full,
        chance: [6; 16],
    }
}

/// The orders after an order was taken and begun.
fn begun(issuer: &Issuer, journal: &OrdersJournal) -> Orders {
    let order = issuer.order(7);
    let accepted = issuer.accepted(&order);
    journal
        .keep(&accepted, &issuer.bundle(&order).to_bytes())
        .unwrap();
    let digest = accepted.digest;
    let steps = [
        Event::Took(Arc::new(accepted)),
        Event::Fetched { number: 7, bytes: 9 },
        Event::Compared {
            number: 7,
            found: Ok(Found::Exact),
        },
        Event::Go(Go {
            order: digest,
            boot: BootId([1; 16]),
            nonce: [6; 16],
            issued_at: NOW,
            lease_seconds: 600,
        }),
    ];
    steps.into_iter().fold(Orders::default(), |orders, event| {
        next(&orders, event, &moment()).0
    })
}

#[test]
fn what_was_saved_is_read_back_with_the_order_as_it_was_believed() {
    let issuer = Issuer::new();
    let journal = OrdersJournal::open(&issuer.places).unwrap();
    assert_eq!(journal.read(issuer.host).unwrap(), Orders::default());
    let orders = begun(&issuer, &journal);
    assert_eq!(orders.open()[0].phase(), Phase::Installing);
    journal.write(issuer.host, &orders).unwrap();
    assert_eq!(journal.read(issuer.host).unwrap(), orders);
    assert_eq!(
        accepted(&issuer.places, 7).unwrap(),
        issuer.accepted(&issuer.order(7))
    );
    // Another identity has orders of its own.
    assert_eq!(journal.read(HostId([9; 16])).unwrap(), Orders::default());
    journal.forget(7).unwrap();
    assert!(!order_folder(&issuer.places, 7).exists());
    assert!(accepted(&issuer.places, 7).is_err());
}

#[test]
fn an_order_whose_file_is_damaged_has_failed_and_is_carried_out_by_nobody() {
    let issuer = Issuer::new();
    let journal = OrdersJournal::open(&issuer.places).unwrap();
    let orders = begun(&issuer, &journal);
    journal.write(issuer.host, &orders).unwrap();
    let path = order_folder(&issuer.places, 7).join("order");
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        assert!(accepted(&issuer.places, 7).is_err(), "altered at {at}");
    }
    let read = journal.read(issuer.host).unwrap();
    assert_eq!((read.open().len(), read.highest()), (0, 7));
    let report = &read.reports()[0];
    assert_eq!(
        (report.stage, report.failure),
        (Stage::Failed, Some(FailureKind::Interrupted))
    );
    // The file of one order is not that of another.
    std::fs::write(&path, &whole).unwrap();
    let other = order_folder(&issuer.places, 8);
    std::fs::create_dir_all(&other).unwrap();
    std::fs::copy(&path, other.join("order")).unwrap();
    assert!(accepted(&issuer.places, 8).is_err());
}

#[test]
fn a_journal_that_is_torn_or_that_others_may_write_stops_all_orders() {
    let issuer = Issuer::new();
    let journal = OrdersJournal::open(&issuer.places).unwrap();
    journal.write(issuer.host, &begun(&issuer, &journal)).unwrap();
    let path = issuer.places.work().join("journal");
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(41) {
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(journal.read(issuer.host).is_err(), "cut at {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(journal.read(issuer.host).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
    assert!(journal.read(issuer.host).is_err());
}
