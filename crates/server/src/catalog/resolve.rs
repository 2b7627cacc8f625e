//! What a change would install on one host, exactly: of the approved updates the packages that the host has in an older
//! version, what they newly need, where their files are, and whether there is a way back. From what the host last reported
//! and the snapshots in force; nothing is fetched here, and nothing kept.

mod former;
mod needs;
mod places;
mod together;

pub use former::former_updates;

use crate::Context;
use crate::assess::load::LoadError;
use crate::assess::moment::{Known, Moment, known_at};
use crate::catalog::row;
use domain::assess::overlay::{State, overlay};
use domain::assess::verdict::{Candidate, Digests, Verdict, verdict};
use domain::catalog::update::UpdateId;
use domain::digest::Sha256Digest;
use domain::host::inventory::InstalledPackage;
use domain::id::{HostId, SourceId};
use domain::order::{Direction, OrderedPackage, OrderedSnapshot, Removal};
use domain::version::deb;
use jiff::Timestamp;
use places::{Chosen, Places};
use sources::apt::details::DetailsError;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use store::Scope;
use store::update::{UpdateIdentity, UpdateState};

/// What a change would take on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The snapshots that the packages come from, with the index files that the host's package manager needs of them.
    pub snapshots: Vec<OrderedSnapshot>,
    /// What will be installed, by name and architecture.
    pub packages: Vec<OrderedPackage>,
    /// What will be removed: nothing, so far.
    pub removals: Vec<Removal>,
    /// Every file that the host needs for it, by digest, each once.
    pub files: Vec<NeededFile>,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// Whether what is replaced can be had again.
    pub way_back: WayBack,
    /// The files of what is replaced that can still be had and are not here yet: whoever wants a way back fetches them
    /// beside the others.
    pub former: Vec<NeededFile>,
}

/// A file that a host needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededFile {
    /// SHA-256 of the file, as its publisher signed it.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The source that publishes it.
    pub source: SourceId,
    /// Where it stands, below what [`NeededFile::below`] says.
    pub path: String,
    /// What the path goes on from.
    pub below: Below,
    /// The release file that vouches for it.
    pub release: Sha256Digest,
}

impl NeededFile {
    /// Whether it is the file of a package, which is unpacked on hosts.
    pub fn is_package(&self) -> bool {
        self.below == Below::Archive
    }
}

/// What the path of a file goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Below {
    /// The address of the archive: package files.
    Archive,
    /// The folder of the release file: indexes, and that file itself.
    Release,
}

/// Whether what is replaced can be had again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayBack {
    /// All of it.
    Yes,
    /// Not these packages.
    No {
        /// In words: `openssl:amd64 3.0.17-1~deb12u2`.
        packages: Vec<String>,
    },
}

/// Why a change installs nothing on a host now.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// It is all there, or never was.
    #[error("there is nothing to install")]
    Nothing,
    /// Nobody can say.
    #[error("{0}")]
    Unknown(String),
    /// Something besides was not approved.
    #[error("{}", in_words(.0))]
    NeedsAlso(Vec<NeedsAlso>),
    /// It is not published, or not any more, for what the host has.
    #[error("it is not published for this host's architecture")]
    NotBuilt,
    /// The server could not look; later it may.
    #[error("look at what the host has")]
    Failed(#[source] LoadError),
}

/// A package that is needed besides what was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsAlso {
    /// What needs it.
    pub package: String,
    /// What is needed, as it was written.
    pub needs: String,
    /// The update that has it.
    pub update: UpdateId,
}

fn in_words(also: &[NeedsAlso]) -> String {
    let words = also.iter().map(|one| {
        let (source, version) = (&one.update.source, &one.update.source_version);
        format!(
            "{} needs {}, which is of {source} {version}",
            one.package, one.needs
        )
    });
    words.collect::<Vec<_>>().join("; ")
}

impl From<LoadError> for Unresolved {
    fn from(error: LoadError) -> Self {
        Self::Failed(error)
    }
}

impl From<store::Error> for Unresolved {
    fn from(error: store::Error) -> Self {
        Self::Failed(LoadError::Store(error))
    }
}

impl From<DetailsError> for Unresolved {
    fn from(error: DetailsError) -> Self {
        let why = crate::reconcile::chain(&error);
        Self::Unknown(format!(
            "a package list of the host's sources cannot be read: {why}"
        ))
    }
}

