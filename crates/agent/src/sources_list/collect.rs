//! Joins the entries of one release. apt fetches each release file once, in the order in which releases are first
//! named; all that later entries say about the same release must agree with the first.

use super::options::Options;
use super::{Context, ENTRIES, Entry};
use crate::problem::{Effect, Problem};
use domain::host::address::{list_file_name, release_uri, without_login};
use domain::host::channels::{ByHash, SignedBy, Stanza, Trust};
use std::collections::{HashMap, HashSet};

/// The releases so far, in apt's order.
#[derive(Default)]
pub(super) struct Collector {
    releases: Vec<Release>,
    numbers: HashMap<String, usize>,
    entries: usize,
}

/// A suite of an address, with all entries that name it.
struct Release {
    uri: String,
    suite: String,
    said: Said,
    listings: HashSet<(String, String)>,
    parts: Vec<Part>,
}

/// What entries say about the release as a whole.
#[derive(Clone, PartialEq, Eq)]
struct Said {
    weakenings: [bool; 3],
    inrelease_path: Option<String>,
    trust: Trust,
    check_valid_until: Option<bool>,
    check_date: Option<bool>,
    valid_until_min: Option<i64>,
    valid_until_max: Option<i64>,
    date_max_future: Option<i64>,
    signed_by: Option<SignedBy>,
}

/// Components and architectures that one entry adds to a release.
#[derive(PartialEq, Eq)]
struct Part {
    file: String,
    line: u32,
    components: Vec<String>,
    architectures: Vec<String>,
    by_hash: Option<ByHash>,
}

impl Collector {
    /// Adds an entry, unless it contradicts an earlier one of the same release.
    pub(super) fn add(&mut self, entry: Entry, context: &Context<'_>, problems: &mut Vec<Problem>) {
        let (file, line) = (entry.file.clone(), entry.line);
        let mut report = |effect, what: String| problems.push(Problem::new(&file, line, effect, what));
        self.entries += 1;
        if self.entries > ENTRIES {
            if self.entries == ENTRIES + 1 {
                report(
                    Effect::Skipped,
                    format!("more than {ENTRIES} sources; this one and the rest are left out"),
                );
            }
            return;
        }
        note(&entry.options, &mut report);
        let said = match Said::by(&entry.options, context) {
            Ok(said) => said,
            Err(what) => return report(Effect::AptRefuses, what),
        };
        let release = self.release(&entry, &said);
        if release.is_flat() != entry.is_flat() {
            let what = format!(
                "{} {}: its release file has the name of another source's, which {} components; remove one of them",
                without_login(&entry.uri),
                entry.suite,
                if release.is_flat() { "has no" } else { "has" },
            );
            return report(Effect::Skipped, what);
        }
        if let Err(option) = release.agree(said, &mut report) {
            let what = format!(
                "{option} of {} {} differs from what an earlier entry says; make them alike",
                without_login(&entry.uri),
                entry.suite
            );
            return report(Effect::AptRefuses, what);
        }
        match entry.options.architectures(context.architectures) {
            Err(error) => report(Effect::Skipped, error.to_string()),
            Ok(_) if !entry.options.wants_packages(context) => {
                let what = format!(
                    "{} {}: apt fetches no package index for it",
                    without_login(&entry.uri),
                    entry.suite
                );
                report(Effect::Noted, what);
            }
            Ok(architectures) => release.add_part(entry, architectures),
        }
    }

    fn release(&mut self, entry: &Entry, said: &Said) -> &mut Release {
        // The scheme and the user do not count: apt would keep both under one name.
        let place = release_uri(&entry.uri, &entry.suite);
        let releases = &mut self.releases;
        let number = *self.numbers.entry(list_file_name(&place)).or_insert_with(|| {
            releases.push(Release {
                uri: entry.uri.clone(),
                suite: entry.suite.clone(),
                said: said.clone(),
                listings: HashSet::new(),
                parts: Vec::new(),
            });
            releases.len() - 1
        });
        &mut self.releases[number]
    }

    pub(super) fn into_stanzas(self) -> Vec<Stanza> {
        self.releases
            .into_iter()
            .flat_map(Release::into_stanzas)
            .collect()
    }
}

/// What is worth knowing about an entry's options, though it is used.
fn note(options: &Options, report: &mut impl FnMut(Effect, String)) {
    for name in options.unclear_checks() {
        report(
            Effect::Noted,
            format!("{name} is neither yes nor no; the check stays on, apt would switch it off"),
        );
    }
    if options.snapshot().is_some() {
        let what = "the option snapshot is not supported: the archive's current state is assessed";
        report(Effect::Noted, what.to_owned());
    }
    if options.refuses_all() {
        let what = "arch-=all: packages for all architectures are assessed from this source all the same";
        report(Effect::Noted, what.to_owned());
    }
}

