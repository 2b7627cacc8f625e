//! Sources and what came of them, and in words why something could not be assessed.

use crate::report::*;
use crate::scan::channels::Asked;
use crate::text;
use domain::assess::coverage::{self, Coverage, Hole, SourceNo, SourceReport, Unanswered};
use domain::host::address::without_login;
use jiff::Timestamp;
use sources::apt::answer::{Answer, ListingAnswer};
use sources::apt::freshness::Freshness;

/// Lists that nobody fetched for this long say little about today, whatever their vendor promises: apt's own timer
/// fetches them daily, and many a release file has no Valid-Until.
pub const OLD_LISTS_SECONDS: i64 = 7 * 86_400;

/// Marks what is verified as stale where the lists were not fetched lately.
pub fn doubt_old_lists(sources: &mut [Source], age_seconds: Option<i64>) {
    let Some(age) = age_seconds.filter(|age| *age > OLD_LISTS_SECONDS) else {
        return;
    };
    for source in sources
        .iter_mut()
        .filter(|source| source.state == SourceState::Verified)
    {
        source.state = SourceState::Stale;
        source.reason = Some(format!(
            "its lists were fetched {} ago: newer updates may exist; --refresh fetches them",
            text::age(age)
        ));
    }
}

/// A source as the report has it.
pub fn source(asked: &Asked<'_>) -> Source {
    let first = asked.source.stanzas[0];
    let components = asked
        .source
        .stanzas
        .iter()
        .flat_map(|stanza| stanza.components.iter().cloned());
    let mut source = Source {
        uri: without_login(&first.uri),
        suite: first.suite.clone(),
        components: components.collect(),
        configured_in: asked
            .source
            .stanzas
            .iter()
            .map(|stanza| format!("{}:{}", stanza.file, stanza.line))
            .collect(),
        state: SourceState::NotAnswering,
        reason: None,
        origin: None,
        label: None,
        codename: None,
        version: None,
        date: None,
        valid_until: None,
        release_sha256: None,
        signatures: Vec::new(),
        indexes: Vec::new(),
    };
    match &asked.outcome {
        Ok(answer) => fill(&mut source, answer),
        Err(why) => source.reason = Some(text::chain(why)),
    }
    source
}

fn fill(source: &mut Source, answer: &Answer) {
    let facts = answer.release.facts();
    source.origin.clone_from(&facts.origin);
    source.label.clone_from(&facts.label);
    source.codename.clone_from(&facts.codename);
    source.version.clone_from(&facts.version);
    source.date = facts.date.map(|at| at.to_string());
    source.valid_until = facts.valid_until.map(|at| at.to_string());
    source.release_sha256 = Some(answer.release_digest.to_string());
    source.signatures = answer
        .signatures
        .iter()
        .map(|good| Signature {
            certificate: good.certificate.clone(),
            key: good.key.clone(),
            user_id: good.user_id.clone(),
            made: good.made.to_string(),
        })
        .collect();
    source.indexes = answer.listings.iter().map(index).collect();
    let is_missing = |listing: &ListingAnswer| listing.outcome.is_err();
    (source.state, source.reason) = match answer.freshness {
        _ if answer.listings.iter().any(is_missing) => (SourceState::Incomplete, None),
        _ if answer.doubt.is_some() => (SourceState::Stale, answer.doubt.clone()),
        Freshness::Fresh { .. } => (SourceState::Verified, None),
        Freshness::Expired { since } => (
            SourceState::Stale,
            Some(format!(
                "what it published expired on {}: newer updates may exist; --refresh fetches them",
                day(since)
            )),
        ),
        Freshness::FromTheFuture { until } => (
            SourceState::Stale,
            Some(format!(
                "its release file is dated {}, which has not come yet: is this machine's clock right?",
                until
            )),
        ),
    };
}

fn index(listing: &ListingAnswer) -> Index {
    let mut index = Index {
        component: listing.component.clone(),
        architecture: listing.architecture.clone(),
        sha256: None,
        packages: None,
        skipped: Vec::new(),
        reason: None,
    };
    match &listing.outcome {
        Ok(readable) => {
            index.sha256 = Some(readable.digest.to_string());
            index.packages = Some(readable.index.len());
            let skipped = |stanza: sources::apt::index::SkippedStanza| {
                format!("line {}: {} {}", stanza.line, stanza.name, stanza.why)
            };
            index.skipped = readable.index.skipped().map(skipped).collect();
        }
        Err(why) => index.reason = Some(text::chain(why)),
    }
    index
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// What became of a source, as the domain's rule takes it. An index that is missing, or of which stanzas were skipped,
/// makes its silence as doubtful as age does.
pub fn source_report(source: &Source) -> SourceReport {
    let listings = source
        .indexes
        .iter()
        .filter(|index| index.reason.is_none())
        .count();
    let skipped = source.indexes.iter().find(|index| !index.skipped.is_empty());
    let why = source.reason.clone().unwrap_or_default();
    let state = match source.state {
        SourceState::NotAnswering => coverage::SourceState::Refused { why },
        SourceState::Incomplete => coverage::SourceState::ListMissing { why },
        SourceState::Stale => coverage::SourceState::Stale { listings, why },
        SourceState::Verified if skipped.is_some() => coverage::SourceState::Stale {
            listings,
            why: "malformed stanzas were skipped".to_owned(),
        },
        SourceState::Verified => coverage::SourceState::Verified { listings },
    };
    SourceReport {
        name: format!("{} {}", source.uri, source.suite),
        state,
    }
}

/// The holes of single packages in words; those of sources stand with the sources.
pub fn uncovered(coverage: &Coverage, sources: &[Source]) -> Vec<Uncovered> {
    let named = |number: &SourceNo| {
        let source = &sources[usize::from(number.0)];
        format!("{} {}", source.uri, source.suite)
    };
    let reason = |why: &Unanswered| match why {
        Unanswered::Nowhere if sources.is_empty() => "no source is configured".to_owned(),
        Unanswered::Nowhere => "no configured source lists it".to_owned(),
        Unanswered::OnlyOlder { .. } => {
            "newer than anything that is listed; its own source is not configured".to_owned()
        }
        Unanswered::NamedBy(source) => format!("from {}, which does not answer now", named(source)),
        Unanswered::PerhapsIn(silent) => match silent.as_slice() {
            [one] => format!("no verified source lists it; {} does not answer", named(one)),
            more => format!(
                "no verified source lists it; {} sources do not answer",
                more.len()
            ),
        },
    };
    let holes = coverage.holes.iter().filter_map(|hole| match hole {
        Hole::Package {
            name,
            architecture,
            version,
            why,
        } => Some(Uncovered {
            name: name.to_string(),
            architecture: architecture.to_string(),
            installed: version.to_string(),
            reason: reason(why),
        }),
        Hole::Host { .. } | Hole::NoSources | Hole::NoPackages | Hole::Source { .. } => None,
    });
    holes.collect()
}
