//! Findings: what one host misses and why, what is not known of it, and who is at risk. Every question can be asked of a
//! moment in the past; it is answered from what was known then.

use super::refusal::Refusal;
use super::shape::When;
use crate::Context;
use crate::assess::catch_up;
use crate::assess::host::{self as close, HostFindings};
use crate::assess::moment::{Known, Moment, known_at};
use crate::assess::{LoadError, load};
use crate::reconcile::chain;
use domain::assess::at_risk::{Name, Range, Warning};
use domain::assess::coverage::HostStanding;
use domain::assess::fleet::HostNo;
use domain::catalog::update::Classification;
use domain::digest::Sha256Digest;
use domain::id::{HostId, UpdateKey};
use jiff::Timestamp;
use protocol::document::Document as _;
use protocol::document::facts::FactsDocument;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use store::{Scope, View, finding, host};
use utoipa::ToSchema;

/// What one host misses.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = HostFindings)]
pub struct HostFindingsView {
    /// `unknown`, `updates_missing` or `up_to_date`.
    pub standing: &'static str,
    /// The packages that could have another version.
    pub packages: Vec<PackageView>,
    /// What nobody can speak for, in words; empty for a host of which all is known.
    pub not_assessed: Vec<String>,
    /// When the host was seen so, by its own account.
    pub observed_at: Option<When>,
    /// When the server learned it.
    pub received_at: Option<When>,
}

/// One package that could have another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PackageFinding)]
pub struct PackageView {
    /// Name.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// The version that apt would install.
    pub available: String,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// `security` or `other`.
    pub classification: &'static str,
    /// `missing`, `held` or `phased`.
    pub state: &'static str,
    /// What stands in the way, in words.
    pub reason: Option<String>,
}

/// What a host misses, or missed at some moment as known then.
///
/// # Errors
/// Not found, or of the database.
pub async fn of_host(
    context: &Context,
    scope: Scope,
    id: HostId,
    as_of: Option<Timestamp>,
) -> Result<HostFindingsView, Refusal> {
    let Some(moment) = moment(context, scope, id, as_of).await? else {
        return Ok(HostFindingsView {
            standing: "unknown",
            packages: Vec::new(),
            not_assessed: vec!["the host has not reported yet what it has".to_owned()],
            observed_at: None,
            received_at: None,
        });
    };
    let found = close::look(&moment.channels, &moment.subject(), &moment.doubts);
    Ok(view_of(&moment, &found))
}

fn view_of(moment: &Moment, found: &HostFindings) -> HostFindingsView {
    let names: Vec<String> = moment
        .channels
        .sources
        .iter()
        .map(|source| source.report.name.clone())
        .collect();
    let package = |package: &close::PackageFinding| PackageView {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        installed: package.installed.clone(),
        available: package.available.clone(),
        source: package.update.source.clone(),
        source_version: package.update.source_version.clone(),
        classification: match package.classification {
            Classification::Security => "security",
            Classification::Other => "other",
        },
        state: package.state.word(),
        reason: close::state_in_words(&package.state),
    };
    HostFindingsView {
        standing: match found.coverage.standing() {
            HostStanding::UpToDate => "up_to_date",
            HostStanding::UpdatesMissing { holes: 0, .. } => "updates_missing",
            HostStanding::UpdatesMissing { .. } | HostStanding::Unknown { .. } => "unknown",
        },
        packages: found.missing.iter().map(package).collect(),
        not_assessed: found
            .coverage
            .holes
            .iter()
            .map(|hole| close::hole_in_words(hole, &names))
            .collect(),
        observed_at: Some(When(moment.observed_at)),
        received_at: Some(When(moment.received_at)),
    }
}