impl Said {
    fn by(options: &Options, context: &Context<'_>) -> Result<Self, String> {
        Ok(Self {
            weakenings: options.weakenings(context.conf),
            inrelease_path: options.inrelease_path().map(str::to_owned),
            trust: options.trust(),
            check_valid_until: options.check("check-valid-until"),
            check_date: options.check("check-date"),
            valid_until_min: options.seconds("valid-until-min"),
            valid_until_max: options.seconds("valid-until-max"),
            date_max_future: options.seconds("date-max-future"),
            signed_by: options.signed_by().map_err(|error| error.to_string())?,
        })
    }
}

impl Release {
    /// Takes what a later entry says into the release, or names the option that contradicts. As in apt, times and
    /// keys may be said by a later entry for the first time; the rest must be said alike each time.
    fn agree(&mut self, said: Said, report: &mut impl FnMut(Effect, String)) -> Result<(), &'static str> {
        let known = &mut self.said;
        let alike = [
            (
                known.weakenings == said.weakenings,
                "allow-insecure, allow-weak or allow-downgrade-to-insecure",
            ),
            (known.inrelease_path == said.inrelease_path, "inrelease-path"),
            (known.trust == said.trust, "Trusted"),
            (
                known.check_valid_until == said.check_valid_until,
                "Check-Valid-Until",
            ),
            (known.check_date == said.check_date, "Check-Date"),
            (
                agrees(&known.valid_until_max, &said.valid_until_max),
                "Valid-Until-Max",
            ),
            (
                agrees(&known.valid_until_min, &said.valid_until_min),
                "Valid-Until-Min",
            ),
            (
                agrees(&known.date_max_future, &said.date_max_future),
                "Date-Max-Future",
            ),
            (
                agrees(&known.signed_by, &said.signed_by) || said.signed_by.is_none(),
                "Signed-By",
            ),
        ];
        if let Some((_, option)) = alike.iter().find(|(is_alike, _)| !is_alike) {
            return Err(option);
        }
        if known.signed_by.is_some() && said.signed_by.is_none() {
            let what = "the same source has Signed-By in an earlier entry; those keys count here too, and apt \
                        before 3.0 refuses to work until both say the same";
            report(Effect::Noted, what.to_owned());
        }
        known.valid_until_max = known.valid_until_max.or(said.valid_until_max);
        known.valid_until_min = known.valid_until_min.or(said.valid_until_min);
        known.date_max_future = known.date_max_future.or(said.date_max_future);
        known.signed_by = known.signed_by.take().or(said.signed_by);
        Ok(())
    }

    fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// Adds the indexes that no earlier entry has.
    fn add_part(&mut self, entry: Entry, architectures: Vec<String>) {
        // `""` is a component for apt, and a flat repository has none.
        let is_flat = entry.is_flat();
        let mut new = architectures;
        if is_flat {
            // One index holds all architectures.
            if !self.listings.insert((String::new(), String::new())) {
                return;
            }
        } else {
            let listings = &mut self.listings;
            new.retain(|architecture| listings.insert((entry.component.clone(), architecture.clone())));
        }
        if new.is_empty() {
            return;
        }
        let components = if is_flat {
            Vec::new()
        } else {
            vec![entry.component]
        };
        let part = Part {
            file: entry.file,
            line: entry.line,
            components,
            architectures: new,
            by_hash: entry.options.by_hash(),
        };
        match self.parts.last_mut().filter(|last| last.continues(&part)) {
            Some(last) => last.components.extend(part.components),
            None => self.parts.push(part),
        }
    }

    fn into_stanzas(self) -> impl Iterator<Item = Stanza> {
        let Self {
            uri,
            suite,
            said,
            parts,
            ..
        } = self;
        parts.into_iter().map(move |part| Stanza {
            file: part.file,
            line: part.line,
            uri: uri.clone(),
            suite: suite.clone(),
            components: part.components,
            architectures: part.architectures,
            signed_by: said.signed_by.clone().unwrap_or(SignedBy::Common),
            trust: said.trust,
            check_valid_until: said.check_valid_until,
            valid_until_min_seconds: said.valid_until_min,
            valid_until_max_seconds: said.valid_until_max,
            check_date: said.check_date,
            date_max_future_seconds: said.date_max_future,
            weakened: said.weakenings.contains(&true),
            by_hash: part.by_hash,
        })
    }
}

impl Part {
    /// Whether the other is the next component of the same entry.
    fn continues(&self, other: &Self) -> bool {
        (&self.file, self.line, &self.architectures, self.by_hash)
            == (&other.file, other.line, &other.architectures, other.by_hash)
            && !other.components.is_empty()
    }
}

/// Whether a later value is the known one, or the first.
fn agrees<T: PartialEq>(known: &Option<T>, said: &Option<T>) -> bool {
    known.is_none() || known == said
}
