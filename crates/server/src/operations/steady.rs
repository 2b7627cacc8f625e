//! Whether the clock can be believed by work that removes what is old: a clock that is a year ahead makes everything old.

use crate::Context;
use jiff::{SignedDuration, Timestamp};
use store::{Error, Tx, Whole, server_setting};

/// Daily work that did not run for longer waits for its next turn: either the server was off, and a day more does no
/// harm, or its clock was set, and there is a day to set it right.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Notes that this work is about to remove what is old. How far the clock is from when it was last, if that is more than a
/// week ahead or any time behind by more than an hour: then nothing is to be removed this time.
///
/// # Errors
/// Of the database.
pub(super) async fn stepped(ctx: &Context, work: &'static str) -> Result<Option<SignedDuration>, Error> {
    let now = ctx.clock.now();
    ctx.db.write(move |tx| note(tx, work, now)).await
}

fn note(tx: &mut Tx, work: &str, now: Timestamp) -> Result<Option<SignedDuration>, Error> {
    let (whole, name) = (Whole::server(), format!("ran.{work}"));
    let known = server_setting::get(tx, &whole, &name)?;
    let version = known.as_ref().map_or(0, |setting| setting.version);
    // Nobody else writes it: the lease is held.
    let _set = server_setting::set(tx, &whole, &name, version, &now.to_string(), now)?;
    let last = known.and_then(|setting| setting.value.parse::<Timestamp>().ok());
    let since = last.map_or(SignedDuration::ZERO, |last| now.duration_since(last));
    let is_steady = since <= LONGEST_PAUSE && since >= -SignedDuration::from_hours(1);
    Ok((!is_steady).then_some(since))
}

/// What a run says that removed nothing.
pub(super) fn said(since: SignedDuration) -> String {
    format!(
        "nothing is removed this time: the clock stands {} days from where it stood at the last run",
        since.as_hours() / 24
    )
}