/// Why a package of a host is, or is not, missing an update: sentences, in the order in which they lead to the answer.
///
/// # Errors
/// Not found where neither the host nor its sources know the name, or of the database.
pub async fn explain(
    context: &Context,
    scope: Scope,
    id: HostId,
    package: &str,
    as_of: Option<Timestamp>,
) -> Result<Vec<String>, Refusal> {
    let Some(moment) = moment(context, scope, id, as_of).await? else {
        return Ok(vec!["The host has not reported yet what it has.".to_owned()]);
    };
    let (name, architecture) = package
        .split_once(':')
        .map_or((package, None), |(name, architecture)| (name, Some(architecture)));
    let told = close::explain_package(&moment.channels, &moment.subject(), name, architecture);
    told.ok_or(Refusal::NotFound { what: "package" })
}

/// What was known of a host at a moment; none of a host that had not reported.
///
/// # Errors
/// Not found, or of the database.
pub(super) async fn moment(
    context: &Context,
    scope: Scope,
    id: HostId,
    as_of: Option<Timestamp>,
) -> Result<Option<Moment>, Refusal> {
    match known_at(context, scope, id, as_of).await.map_err(of_load)? {
        Known::NoHost => Err(Refusal::NotFound { what: "host" }),
        Known::Nothing => Ok(None),
        Known::Moment(moment) => Ok(Some(*moment)),
    }
}

pub(super) fn of_load(error: LoadError) -> Refusal {
    match error {
        LoadError::Store(error) | LoadError::Bytes(error) => Refusal::Store(error),
        error => {
            tracing::error!(error = %chain(&error), "A host's documents cannot be read.");
            Refusal::Fault("the host's documents cannot be read")
        }
    }
}

/// A question about who is at risk.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AtRisk {
    /// A name for it, such as a CVE's; only shown.
    #[serde(default)]
    pub name: String,
    /// The packages that it is about; a host that has one of them is at risk.
    #[schema(min_items = 1, max_items = 1000)]
    pub packages: Vec<AtRiskPackage>,
}

/// Packages of one name in a range of versions, in Debian's order.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AtRiskPackage {
    /// An installed package, by its own version.
    #[serde(default)]
    pub package: Option<String>,
    /// A source package, by the source's version.
    #[serde(default)]
    pub source: Option<String>,
    /// The first version that is meant.
    #[serde(default)]
    pub from: Option<String>,
    /// The first version that is not meant any more.
    #[serde(default)]
    pub fixed: Option<String>,
    /// Only hosts of this release, such as `bookworm`.
    #[serde(default)]
    pub codename: Option<String>,
}

/// Most packages that one question names.
const MOST_PACKAGES: usize = 1_000;

impl AtRisk {
    /// As the rule takes it.
    ///
    /// # Errors
    /// A package without a name or with two, a range that holds nothing, too many.
    pub fn warning(&self) -> Result<Warning, Refusal> {
        if self.packages.is_empty() || self.packages.len() > MOST_PACKAGES {
            return Err(Refusal::invalid(
                "/packages",
                format!("name 1 to {MOST_PACKAGES} packages"),
            ));
        }
        let range = |asked: &AtRiskPackage| {
            let name = match (&asked.package, &asked.source) {
                (Some(package), None) => Name::Package(package.clone()),
                (None, Some(source)) => Name::Source(source.clone()),
                _ => {
                    return Err(Refusal::invalid(
                        "/packages",
                        "each is named by `package` or by `source`, and not by both",
                    ));
                }
            };
            let range = Range {
                name,
                from: asked.from.clone(),
                fixed: asked.fixed.clone(),
                codename: asked.codename.clone(),
            };
            range
                .checked()
                .map_err(|error| Refusal::invalid("/packages", error.to_string()))
        };
        Ok(Warning {
            ranges: self.packages.iter().map(range).collect::<Result<_, _>>()?,
        })
    }
}

