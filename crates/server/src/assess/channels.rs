//! What one channel config means with the snapshots in force: for each of the host's sources the snapshot that answers for
//! it, verified with the host's own keys, and the offers of all of them together.

use super::force::{InForce, SourceInForce};
use content::Store;
use domain::assess::coverage::{SourceReport, SourceState};
use domain::assess::fleet::{PackageKey, Reading};
use domain::assess::policy::Policy;
use domain::assess::rules::{AptRules, HostSide};
use domain::assess::verdict::{self, Missing, Verdict};
use domain::catalog::source::{Asked, Match, SourceIdentity, find};
use domain::catalog::update::{Classification, Publisher, UpdateId};
use domain::host::address::without_login;
use domain::host::channels::{ChannelConfig, Stanza, Trust};
use domain::host::inventory::{InstalledPackage, PackageState, ReinstallRequired, Selection};
use domain::id::{SnapshotId, SourceId};
use jiff::{SignedDuration, Timestamp};
use sources::apt::answer::{Answer, NoAnswer};
use sources::apt::channels::{KeyFile, Keyrings, Listings};
use sources::apt::freshness::{Freshness, FreshnessRules, freshness};
use sources::apt::keyring::Keyring;
use sources::apt::targets::{self, Merged};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A source that was not reached for this long says nothing about today, whatever its vendor promises.
pub const UNREACHED: SignedDuration = SignedDuration::from_hours(48);

/// A host's channel config as it was handed in.
#[derive(Clone, Debug)]
pub struct HostChannels {
    /// Stanzas, pins, architectures and settings.
    pub config: ChannelConfig,
    /// For each stanza, what the releases that the host has of it call themselves, and the keys that it names.
    pub stanzas: Vec<StanzaKeys>,
}

/// What a host says about one stanza besides its text. Nobody has verified it.
#[derive(Clone, Debug)]
pub struct StanzaKeys {
    /// What the releases that the host has of it call themselves.
    pub identity: Option<SourceIdentity>,
    /// The files with the keys that may sign it, or why they cannot be had.
    pub keys: Result<Vec<KeyFile>, String>,
}

/// One source of a channel config.
#[derive(Debug)]
pub struct Resolved {
    /// Its stanzas by their place in the config; never empty.
    pub stanzas: Vec<usize>,
    /// Fingerprints of the certificates that the host lets sign it.
    pub keys: BTreeSet<String>,
    /// The source that is meant.
    pub matched: Match<SourceId>,
    /// The snapshot that answers.
    pub snapshot: Option<SnapshotId>,
    /// The same, verified with the host's keys; or why there is no answer.
    pub answer: Result<Answer, NoAnswer>,
    /// Who publishes what it lists.
    pub publisher: Publisher,
    /// What became of it, for coverage.
    pub report: SourceReport,
    /// When, with nothing else happening, the report would be another.
    pub changes_at: Option<Timestamp>,
}

/// The sources of a channel config with the snapshots in force.
#[derive(Debug)]
pub struct Channels {
    /// The config.
    pub host: Arc<HostChannels>,
    /// Its sources, in apt's order.
    pub sources: Vec<Resolved>,
    /// What they offer.
    pub listings: Listings,
}

/// What is missing, with the update that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Nothing.
    Settled,
    /// Nobody can say.
    Unknown,
    /// This update.
    Missing(UpdateId, Kind),
}

/// What kind of update something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// By the listings of what would be installed alone.
    pub listed: Classification,
    /// To a host that has the package: also by the listings of the versions that it skips.
    pub to_host: Classification,
}

impl Channels {
    /// Finds out what answers for each source of a channel config.
    pub fn resolve(
        host: Arc<HostChannels>,
        in_force: &InForce,
        keyrings: &Keyrings,
        content: &Store,
        now: Timestamp,
    ) -> Self {
        let merged = targets::merge(&host.config.stanzas);
        let asking = Asking {
            host: &host,
            in_force,
            keyrings,
            content,
            now,
        };
        let sources: Vec<Resolved> = merged.iter().map(|source| asking.resolve(source)).collect();
        let answers = merged.iter().zip(&sources);
        let listings = Listings::of(answers.map(|(source, resolved)| {
            let uri = source.stanzas[0].uri.as_str();
            (uri, resolved.answer.as_ref().ok())
        }));
        Self {
            host,
            sources,
            listings,
        }
    }

    /// The host's priorities, on hosts with such an apt. Which phased updates have reached a certain host is no part of
    /// it: that is looked at host by host.
    pub fn policy(&self, rules: AptRules) -> Policy {
        Policy::new(&self.host.config, self.listings.all()).on(HostSide {
            rules,
            ..HostSide::default()
        })
    }