/// Finds out what these updates would take on a host: forwards, what it has of them in older versions; back, what it has of
/// them in newer ones.
///
/// # Errors
/// [`Unresolved`].
pub async fn resolve(
    context: &Context,
    scope: &Scope,
    host: HostId,
    updates: &[UpdateId],
    direction: Direction,
) -> Result<Resolved, Unresolved> {
    let (moment, past) = at_hand(context, scope, host).await?;
    let content = context.content.clone();
    let updates: BTreeSet<UpdateId> = updates.iter().cloned().collect();
    let working = tokio::task::spawn_blocking(move || {
        let places = Places::of(&moment, past, &content);
        let mut chosen = match direction {
            Direction::Forward => forward(&moment, &places, &updates)?,
            Direction::BackOut => former::back(&moment, &places, &updates)?,
        };
        is_whole(&moment, &chosen)?;
        needs::add(&moment, &places, &updates, &mut chosen)?;
        together::put(&moment, &places, chosen, &content)
    });
    working.await.expect("looking at a host does not panic")
}

/// What a host last reported, and the earlier snapshots of its sources.
async fn at_hand(
    context: &Context,
    scope: &Scope,
    host: HostId,
) -> Result<(Moment, Vec<places::Past>), Unresolved> {
    let unknown = |why: &str| Err(Unresolved::Unknown(why.to_owned()));
    let moment = match known_at(context, *scope, host, None).await? {
        Known::NoHost => return unknown("there is no such host"),
        Known::Nothing => return unknown("the host has not reported yet what it has"),
        Known::Moment(moment) => *moment,
    };
    let (scope, sources) = (*scope, places::sources_of(&moment));
    let rows = context.db.read(move |view| {
        let mut rows = Vec::new();
        for source in sources {
            rows.extend(store::snapshot::of_source(
                view,
                &scope,
                source,
                None,
                places::MOST_PAST,
            )?);
        }
        Ok::<_, store::Error>(rows)
    });
    let past = places::past(&moment, rows.await?);
    Ok((moment, past))
}

/// The packages of these updates that the verdict gives as candidates for what the host has, as if nothing newer than they
/// were published: an update that was approved stays the one that is installed when the next one comes.
fn forward(
    moment: &Moment,
    places: &Places,
    updates: &BTreeSet<UpdateId>,
) -> Result<Vec<Chosen>, Unresolved> {
    let (subject, channels) = (moment.subject(), &moment.channels);
    let policy = channels.policy(subject.side().rules).on(subject.side());
    let sources: BTreeSet<&str> = updates.iter().map(|update| &*update.source).collect();
    let (mut chosen, mut held, mut offers) = (Vec::new(), Vec::new(), Vec::new());
    for package in &moment.inventory.packages {
        channels.listings.offers(&package.name, &mut offers);
        let approved = (offers.iter())
            .filter(|offer| sources.contains(offer.source) && updates.contains(&places.update_of(offer)));
        let Some(newest) = approved
            .map(|offer| offer.version)
            .max_by(|one, other| deb::compare(one, other))
        else {
            continue;
        };
        offers.retain(|offer| deb::compare(offer.version, newest) != Ordering::Greater);
        let Verdict::Missing(missing) = verdict(&policy, package, &offers) else {
            continue;
        };
        if !updates.contains(&channels.update_of(&missing)) {
            continue;
        }
        let settings = &channels.host.config.settings;
        match overlay(&missing, package, settings, policy.host(), None) {
            State::Held => {
                let name = &package.name;
                held.push(format!(
                    "{name} is on hold on the host; `apt-mark unhold {name}` there ends it"
                ));
            }
            State::OnHold(rule) => {
                held.push(format!("{} is kept away by the rule {}", package.name, rule.0));
            }
            // Whoever approves an update by name wants it now, as apt does where a version is named.
            State::Missing | State::Phased(_) | State::KeptBack(_) => {
                chosen.push(candidate(places, package, &missing.candidate)?);
            }
        }
    }
    match (chosen.is_empty(), held.is_empty()) {
        (false, _) => Ok(chosen),
        (true, false) => Err(Unresolved::Unknown(held.join("; "))),
        (true, true) => Err(why_nothing(moment, places, updates)),
    }
}

