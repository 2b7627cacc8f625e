//! What was written while a clock was a year ahead holds nobody up once it is right again.

use crate::catalog::{a_source, source_id};
use crate::engines::{WHOLE, at, on_both};
use domain::id::NodeId;
use store::lease;
use store::source::{self, SourceState, SyncNote, Went};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

#[test]
fn a_lease_taken_in_a_future_that_never_came_is_free() {
    on_both(async |db| {
        let take = |node: u8, now| {
            let taken = db.write(move |tx| {
                let (now, until) = (at(now), at(now + 60));
                lease::take(tx, &WHOLE, "work", NodeId([node; 16]), now, until)
            });
            async { taken.await.expect("write").map(|fence| fence.token()) }
        };
        assert_eq!(take(1, YEAR).await, Some(1));
        assert_eq!(
            take(2, 0).await,
            Some(2),
            "what was a year ahead counts for nothing"
        );
        assert_eq!(take(1, 30).await, None, "and the new holder is the holder");
        // Clocks of two nodes differ a little: that takes nothing from anybody.
        assert_eq!(take(1, 100 + HOUR / 2).await, Some(3));
        assert_eq!(take(2, 100).await, None);
    });
}

#[test]
fn a_source_that_was_synced_in_a_future_that_never_came_is_due() {
    on_both(async |db| {
        db.write(|tx| source::create_shared(tx, &WHOLE, &a_source(1, SourceState::Adopted), at(0)))
            .await
            .expect("a source");
        let note = |when| {
            let note = SyncNote {
                at: at(when),
                went: Went::Well,
                outcome: "{}".into(),
                next_sync_at: Some(at(when + HOUR)),
            };
            db.write(move |tx| source::note_sync(tx, &WHOLE, source_id(1), &note))
        };
        let due = |when| db.read(move |view| source::due(view, &WHOLE, at(when), 10).map(|due| due.len()));
        assert!(note(YEAR).await.expect("write"));
        assert_eq!(due(100).await.expect("read"), 1);
        assert!(note(100).await.expect("write"));
        assert_eq!(due(200).await.expect("read"), 0, "from now on as planned");
    });
}