    /// Whether all sources can be believed. A host without any source is unknown.
    pub fn reading(&self) -> Reading {
        let is_verified = |source: &Resolved| matches!(source.report.state, SourceState::Verified { .. });
        match !self.sources.is_empty() && self.sources.iter().all(is_verified) {
            true => Reading::Whole,
            false => Reading::Holed,
        }
    }

    /// When, with nothing else happening, [`Self::reading`] may change.
    pub fn changes_at(&self) -> Option<Timestamp> {
        self.sources.iter().filter_map(|source| source.changes_at).min()
    }

    /// What a package misses under a policy of these channels.
    pub fn judge(&self, policy: &Policy, package: PackageKey<'_>) -> Judged {
        let installed = installed(package);
        let mut offers = Vec::new();
        self.listings.offers(&installed.name, &mut offers);
        match verdict::verdict(policy, &installed, &offers) {
            Verdict::Missing(missing) => {
                let kind = Kind {
                    listed: self.class_of(&missing),
                    to_host: missing.classification,
                };
                Judged::Missing(self.update_of(&missing), kind)
            }
            Verdict::Unknown if super::is_own_agent(package.name, package.version) => Judged::Settled,
            Verdict::Unknown | Verdict::Ahead { .. } => Judged::Unknown,
            Verdict::Current | Verdict::NoCandidate { .. } => Judged::Settled,
        }
    }

    /// The update that a candidate belongs to.
    pub fn update_of(&self, missing: &Missing<'_>) -> UpdateId {
        let source = &self.sources[self.listings.source_of(missing.candidate.listings[0])];
        missing.candidate.update_id(source.publisher.clone())
    }

    /// What kind of update a candidate is by its own listings.
    fn class_of(&self, missing: &Missing<'_>) -> Classification {
        let listings = self.listings.all();
        let mut own = missing.candidate.listings.iter();
        match own.any(|listing| listings[usize::from(listing.0)].is_security()) {
            true => Classification::Security,
            false => Classification::Other,
        }
    }

    /// The reports of the sources, in apt's order.
    pub fn reports(&self) -> Vec<SourceReport> {
        self.sources.iter().map(|source| source.report.clone()).collect()
    }
}

/// A package as a verdict takes it. What a verdict does not look at is left at its usual value.
fn installed(package: PackageKey<'_>) -> InstalledPackage {
    InstalledPackage {
        name: package.name.into(),
        architecture: package.architecture.into(),
        version: package.version.into(),
        source: package.source.into(),
        source_version: package.source_version.into(),
        selection: Selection::Install,
        state: PackageState::Installed,
        reinstall_required: ReinstallRequired::No,
        fingerprint: package.fingerprint,
    }
}

struct Asking<'a> {
    host: &'a HostChannels,
    in_force: &'a InForce,
    keyrings: &'a Keyrings,
    content: &'a Store,
    now: Timestamp,
}

