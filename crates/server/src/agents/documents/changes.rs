//! What hosts say was changed on them lately, and by whom, as rows. A host repeats its latest changes in every report; the
//! store keeps each once.

use domain::version::deb;
use jiff::Timestamp;
use protocol::document::Document as _;
use protocol::document::facts::FactsDocument;
use protocol::document::facts::history::{WireAuthor, WirePackageChange, WireTransaction};
use std::cmp::Ordering;
use store::host_change::{ChangeAction, ChangedBy, HostChange};

/// The most characters of a detail: a command line has no limit, and nobody reads so much of one.
const LONGEST_DETAIL: usize = 500;

/// The changes in a facts document, oldest first. Those from before `oldest` have been forgotten by now, and stay so.
pub(super) fn of_facts(bytes: &[u8], oldest: Timestamp, now: Timestamp) -> Vec<HostChange> {
    let Ok(facts) = FactsDocument::parse_kept(bytes) else {
        // What is no facts document is refused elsewhere.
        return Vec::new();
    };
    let transactions = facts.history.transactions.iter();
    let changes = transactions.flat_map(|transaction| rows(transaction, now));
    changes.filter(|change| change.observed_at >= oldest).collect()
}

fn rows(transaction: &WireTransaction, now: Timestamp) -> impl Iterator<Item = HostChange> {
    let (changed_by, detail) = told(transaction);
    let beyond = if transaction.at_micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    let observed_at = Timestamp::from_microsecond(transaction.at_micros).unwrap_or(beyond);
    transaction.changes.iter().map(move |change| HostChange {
        observed_at,
        received_at: now,
        action: action(change),
        package: change.package.to_string(),
        architecture: change.architecture.to_string(),
        version_before: change.from.as_deref().map(str::to_owned),
        version_after: change.to.as_deref().map(str::to_owned),
        changed_by,
        detail: detail.clone(),
    })
}

fn action(change: &WirePackageChange) -> ChangeAction {
    match (&change.from, &change.to) {
        (None, _) => ChangeAction::Installed,
        (Some(_), None) => ChangeAction::Removed,
        (Some(before), Some(after)) => match deb::compare(before, after) {
            Ordering::Less => ChangeAction::Upgraded,
            Ordering::Greater => ChangeAction::Downgraded,
            Ordering::Equal => ChangeAction::Rebuilt,
        },
    }
}

/// Who did it, and what is known of how.
fn told(transaction: &WireTransaction) -> (ChangedBy, String) {
    let (by, who) = match &transaction.by {
        WireAuthor::Patchyard { order } => (ChangedBy::Patchyard, format!("order {order}")),
        WireAuthor::Tool { name } => (ChangedBy::Tool, name.clone()),
        WireAuthor::Person { login, program } => (ChangedBy::Person, format!("{login}, with {program}")),
        WireAuthor::Root { program } => (ChangedBy::Unknown, format!("root, with {program}")),
        WireAuthor::Unrecorded => (ChangedBy::Unknown, "dpkg, which records nobody".to_owned()),
    };
    let mut detail = who;
    if let Some(command) = &transaction.command {
        detail.push_str(": ");
        detail.push_str(command);
    }
    if detail.chars().count() > LONGEST_DETAIL {
        detail = detail.chars().take(LONGEST_DETAIL - 1).chain(['…']).collect();
    }
    if transaction.omitted > 0 {
        detail.push_str(&format!(
            " (the host did not list {} further changes)",
            transaction.omitted
        ));
    }
    (by, detail)
}
