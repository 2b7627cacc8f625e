//! Coverage explained: which source each stanza of a host means and whether it answers, which packages nobody answers for,
//! why that is so and what a person can do about it; for one host at any moment, for all hosts of a tenant now.

mod words;

use super::finding::{CoverageView, moment, of_load};
use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;
use crate::assess::channels::{Channels, Resolved};
use crate::assess::{TenantFleet, catch_up, host as close};
use domain::assess::coverage::{Coverage, Hole, HostStanding, SourceState};
use domain::assess::fleet::{ChannelsNo, Reading};
use domain::catalog::source::Match;
use domain::host::address::without_login;
use domain::id::HostId;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Scope;
use utoipa::ToSchema;
use words::{of_packages, of_source};

/// How the hosts of a tenant stand, or stood at a moment as known then.
///
/// # Errors
/// Of the database.
pub async fn summary(ctx: &Context, scope: Scope, as_of: Option<Timestamp>) -> Result<CoverageView, Refusal> {
    let read = ctx
        .db
        .read(move |view| super::finding::coverage(view, &scope, as_of));
    Ok(read.await?)
}

/// What is known and not known of one host.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = HostCoverage)]
pub struct HostCoverageView {
    /// `unknown`, `updates_missing` or `up_to_date`.
    pub standing: &'static str,
    /// Its sources, in apt's order.
    pub sources: Vec<StanzaView>,
    /// The packages that no verified source answers for.
    pub packages: Vec<PackageGapView>,
    /// What of the host itself is missing or could not be followed.
    pub host: Vec<String>,
    /// When the host was seen so, by its own account; absent if it never reported.
    pub observed_at: Option<When>,
    /// When the server learned it.
    pub received_at: Option<When>,
}

/// One source that a host is configured to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StanzaCoverage)]
pub struct StanzaView {
    /// The address, without a login.
    pub uri: String,
    /// The suite.
    pub suite: String,
    /// The components of all its stanzas.
    pub components: Vec<String>,
    /// The source of the server that is meant; absent where there is none.
    pub source: Option<IdText>,
    /// `answers`, `stale`, `refused` or `missing`.
    pub state: &'static str,
    /// Why it does not answer, or not surely.
    pub why: Option<String>,
    /// What a person can do about it.
    pub next_step: Option<String>,
}

/// One package that no verified source answers for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PackageGap)]
pub struct PackageGapView {
    /// Name.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub version: String,
    /// Why nobody answers for it.
    pub why: String,
    /// What a person can do about it.
    pub next_step: String,
}

/// What is known and not known of one host, now or at a moment as known then.
///
/// # Errors
/// Not found, or of the database.
pub async fn of_host(
    ctx: &Context,
    scope: Scope,
    id: HostId,
    as_of: Option<Timestamp>,
) -> Result<HostCoverageView, Refusal> {
    let Some(moment) = moment(ctx, scope, id, as_of).await? else {
        return Ok(HostCoverageView {
            standing: "unknown",
            sources: Vec::new(),
            packages: Vec::new(),
            host: vec![words::SILENT.0.to_owned()],
            observed_at: None,
            received_at: None,
        });
    };
    let found = close::look(&moment.channels, &moment.subject(), &moment.doubts);
    Ok(HostCoverageView {
        standing: match found.coverage.standing() {
            HostStanding::UpToDate => "up_to_date",
            HostStanding::UpdatesMissing { holes: 0, .. } => "updates_missing",
            HostStanding::UpdatesMissing { .. } | HostStanding::Unknown { .. } => "unknown",
        },
        sources: moment
            .channels
            .sources
            .iter()
            .map(|source| stanza(&moment.channels, source))
            .collect(),
        packages: packages(&found.coverage),
        host: of_the_host(&found.coverage),
        observed_at: Some(When(moment.observed_at)),
        received_at: Some(When(moment.received_at)),
    })
}

fn stanza(channels: &Channels, source: &Resolved) -> StanzaView {
    let all = &channels.host.config.stanzas;
    let first = &all[source.stanzas[0]];
    let mut components: Vec<String> = source
        .stanzas
        .iter()
        .flat_map(|at| all[*at].components.iter().cloned())
        .collect();
    components.sort();
    components.dedup();
    let (why, next_step) = of_source(source).unzip();
    StanzaView {
        uri: without_login(&first.uri),
        suite: first.suite.clone(),
        components,
        source: meant(source),
        state: match source.report.state {
            SourceState::Verified { .. } => "answers",
            SourceState::Stale { .. } => "stale",
            SourceState::Refused { .. } => "refused",
            SourceState::ListMissing { .. } => "missing",
        },
        why,
        next_step,
    }
}

fn meant(source: &Resolved) -> Option<IdText> {
    match source.matched {
        Match::Source(id) => Some(IdText::of(id)),
        Match::New | Match::OtherKeys(_) | Match::Unnamed => None,
    }
}

fn packages(coverage: &Coverage) -> Vec<PackageGapView> {
    let gap = |hole: &Hole| match hole {
        Hole::Package {
            name,
            architecture,
            version,
            why,
        } => {
            let (why, next_step) = words::of_unanswered(why);
            Some(PackageGapView {
                name: name.to_string(),
                architecture: architecture.to_string(),
                version: version.to_string(),
                why,
                next_step: next_step.to_owned(),
            })
        }
        Hole::Host { .. } | Hole::NoSources | Hole::NoPackages | Hole::Source { .. } => None,
    };
    coverage.holes.iter().filter_map(gap).collect()
}

