//! What was changed on a host and who did it, as its own logs say.

use super::find;
use crate::Context;
use crate::app::caller::Place;
use crate::app::refusal::Refusal;
use crate::app::shape::{Listed, Part, When};
use domain::id::HostId;
use serde::Serialize;
use store::host_change::{self, HostChange};
use utoipa::ToSchema;

/// A change of a package.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PackageChange)]
pub struct HostChangeView {
    /// When it happened, by the host's own clock.
    pub observed_at: When,
    /// When the server learned of it.
    pub received_at: When,
    /// `installed`, `upgraded`, `downgraded`, `rebuilt` or `removed`.
    pub action: &'static str,
    /// The package.
    pub package: String,
    /// Its architecture.
    pub architecture: String,
    /// The version before; absent if it was not installed.
    pub version_before: Option<String>,
    /// The version after; absent if it was removed.
    pub version_after: Option<String>,
    /// `patchyard`, `tool`, `person` or `unknown`.
    pub changed_by: &'static str,
    /// Which order, which tool, who, and by which command, as the host says.
    pub detail: String,
}

impl Listed for HostChangeView {
    const COLUMNS: &'static [&'static str] = &[
        "observed_at",
        "received_at",
        "action",
        "package",
        "architecture",
        "version_before",
        "version_after",
        "changed_by",
        "detail",
    ];
}

impl From<HostChange> for HostChangeView {
    fn from(change: HostChange) -> Self {
        Self {
            observed_at: When(change.observed_at),
            received_at: When(change.received_at),
            action: change.action.as_str(),
            package: change.package,
            architecture: change.architecture,
            version_before: change.version_before,
            version_after: change.version_after,
            changed_by: change.changed_by.as_str(),
            detail: change.detail,
        }
    }
}

/// A part of the changes on a host, the last noted first; those before this number.
///
/// # Errors
/// Not found.
pub async fn changes(
    ctx: &Context,
    place: &Place,
    id: HostId,
    before: Option<u64>,
    limit: u32,
) -> Result<Part<HostChangeView, u64>, Refusal> {
    let place = place.clone();
    let read = ctx.db.attempt_read(move |view| {
        find(view, &place, id)?;
        let page = host_change::page(view, &place.scope, id, before, limit)?;
        Ok::<_, Refusal>(Part::of(
            page,
            |(_, change)| HostChangeView::from(change),
            |key| key,
        ))
    });
    read.await
}
