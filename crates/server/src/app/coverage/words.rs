//! Why nobody answers, and what helps, in words.

use crate::assess::channels::{Channels, Resolved};
use domain::assess::coverage::{SourceState, Unanswered};
use domain::catalog::source::Match;

/// A host that has not reported, and what helps.
pub(super) const SILENT: (&str, &str) = (
    "the host has not reported yet what it has",
    "`patchyard-agent status` on the host says what keeps it",
);
/// A host of which something could not be followed, and what helps.
pub(super) const UNREAD: (&str, &str) = (
    "files of the host could not be read or followed",
    "`patchyard coverage --host HOST` names them",
);
/// A host without sources, and what helps.
pub(super) const NO_SOURCES: (&str, &str) = (
    "the host names no package sources at all",
    "give it sources: see sources.list(5)",
);

/// Why a source of a host does not answer or not surely, and what helps; none for one that answers.
pub(super) fn of_source(source: &Resolved) -> Option<(String, String)> {
    let why = source.report.state.doubt()?.to_owned();
    let next_step = match (source.matched.clone(), &source.report.state) {
        (Match::New, _) => "adopt it: `patchyard source list` shows what waits".to_owned(),
        (Match::OtherKeys(id), _) => format!(
            "compare the keys with those of `patchyard source show {id}`; adopt the source that waits only if its keys are the vendor's"
        ),
        (Match::Unnamed, SourceState::Refused { .. }) => {
            "mend the keys of its stanza on the host (Signed-By, trusted=no)".to_owned()
        }
        (Match::Unnamed, _) => "run `apt update` on the host, so that it has a release file of it".to_owned(),
        (Match::Source(id), SourceState::Refused { .. }) => format!(
            "the host's own keys refuse what `patchyard source show {id}` synced: give the host the vendor's present key"
        ),
        (Match::Source(id), _) => {
            format!("`patchyard source sync {id}`; `patchyard source show {id}` says what came of it")
        }
    };
    Some((why, next_step))
}

/// Why nobody answers for a package of one host, and what helps.
pub(super) fn of_unanswered(why: &Unanswered) -> (String, &'static str) {
    match why {
        Unanswered::NamedBy(_) | Unanswered::PerhapsIn(_) => (ELSEWHERE.0.to_owned(), ELSEWHERE.1),
        Unanswered::Nowhere => (NOWHERE.0.to_owned(), NOWHERE.1),
        Unanswered::OnlyOlder { newest } => (
            format!("newer than anything that is listed ({newest}): its own source is not configured"),
            OLDER.1,
        ),
    }
}

const ELSEWHERE: (&str, &str) = (
    "no verified source lists it, and a source that may does not answer",
    "mend that source first",
);
const NOWHERE: (&str, &str) = (
    "no configured source lists it",
    "remove it, or configure the source that it came from on the host",
);
const OLDER: (&str, &str) = (
    "newer than anything that is listed: its own source is not configured",
    "configure the source that it came from on the host",
);

/// Why nobody answers for packages of this name under these channels, and what helps.
pub(super) fn of_packages(channels: &Channels, name: &str) -> (String, &'static str) {
    let is_silent = |source: &Resolved| {
        matches!(
            source.report.state,
            SourceState::Refused { .. } | SourceState::ListMissing { .. }
        )
    };
    let mut offers = Vec::new();
    channels.listings.offers(name, &mut offers);
    let (why, next_step) = match (offers.is_empty(), channels.sources.iter().any(is_silent)) {
        (false, _) => OLDER,
        (true, true) => ELSEWHERE,
        (true, false) => NOWHERE,
    };
    (why.to_owned(), next_step)
}
