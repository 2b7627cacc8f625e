//! Which of a host's packages a verified source answers for, and whether the host may be called up to date. Unknown is
//! never clean: a package or a source that nobody can speak for is a hole, and a host with a hole is never up to date.

use super::verdict::Verdict;
use crate::catalog::update::Classification;
use crate::host::inventory::InstalledPackage;

/// The number of a source among those that the host is configured to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceNo(pub u16);

/// One configured source, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// How it is called in output, such as `archive.example bookworm-security`.
    pub name: String,
    /// What became of it.
    pub state: SourceState,
}

/// What became of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Its signature is good and it is not expired.
    Verified {
        /// How many listings it gave.
        listings: usize,
    },
    /// Its signature is good, but it is too old to say that nothing newer exists. Its findings count, its silence does
    /// not.
    Stale {
        /// How many listings it gave.
        listings: usize,
        /// Since when, and why that is too old.
        why: String,
    },
    /// It is not believed: no known key, expired, revoked, tampered with.
    Refused {
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing to read: never fetched, unreachable, an index gone.
    ListMissing {
        /// What is missing.
        why: String,
    },
}

impl SourceState {
    /// Why its silence proves nothing; absent for a verified source.
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Verified { .. } => None,
            Self::Stale { why, .. } | Self::Refused { why } | Self::ListMissing { why } => Some(why),
        }
    }
}

/// One package and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Assessed<'a> {
    /// The package.
    pub package: &'a InstalledPackage,
    /// The verdict from verified sources.
    pub verdict: &'a Verdict<'a>,
    /// A source that is not believed but whose lists name the package: the likely home of a package that nobody else
    /// lists.
    pub named_by: Option<SourceNo>,
}

/// Something that nobody can speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hole {
    /// A part of the host's own files that could not be read or followed, so that the answer may be another.
    Host {
        /// What is wrong.
        why: String,
    },
    /// The host names no package sources at all.
    NoSources,
    /// The host reports no installed package, which no host is without.
    NoPackages,
    /// A source that is not verified or too old: it may have updates for any package.
    Source {
        /// The source.
        source: SourceNo,
        /// Why it cannot speak.
        why: String,
    },
    /// A package that no verified source lists.
    Package {
        /// Its name.
        name: Box<str>,
        /// Its architecture.
        architecture: Box<str>,
        /// Its installed version.
        version: Box<str>,
        /// Why nobody answers for it.
        why: Unanswered,
    },
}

/// Why nobody answers for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It is named by a source that is not believed.
    NamedBy(SourceNo),
    /// It may be in a source that cannot be read.
    PerhapsIn(Vec<SourceNo>),
    /// All sources are verified and none lists it: installed from a file, or no longer published.
    Nowhere,
    /// Sources list it, but only older versions than the installed one: where that came from is not configured, so
    /// nobody would say that it is outdated.
    OnlyOlder {
        /// The newest version that is listed.
        newest: String,
    },
}

/// What is known and not known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What nobody can speak for: sources first, then packages, in the order given.
    pub holes: Vec<Hole>,
    /// Packages that a verified source answers for.
    pub answered: usize,
    /// Packages with a missing update.
    pub missing: usize,
    /// Those of them whose update is a security update.
    pub missing_security: usize,
    /// Packages that are listed, but only in versions that the host's pins do not let it take.
    pub pinned_away: usize,
}

/// Whether a host has what it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStanding {
    /// Every package is answered for, every source is verified, nothing is missing.
    UpToDate,
    /// Updates are missing; there may be more than these where there are holes.
    UpdatesMissing {
        /// Packages with a missing update.
        packages: usize,
        /// Those with a missing security update.
        security: usize,
        /// What nobody can speak for.
        holes: usize,
    },
    /// Nothing is known to be missing, but something is not known.
    Unknown {
        /// What nobody can speak for; never 0.
        holes: usize,
    },
}

/// Finds the holes of a host.
pub fn coverage<'a>(sources: &[SourceReport], packages: impl IntoIterator<Item = Assessed<'a>>) -> Coverage {
    let mut coverage = Coverage::default();
    if sources.is_empty() {
        coverage.holes.push(Hole::NoSources);
    }
    for (number, report) in (0..).map(SourceNo).zip(sources) {
        if let Some(why) = report.state.doubt() {
            coverage.holes.push(Hole::Source {
                source: number,
                why: why.to_owned(),
            });
        }
    }
    let unread: Vec<SourceNo> = (0..)
        .map(SourceNo)
        .zip(sources)
        .filter(|(_, report)| {
            matches!(
                report.state,
                SourceState::Refused { .. } | SourceState::ListMissing { .. }
            )
        })
        .map(|(number, _)| number)
        .collect();
    let mut seen = 0_usize;
    for assessed in packages {
        seen += 1;
        coverage.count(&assessed, &unread);
    }
    if seen == 0 {
        coverage.holes.push(Hole::NoPackages);
    }
    coverage
}

impl Coverage {
    /// The same with what of the host itself could not be read or followed.
    pub fn with_doubts(mut self, doubts: impl IntoIterator<Item = String>) -> Self {
        self.holes
            .extend(doubts.into_iter().map(|why| Hole::Host { why }));
        self
    }

    /// The same where somebody besides the sources speaks for packages, by name and version: a server does so for its own
    /// agent.
    pub fn answered_elsewhere(mut self, is_answered: impl Fn(&str, &str) -> bool) -> Self {
        let before = self.holes.len();
        self.holes.retain(|hole| match hole {
            Hole::Package { name, version, .. } => !is_answered(name, version),
            Hole::Host { .. } | Hole::NoSources | Hole::NoPackages | Hole::Source { .. } => true,
        });
        self.answered += before - self.holes.len();
        self
    }

    /// The host's standing.
    pub fn standing(&self) -> HostStanding {
        let holes = self.holes.len();
        match (self.missing, holes) {
            (0, 0) => HostStanding::UpToDate,
            (0, holes) => HostStanding::Unknown { holes },
            (packages, holes) => HostStanding::UpdatesMissing {
                packages,
                security: self.missing_security,
                holes,
            },
        }
    }

    fn count(&mut self, assessed: &Assessed<'_>, unread: &[SourceNo]) {
        match assessed.verdict {
            Verdict::Unknown => {
                self.holes.push(unanswered(assessed, unread));
                return;
            }
            Verdict::Missing(missing) => {
                self.missing += 1;
                if missing.classification == Classification::Security {
                    self.missing_security += 1;
                }
            }
            Verdict::NoCandidate { .. } => self.pinned_away += 1,
            Verdict::Ahead { newest, .. } => {
                let newest = (*newest).to_owned();
                self.holes
                    .push(hole(assessed.package, Unanswered::OnlyOlder { newest }));
                return;
            }
            Verdict::Current => {}
        }
        self.answered += 1;
    }
}

fn unanswered(assessed: &Assessed<'_>, unread: &[SourceNo]) -> Hole {
    let why = match (assessed.named_by, unread) {
        (Some(source), _) => Unanswered::NamedBy(source),
        (None, []) => Unanswered::Nowhere,
        (None, unread) => Unanswered::PerhapsIn(unread.to_vec()),
    };
    hole(assessed.package, why)
}

fn hole(package: &InstalledPackage, why: Unanswered) -> Hole {
    Hole::Package {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        version: package.version.clone(),
        why,
    }
}
