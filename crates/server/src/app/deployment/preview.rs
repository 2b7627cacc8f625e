//! What a change would take on each host, before anybody approves it.

use super::draft::{Draft, Found};
use super::request::DeployRequest;
use crate::Context;
use crate::app::caller::Place;
use crate::app::refusal::Refusal;
use crate::app::shape::{IdText, When};
use crate::catalog::resolve::{Resolved, Unresolved, WayBack};
use crate::rollout::words;
use domain::host::mode::Mode;
use domain::order::OrderedPackage;
use serde::Serialize;
use store::host::{Host, HostState};
use utoipa::ToSchema;

/// What a change would take.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeploymentPreview)]
pub struct PreviewView {
    /// On each host, in the order of names.
    pub hosts: Vec<HostPreviewView>,
    /// What would be approved, as a digest: to make this very change, name it.
    pub approval: String,
    /// Bytes that hosts would fetch, together.
    pub bytes: u64,
    /// Nothing would begin before.
    pub opens: When,
    /// Nothing would begin at this moment or later.
    pub closes: When,
}

/// What a change would take on a host.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = HostPreview)]
pub struct HostPreviewView {
    /// The host.
    pub host: IdText,
    /// Its name.
    pub name: String,
    /// `install`, `nothing`, `unknown`, `needs_also`, `not_built`, `below_ceiling` or `not_active`.
    pub outcome: &'static str,
    /// Why nothing would be installed, or not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What would be installed.
    pub packages: Vec<PackageChangeView>,
    /// Bytes that the host would fetch.
    pub bytes: u64,
    /// `yes`, or `no` where some package's former version cannot be had again.
    pub way_back: &'static str,
    /// Those packages.
    pub without_way_back: Vec<String>,
}

/// A package and the version that it would get.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeployedPackage)]
pub struct PackageChangeView {
    /// Binary package name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that is there; absent for a new package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version that comes.
    pub version: String,
    /// Size of its file in bytes.
    pub size_bytes: u64,
    /// Whether the host does not have it yet.
    pub new: bool,
}

impl From<&OrderedPackage> for PackageChangeView {
    fn from(package: &OrderedPackage) -> Self {
        Self {
            name: package.name.to_string(),
            architecture: package.architecture.to_string(),
            from: package.from.as_ref().map(ToString::to_string),
            version: package.version.to_string(),
            size_bytes: package.size_bytes,
            new: package.from.is_none(),
        }
    }
}

/// What a change would take, as of now; nothing is made.
///
/// # Errors
/// A value that may not be, or an update or host that is not there.
pub async fn preview(ctx: &Context, place: &Place, request: DeployRequest) -> Result<PreviewView, Refusal> {
    let wanted = request.check(ctx.clock.now())?;
    let draft = Draft::of(ctx, place, &wanted).await?;
    let needs = draft.approval.release.rules.needs;
    let hosts: Vec<HostPreviewView> = draft
        .hosts
        .iter()
        .map(|(host, found)| of_host(host, found, needs))
        .collect();
    Ok(PreviewView {
        bytes: hosts.iter().map(|host| host.bytes).sum(),
        hosts,
        approval: draft.digest.to_string(),
        opens: When(wanted.opens),
        closes: When(wanted.closes),
    })
}

fn of_host(host: &Host, found: &Found, needs: Mode) -> HostPreviewView {
    let (outcome, why) = outcome(host, found, needs);
    let resolved = found.as_ref().ok();
    let without = match resolved.map(|resolved| &resolved.way_back) {
        Some(WayBack::No { packages }) => packages.clone(),
        Some(WayBack::Yes) | None => Vec::new(),
    };
    let packages = |resolved: &Resolved| resolved.packages.iter().map(Into::into).collect();
    HostPreviewView {
        host: IdText::of(host.id),
        name: host.name.clone(),
        outcome,
        why,
        packages: resolved.map(packages).unwrap_or_default(),
        bytes: resolved.map_or(0, |resolved| resolved.bytes),
        way_back: if without.is_empty() { "yes" } else { "no" },
        without_way_back: without,
    }
}

fn outcome(host: &Host, found: &Found, needs: Mode) -> (&'static str, Option<String>) {
    let mode = words::mode(host.mode);
    match found {
        Err(Unresolved::Nothing) => ("nothing", None),
        Err(why @ (Unresolved::Unknown(_) | Unresolved::Failed(_))) => ("unknown", Some(why.to_string())),
        Err(why @ Unresolved::NeedsAlso(_)) => ("needs_also", Some(why.to_string())),
        Err(why @ Unresolved::NotBuilt) => ("not_built", Some(why.to_string())),
        Ok(_) if host.state != HostState::Active => {
            let why = format!("the host is {}", host.state.as_str());
            ("not_active", Some(why))
        }
        Ok(_) if mode < needs => ("below_ceiling", Some(words::below_ceiling(mode, needs))),
        Ok(_) => ("install", None),
    }
}
