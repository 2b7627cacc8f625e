//! What was changed on a host, and by whom: Patchyard, another tool or a person. dpkg's own log says what happened, apt's
//! history says on whose word; this is the rule that brings the two together.

mod author;

pub use author::{Author, Evidence, ORDER_OPTION, author};

use std::collections::{BTreeMap, BTreeSet};

/// Transactions that a host reports at most: the latest.
pub const TRANSACTIONS: usize = 64;
/// Changes of packages that it reports at most, over all transactions.
pub const CHANGES: usize = 1024;
/// Microseconds after which an action of dpkg alone begins another transaction.
const PAUSE_MICROS: i64 = 60_000_000;

/// The latest changes of packages on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Oldest first.
    pub transactions: Vec<Transaction>,
    /// Why there may have been more: logs that were not read. Sentences for people.
    pub unread: Vec<String>,
}

/// Changes that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// When it began, in microseconds since 1970 by the host's clock and time zone.
    pub at_micros: i64,
    /// Who did it.
    pub by: Author,
    /// The command that apt recorded; absent for dpkg alone.
    pub command: Option<String>,
    /// What changed, by package and architecture.
    pub changes: Vec<PackageChange>,
    /// Further changes that are not listed.
    pub omitted: u32,
}

/// One package's change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageChange {
    /// Binary package name.
    pub package: Box<str>,
    /// Its architecture.
    pub architecture: Box<str>,
    /// The version before; absent if it was not installed.
    pub from: Option<Box<str>>,
    /// The version after; absent if it was removed.
    pub to: Option<Box<str>>,
}

/// A transaction as apt recorded it (`/var/log/apt/history.log`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// `Start-Date` in microseconds.
    pub start_micros: i64,
    /// `End-Date`; absent where apt did not live to write it.
    pub end_micros: Option<i64>,
    /// `Commandline`.
    pub command: Option<String>,
    /// `Comment`.
    pub comment: Option<String>,
    /// The login in `Requested-By`.
    pub requested_by: Option<String>,
    /// What it set out to change.
    pub changes: Vec<PackageChange>,
}

/// One action of dpkg (`/var/log/dpkg.log`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    /// When, in microseconds.
    pub at_micros: i64,
    /// What it began to do.
    pub change: PackageChange,
}

/// Brings apt's records and dpkg's actions together. Both in the order of their logs; `tools` are the names of
/// installed packages of configuration tools.
///
/// What dpkg did inside a record's time belongs to it, and counts instead of what apt set out to do: a transaction may
/// have failed half-way. Where dpkg's log does not reach back so far, apt's word stands. What dpkg did outside every
/// record was asked of dpkg itself, which records nobody.
pub fn attribute(recorded: Vec<Recorded>, performed: Vec<Performed>, tools: &[&str]) -> Vec<Transaction> {
    let log_begins = performed.first().map(|action| action.at_micros);
    let mut rest: Vec<Option<Performed>> = performed.into_iter().map(Some).collect();
    let starts: Vec<i64> = recorded.iter().map(|record| record.start_micros).collect();
    let mut transactions = Vec::new();
    for (place, record) in recorded.into_iter().enumerate() {
        let next = starts.get(place + 1).copied().unwrap_or(i64::MAX);
        let span = Span::of(&record, next);
        let own: Vec<Performed> = rest
            .iter_mut()
            .filter(|action| action.as_ref().is_some_and(|action| span.holds(action)))
            .filter_map(Option::take)
            .collect();
        let is_covered = log_begins.is_some_and(|begins| begins <= record.start_micros);
        let changes = match own.is_empty() && !is_covered {
            true => record.changes.clone(),
            false => net(own.into_iter().map(|action| action.change)),
        };
        transactions.push(Transaction {
            at_micros: record.start_micros,
            by: author(&Evidence::of(&record), tools),
            command: record.command,
            changes,
            omitted: 0,
        });
    }
    transactions.extend(by_dpkg_alone(rest.into_iter().flatten()));
    transactions.retain(|transaction| !transaction.changes.is_empty());
    transactions.sort_by_key(|transaction| transaction.at_micros);
    cut(transactions)
}

/// The time of a record, and what it is known to be about. Both logs count whole seconds, and apt holds dpkg's lock from
/// start to end: strictly between the two nobody else can have acted. In the first and the last second somebody else can,
/// so there only packages count that the record names; and so they do in a record that apt did not live to end.
struct Span {
    start: i64,
    end: Option<i64>,
    next: i64,
    named: BTreeSet<(Box<str>, Box<str>)>,
}

impl Span {
    fn of(record: &Recorded, next: i64) -> Self {
        let name = |change: &PackageChange| (change.package.clone(), change.architecture.clone());
        Self {
            start: record.start_micros,
            end: record.end_micros,
            next,
            named: record.changes.iter().map(name).collect(),
        }
    }

    fn holds(&self, action: &Performed) -> bool {
        let at = action.at_micros;
        if self.end.is_some_and(|end| at > self.start && at < end) {
            return true;
        }
        let last = self.end.unwrap_or(self.next.saturating_sub(1));
        let change = &action.change;
        let is_named = || {
            self.named
                .contains(&(change.package.clone(), change.architecture.clone()))
        };
        at >= self.start && at <= last && is_named()
    }
}

fn by_dpkg_alone(actions: impl Iterator<Item = Performed>) -> Vec<Transaction> {
    let mut runs: Vec<(i64, i64, Vec<PackageChange>)> = Vec::new();
    for action in actions {
        let at = action.at_micros;
        match runs.last_mut() {
            Some((_, last, changes)) if at >= *last && at - *last <= PAUSE_MICROS => {
                *last = at;
                changes.push(action.change);
            }
            _ => runs.push((at, at, vec![action.change])),
        }
    }
    let transaction = |(at_micros, _, changes): (i64, i64, Vec<PackageChange>)| Transaction {
        at_micros,
        by: Author::Unrecorded,
        command: None,
        changes: net(changes.into_iter()),
        omitted: 0,
    };
    runs.into_iter().map(transaction).collect()
}

/// What remains of several changes of one package: from the first version to the last.
fn net(changes: impl Iterator<Item = PackageChange>) -> Vec<PackageChange> {
    type Versions = (Option<Box<str>>, Option<Box<str>>);
    let mut by_package: BTreeMap<(Box<str>, Box<str>), Versions> = BTreeMap::new();
    for change in changes {
        by_package
            .entry((change.package, change.architecture))
            .and_modify(|(_, to)| *to = change.to.clone())
            .or_insert((change.from, change.to));
    }
    by_package
        .into_iter()
        .filter(|(_, (from, to))| from != to || from.is_some())
        .map(|((package, architecture), (from, to))| PackageChange {
            package,
            architecture,
            from,
            to,
        })
        .collect()
}

/// The latest transactions, within the limits.
fn cut(mut transactions: Vec<Transaction>) -> Vec<Transaction> {
    let surplus = transactions.len().saturating_sub(TRANSACTIONS);
    transactions.drain(..surplus);
    let mut room = CHANGES;
    for transaction in transactions.iter_mut().rev() {
        let kept = transaction.changes.len().min(room);
        let omitted = transaction.changes.len() - kept;
        transaction.changes.truncate(kept);
        transaction.omitted = u32::try_from(omitted).unwrap_or(u32::MAX);
        room -= kept;
    }
    transactions
}

#[cfg(test)]
mod tests;
