//! Rollback, freeze, expiry and wrong clocks.

use super::world::{INRELEASE, World, adopted, day, failure, package_count};
use domain::host::channels::Settings;
use sources::apt::sync::{Outcome, SyncError};

#[test]
fn an_older_release_is_refused_and_the_same_date_is_not() {
    let world = World::new();
    world.publish_second();
    adopted(world.sync("one"));
    world.publish(&world.archive("one", "third").date(day(0)));
    let Outcome::Failed(SyncError::Older { have, got }) = world.sync("one") else {
        panic!("an older one was taken")
    };
    assert_eq!((have, got), (day(1), day(0)));
    world.publish(&world.archive("one", "undated").without_date());
    assert!(matches!(
        world.sync("one"),
        Outcome::Failed(SyncError::Undated { .. })
    ));
    world.publish(&world.archive("one", "fourth").date(day(1)));
    adopted(world.sync("one"));
}

#[test]
fn an_expired_release_is_read_but_never_replaces_one_in_force() {
    let world = World::new();
    adopted(world.sync("one"));
    world.publish(&world.archive("one", "late").date(day(1)).valid_until(day(2)));
    let Outcome::Expired { since, snapshot } = world.sync_at("one", day(10)) else {
        panic!("expired was not seen")
    };
    assert_eq!(since, day(2));
    assert_eq!(package_count(&world.store(), &snapshot), 100);
    assert_ne!(
        world.current("one").unwrap().release_digest,
        snapshot.release_digest
    );
}

#[test]
fn a_source_known_only_expired_can_be_read_without_a_network_until_a_fresh_one_comes() {
    let world = World::new();
    world.publish(&world.archive("one", "late").date(day(1)).valid_until(day(2)));
    assert!(matches!(world.sync_at("one", day(10)), Outcome::Expired { .. }));
    assert_eq!(
        world.current("one").unwrap().release_digest,
        world.digest(INRELEASE)
    );
    world.publish(&world.archive("one", "fresh").date(day(9)).valid_until(day(20)));
    let fresh = adopted(world.sync_at("one", day(10)));
    assert_eq!(world.current("one").unwrap().release_digest, fresh.release_digest);
}

#[test]
fn a_freeze_shows_once_the_release_that_never_changes_is_past_its_date() {
    let world = World::new();
    world.publish(&world.archive("one", "frozen").date(day(0)).valid_until(day(7)));
    adopted(world.sync("one"));
    assert!(matches!(world.sync_at("one", day(6)), Outcome::Unchanged { .. }));
    let Outcome::Expired { since, snapshot } = world.sync_at("one", day(8)) else {
        panic!("a freeze was not seen")
    };
    assert_eq!(
        (since, snapshot.release_digest),
        (day(7), world.digest(INRELEASE))
    );
}

#[test]
fn the_host_may_ignore_valid_until_for_a_source() {
    let mut world = World::new();
    world.publish(&world.archive("one", "late").date(day(1)).valid_until(day(2)));
    world.settings = Settings {
        check_valid_until: false,
        ..Settings::default()
    };
    adopted(world.sync_at("one", day(10)));
}

#[test]
fn a_clock_wrong_by_a_year_is_said_and_nothing_is_adopted_by_it() {
    let world = World::new();
    world.publish(&world.archive("one", "week").date(day(0)).valid_until(day(7)));
    let Outcome::Failed(SyncError::FromTheFuture { until }) = world.sync_at("one", day(-365)) else {
        panic!("a clock that is slow by a year was not seen")
    };
    assert!(until <= day(0) && until > day(-1), "{until}");
    assert!(matches!(world.sync_at("one", day(365)), Outcome::Expired { .. }));
    adopted(world.sync("one"));
    let said = failure(world.sync_at("one", day(-365)));
    assert!(said.contains("check this computer's clock"), "{said}");
}