fn of_the_host(coverage: &Coverage) -> Vec<String> {
    let own = |hole: &&Hole| matches!(hole, Hole::Host { .. } | Hole::NoSources | Hole::NoPackages);
    coverage
        .holes
        .iter()
        .filter(own)
        .map(|hole| close::hole_in_words(hole, &[]))
        .collect()
}

/// Something that nobody can speak for, on the hosts of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CoverageGap)]
pub struct GapView {
    /// `source`, `package` or `host`.
    pub kind: &'static str,
    /// The source by address and suite, the package with architecture and version, or what of hosts is meant.
    pub what: String,
    /// Why nobody can speak for it.
    pub why: String,
    /// What a person can do about it.
    pub next_step: String,
    /// The source of the server that is meant, if it is known.
    pub source: Option<IdText>,
    /// How many hosts it concerns.
    pub hosts: u64,
}

impl Listed for GapView {
    const COLUMNS: &'static [&'static str] = &["kind", "what", "why", "next_step", "source", "hosts"];
}

/// Where a list of gaps goes on: what concerns most hosts comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GapKey(Reverse<u64>, String, String, String);

impl GapView {
    fn key(&self) -> GapKey {
        let (kind, what, why) = (self.kind.to_owned(), self.what.clone(), self.why.clone());
        GapKey(Reverse(self.hosts), kind, what, why)
    }
}

/// A part of what nobody can speak for on the hosts of a tenant now, what concerns most hosts first. Of the past it is kept
/// host by host only: [`of_host`] answers for any moment.
///
/// # Errors
/// Of the database.
pub async fn gaps(
    ctx: &Context,
    scope: Scope,
    after: Option<GapKey>,
    limit: u32,
) -> Result<Part<GapView, GapKey>, Refusal> {
    let kept = ctx.fleets.of(scope.tenant()).await;
    let kept = catch_up(ctx, scope, kept).await.map_err(of_load)?;
    let mut found = Gaps::default();
    found.gather(&kept);
    drop(kept);
    let mut all = found.into_views();
    all.retain(|gap| after.as_ref().is_none_or(|after| gap.key() > *after));
    let has_more = all.len() > limit as usize;
    all.truncate(limit as usize);
    Ok(Part {
        next: all.last().map(GapView::key).filter(|_| has_more),
        items: all,
    })
}

/// One gap by what it is about, and why it is there.
type Name = (&'static str, String, String);

#[derive(Debug, Default)]
struct Gaps(BTreeMap<Name, (String, Option<IdText>, RoaringBitmap)>);

impl Gaps {
    fn gather(&mut self, kept: &TenantFleet) {
        let ledger = kept.fleet.ledger();
        let mut silent = RoaringBitmap::new();
        let mut unread = RoaringBitmap::new();
        let mut used: BTreeMap<u32, Arc<Channels>> = BTreeMap::new();
        for host in kept.fleet.hosts() {
            match ledger.told(host) {
                None => drop(silent.insert(host.0)),
                Some(told) => {
                    if told.reading == Reading::Holed || told.packages.is_empty() {
                        unread.insert(host.0);
                    }
                    if let Some(channels) = kept.fleet.channels_of(host) {
                        used.entry(told.channels.0)
                            .or_insert_with(|| Arc::clone(channels));
                    }
                }
            }
        }
        self.add(("host", words::SILENT), None, &silent);
        self.add(("host", words::UNREAD), None, &unread);
        for (number, channels) in &used {
            let Some(hosts) = ledger.members(ChannelsNo(*number)) else {
                continue;
            };
            self.of_sources(channels, hosts);
        }
        let packages = kept.fleet.packages();
        for (number, package, hosts) in ledger.gaps() {
            let (Some(channels), Some(key)) = (used.get(&number.0), packages.package(package)) else {
                continue;
            };
            let what = format!("{}:{} {}", key.name, key.architecture, key.version);
            let (why, next_step) = of_packages(channels, key.name);
            self.add_named(("package", what, why), next_step, None, &hosts);
        }
    }

    fn of_sources(&mut self, channels: &Channels, hosts: &RoaringBitmap) {
        if channels.sources.is_empty() {
            self.add(("host", words::NO_SOURCES), None, hosts);
        }
        for source in &channels.sources {
            if let Some((why, next_step)) = of_source(source) {
                let what = source.report.name.clone();
                self.add_named(("source", what, why), &next_step, meant(source), hosts);
            }
        }
    }

    fn add(
        &mut self,
        (kind, (what, next_step)): (&'static str, (&str, &str)),
        source: Option<IdText>,
        hosts: &RoaringBitmap,
    ) {
        if !hosts.is_empty() {
            self.add_named((kind, what.to_owned(), String::new()), next_step, source, hosts);
        }
    }

    fn add_named(&mut self, name: Name, next_step: &str, source: Option<IdText>, hosts: &RoaringBitmap) {
        let fresh = || (next_step.to_owned(), source, RoaringBitmap::new());
        self.0.entry(name).or_insert_with(fresh).2 |= hosts;
    }

    fn into_views(self) -> Vec<GapView> {
        let view =
            |((kind, what, why), (next_step, source, hosts)): (Name, (String, _, RoaringBitmap))| GapView {
                kind,
                what,
                why,
                next_step,
                source,
                hosts: hosts.len(),
            };
        let mut all: Vec<GapView> = self.0.into_iter().map(view).collect();
        all.sort_by_cached_key(GapView::key);
        all
    }
}