fn candidate(
    places: &Places,
    package: &InstalledPackage,
    candidate: &Candidate<'_>,
) -> Result<Chosen, Unresolved> {
    let (Some(sha256), Digests::Agree) = (candidate.sha256, candidate.digests) else {
        return Err(Unresolved::Unknown(format!(
            "the sources do not agree about the file of {} {}",
            package.name, candidate.version
        )));
    };
    Ok(Chosen {
        place: places.listed(candidate.listings[0]),
        name: package.name.clone(),
        architecture: candidate.architecture.into(),
        version: candidate.version.into(),
        from: Some(package.version.clone()),
        sha256,
        multi_arch: candidate.fingerprint.multi_arch,
    })
}

/// Why none of these updates has a candidate for the host: it has nothing older of them, nobody answers for what it has,
/// another version took their place, or they are not published for it.
fn why_nothing(moment: &Moment, places: &Places, updates: &BTreeSet<UpdateId>) -> Unresolved {
    let mut is_older = false;
    for package in &moment.inventory.packages {
        let Some(update) = updates.iter().find(|update| {
            *update.source == *package.source
                && deb::compare(&package.source_version, &update.source_version) == Ordering::Less
        }) else {
            continue;
        };
        let mut offers = Vec::new();
        moment.channels.listings.offers(&package.name, &mut offers);
        if offers.is_empty() {
            let (name, version) = (&package.name, &package.version);
            return Unresolved::Unknown(format!("no verified source of the host lists {name} {version}"));
        }
        is_older = true;
        let replacing = offers.iter().find(|offer| {
            offer.source == update.source
                && deb::compare(offer.source_version, &update.source_version) == Ordering::Greater
        });
        let is_listed = offers.iter().any(|offer| places.update_of(offer) == *update);
        if let (Some(newer), false) = (replacing, is_listed) {
            return Unresolved::Unknown(format!(
                "{} {} was replaced by {}: approve that",
                update.source, update.source_version, newer.source_version
            ));
        }
    }
    if is_older {
        Unresolved::NotBuilt
    } else {
        Unresolved::Nothing
    }
}

/// All installed architectures of a `Multi-Arch: same` package move together.
fn is_whole(moment: &Moment, chosen: &[Chosen]) -> Result<(), Unresolved> {
    const SAME: u8 = 1;
    for one in chosen.iter().filter(|one| one.multi_arch == SAME) {
        let others = moment.inventory.packages.iter().filter(|package| {
            package.name == one.name
                && package.architecture != one.architecture
                && package.fingerprint.multi_arch == SAME
                && package.version != one.version
        });
        for other in others {
            let moves = chosen.iter().any(|chosen| {
                chosen.name == other.name
                    && chosen.architecture == other.architecture
                    && chosen.version == one.version
            });
            if !moves {
                return Err(Unresolved::NotBuilt);
            }
        }
    }
    Ok(())
}

/// Those of these updates that nothing more is begun of, and since when: their source dropped or replaced them, or showed
/// them with two contents.
///
/// # Errors
/// Of the database.
pub async fn retracted(
    context: &Context,
    scope: &Scope,
    updates: &[UpdateId],
) -> Result<Vec<(UpdateId, Timestamp)>, store::Error> {
    let (scope, updates) = (*scope, updates.to_vec());
    let read = context.db.read(move |view| {
        let mut retracted = Vec::new();
        for update in updates {
            let identity = UpdateIdentity {
                origin: update.publisher.origin.clone(),
                signing_keys: row::json(&update.publisher.keys),
                source: update.source.clone(),
                source_version: update.source_version.clone(),
                build: update.build.clone(),
            };
            let rows = store::update::by_identity(view, &scope, &identity)?;
            let is_offered = rows.iter().any(|row| row.state == UpdateState::Listed);
            let is_quarantined = rows.iter().any(|row| row.state == UpdateState::Quarantined);
            if let (Some(first), true) = (rows.first(), is_quarantined || !is_offered) {
                let since = rows.iter().filter_map(|row| row.withdrawn_at).max();
                retracted.push((update, since.unwrap_or(first.first_seen_at)));
            }
        }
        Ok(retracted)
    });
    read.await
}
