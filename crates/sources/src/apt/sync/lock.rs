//! Waiting for what another sync of this computer holds.

use content::StoreError;
use std::time::Duration;

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How often to look: a minute in all.
const LOOKS: u32 = 3000;

/// Tries until it succeeds, a minute at most; `None` if somebody else holds on longer.
pub(super) fn patiently<T>(
    attempt: impl Fn() -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    for _ in 0..LOOKS {
        if let Some(held) = attempt()? {
            return Ok(Some(held));
        }
        pause();
    }
    Ok(None)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a lock between processes cannot be waited for with a limit"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