/// The numbers of the hosts that have a package that the warning is about, by what they reported last.
///
/// # Errors
/// Of the database.
pub async fn at_risk(context: &Context, scope: Scope, warning: &Warning) -> Result<RoaringBitmap, Refusal> {
    let kept = context.fleets.of(scope.tenant()).await;
    let kept = catch_up(context, scope, kept).await.map_err(of_load)?;
    let hosts = kept.fleet.at_risk(warning, |_| None);
    if warning.ranges.iter().all(|range| range.codename.is_none()) {
        return Ok(hosts);
    }
    // Only those who may be meant are asked which release they run.
    let ids: HashMap<HostNo, HostId> = hosts
        .iter()
        .filter_map(|number| Some((HostNo(number), kept.id(HostNo(number))?)))
        .collect();
    let codenames = context
        .db
        .attempt_read(move |view| codenames(view, &scope, &ids))
        .await
        .map_err(of_load)?;
    Ok(kept.fleet.at_risk(warning, |host| codenames.get(&host).cloned()))
}

fn codenames(
    view: &mut View,
    scope: &Scope,
    hosts: &HashMap<HostNo, HostId>,
) -> Result<HashMap<HostNo, Arc<str>>, LoadError> {
    let mut by_facts: HashMap<Sha256Digest, Option<Arc<str>>> = HashMap::new();
    let mut found = HashMap::new();
    for (number, id) in hosts {
        let Some(facts) = host::get(view, scope, *id)?.and_then(|row| row.facts) else {
            continue;
        };
        let codename = match by_facts.get(&facts) {
            Some(known) => known.clone(),
            None => {
                let bytes = load::bytes_of(view, scope, facts)?;
                let document = bytes.and_then(|bytes| FactsDocument::parse_kept(&bytes).ok());
                let codename = document.and_then(|facts| facts.system.os_codename).map(Arc::from);
                by_facts.insert(facts, codename.clone());
                codename
            }
        };
        if let Some(codename) = codename {
            found.insert(*number, codename);
        }
    }
    Ok(found)
}

/// How many updates a host misses and which, as stored: for a moment in the past, as it was known then.
///
/// # Errors
/// Of the database.
pub fn updates_of(
    view: &mut View,
    scope: &Scope,
    host: HostNo,
    as_of: Option<Timestamp>,
) -> Result<Vec<UpdateKey>, store::Error> {
    let Some(generation) = finding::generation(view, scope, as_of)? else {
        return Ok(Vec::new());
    };
    let chunks = finding::of_chunk(view, scope, host.chunk(), generation.number)?;
    let missed = chunks.into_iter().filter(|chunk| chunk.hosts.contains(host.0));
    Ok(missed.map(|chunk| chunk.update).collect())
}

/// How the hosts of a tenant stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CoverageSummary)]
pub struct CoverageView {
    /// The generation of findings that it is of; absent before the first.
    pub generation: Option<u64>,
    /// When that was written.
    pub received_at: Option<When>,
    /// Hosts of which all is known and that miss nothing.
    pub up_to_date: u64,
    /// Hosts of which all is known and that miss updates.
    pub updates_missing: u64,
    /// Hosts of which something is not known.
    pub unknown: u64,
}

/// How the hosts of a tenant stand, or stood at a moment as known then.
///
/// # Errors
/// Of the database.
pub fn coverage(
    view: &mut View,
    scope: &Scope,
    as_of: Option<Timestamp>,
) -> Result<CoverageView, store::Error> {
    let Some(generation) = finding::generation(view, scope, as_of)? else {
        return Ok(CoverageView::default());
    };
    let mut shown = CoverageView {
        generation: Some(generation.number),
        received_at: Some(When(generation.received_at)),
        ..CoverageView::default()
    };
    for (standing, hosts) in store::coverage::standings(view, scope, generation.number)? {
        match standing {
            host::HostStanding::Unknown => shown.unknown = hosts,
            host::HostStanding::UpdatesMissing => shown.updates_missing = hosts,
            host::HostStanding::UpToDate => shown.up_to_date = hosts,
        }
    }
    Ok(shown)
}