impl Asking<'_> {
    fn resolve(&self, source: &Merged<'_>) -> Resolved {
        let stanzas: Vec<usize> = source.stanzas.iter().map(|stanza| self.place(stanza)).collect();
        let said = &self.host.stanzas[stanzas[0]];
        let keyring = self.keyring(source, said);
        let keys: BTreeSet<String> = keyring
            .iter()
            .flat_map(|keyring| keyring.fingerprints())
            .collect();
        let asked = Asked {
            identity: said.identity.clone(),
            keys,
        };
        let matched = match &keyring {
            Ok(_) => find(&asked, self.in_force.known()),
            Err(_) => Match::Unnamed,
        };
        let known = match matched {
            Match::Source(id) => self.in_force.source(id),
            Match::New | Match::OtherKeys(_) | Match::Unnamed => None,
        };
        let answer = keyring.and_then(|keyring| self.answer(source, &matched, known, &keyring));
        let (state, changes_at) = self.state(&answer, known);
        Resolved {
            stanzas,
            keys: asked.keys,
            matched,
            snapshot: known.and_then(|known| known.snapshot.as_ref().map(|snapshot| snapshot.id)),
            answer,
            publisher: known.map(|known| known.publisher.clone()).unwrap_or(Publisher {
                origin: String::new(),
                keys: Vec::new(),
            }),
            report: SourceReport {
                name: format!(
                    "{} {}",
                    without_login(&source.stanzas[0].uri),
                    source.stanzas[0].suite
                ),
                state,
            },
            changes_at,
        }
    }

    fn place(&self, stanza: &Stanza) -> usize {
        let all = &self.host.config.stanzas;
        all.iter()
            .position(|other| std::ptr::eq(other, stanza))
            .expect("a merged stanza is one of the config's")
    }

    /// The keys of a source, refused as the sync of a scan refuses them.
    fn keyring(&self, source: &Merged<'_>, said: &StanzaKeys) -> Result<Keyring, NoAnswer> {
        let first = source.stanzas[0];
        if source.stanzas.iter().any(|stanza| stanza.trust == Trust::Never) {
            return Err(NoAnswer::DistrustedByHost);
        }
        if source
            .stanzas
            .iter()
            .any(|stanza| stanza.signed_by != first.signed_by)
        {
            return Err(NoAnswer::NoKeys(
                "its stanzas name different keys (Signed-By); give all stanzas of one address and suite the same"
                    .to_owned(),
            ));
        }
        let files = said.keys.as_ref().map_err(|why| NoAnswer::NoKeys(why.clone()))?;
        self.keyrings.of(first, files)
    }

    fn answer(
        &self,
        source: &Merged<'_>,
        matched: &Match<SourceId>,
        known: Option<&SourceInForce>,
        keyring: &Keyring,
    ) -> Result<Answer, NoAnswer> {
        let not_fetched = |why: &str| Err(NoAnswer::NotFetched(why.to_owned()));
        let Some(known) = known else {
            return not_fetched(match matched {
                Match::Unnamed => {
                    "nobody can tell which source it is: the host has no release file of it; 'apt update' there helps"
                }
                Match::OtherKeys(_) => {
                    "a source of this name is known, but signed by other keys than this host accepts; it waits to be adopted"
                }
                Match::New | Match::Source(_) => {
                    "no such source is adopted yet; 'patchyard source list' shows what waits"
                }
            });
        };
        let Some(snapshot) = &known.snapshot else {
            return not_fetched("it is adopted, and was not synced yet");
        };
        let read = snapshot.kept.read(self.content, source, keyring, self.now);
        let snapshot = match read {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => {
                return not_fetched(
                    "its release file is gone from the content store; the next sync fetches it",
                );
            }
            Err(sources::apt::snapshot::ReadError::Refused(refusal)) => return Err(refusal.into()),
            Err(error) => return not_fetched(&error.to_string()),
        };
        let rules = FreshnessRules::of_silence(source.stanzas[0], &self.host.config.settings);
        let freshness = freshness(snapshot.release.facts(), &rules, self.now);
        let doubt = Answer::doubt_of_suite(source, snapshot.release.facts());
        let answer = Answer::of_snapshot(self.content, snapshot, keyring, freshness);
        Ok(Answer { doubt, ..answer })
    }

    /// What became of a source, and when that changes by itself.
    fn state(
        &self,
        answer: &Result<Answer, NoAnswer>,
        known: Option<&SourceInForce>,
    ) -> (SourceState, Option<Timestamp>) {
        let answer = match answer {
            Err(why) => return (SourceState::Refused { why: sentence(why) }, None),
            Ok(answer) => answer,
        };
        let missing = answer
            .listings
            .iter()
            .find_map(|listing| listing.outcome.as_ref().err());
        if let Some(why) = missing {
            return (SourceState::ListMissing { why: sentence(why) }, None);
        }
        let listings = answer.listings.len();
        let stale = |why: String| SourceState::Stale { listings, why };
        if let Some(doubt) = &answer.doubt {
            return (stale(doubt.clone()), None);
        }
        let reached = known.and_then(|known| known.reached_at);
        let unreached_from = reached.and_then(|at| at.checked_add(UNREACHED).ok());
        let skipped = |listing: &sources::apt::answer::ListingAnswer| {
            let index = listing.outcome.as_ref().ok();
            index.is_some_and(|readable| readable.index.skipped_total() > 0)
        };
        match answer.freshness {
            Freshness::Expired { since } => {
                let day = since.strftime("%Y-%m-%d");
                return (
                    stale(format!(
                        "what it published expired on {day}: newer updates may exist"
                    )),
                    None,
                );
            }
            Freshness::FromTheFuture { until } => {
                let why = format!(
                    "its release file is dated {until}, which has not come yet: is the server's clock right?"
                );
                return (stale(why), Some(until));
            }
            Freshness::Fresh { .. } => {}
        }
        if unreached_from.is_none_or(|from| from <= self.now) {
            let since = reached.map_or("ever".to_owned(), |at| {
                format!("since {}", at.strftime("%Y-%m-%d %H:%M UTC"))
            });
            return (
                stale(format!("it could not be synced {since}: newer updates may exist")),
                None,
            );
        }
        if answer.listings.iter().any(skipped) {
            return (stale("malformed stanzas were skipped".to_owned()), None);
        }
        let until = match answer.freshness {
            Freshness::Fresh { until } => until,
            Freshness::Expired { .. } | Freshness::FromTheFuture { .. } => None,
        };
        // A release is in force at its last moment too.
        let end = until.and_then(|until| until.checked_add(SignedDuration::from_nanos(1)).ok());
        let changes_at = [end, unreached_from].into_iter().flatten().min();
        (SourceState::Verified { listings }, changes_at)
    }
}

/// An error and its causes.
fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    crate::reconcile::chain(error)
}
