//! What the chosen packages need besides what the host has: a package of an approved update is added as new, one of another
//! update is named. Only what is needed to know that is looked at; whether the whole is sound, the host's package manager says.

use super::places::{Chosen, Places};
use super::{NeedsAlso, Unresolved};
use crate::assess::moment::Moment;
use domain::assess::relation::{Alternative, Present, Provision, groups, provisions};
use domain::catalog::update::UpdateId;
use domain::host::inventory::Selection;
use domain::version::deb;
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Packages that are added at most: no update needs as many.
const MOST_ADDED: usize = 1_000;

/// Adds what the chosen packages need of the approved updates.
///
/// # Errors
/// [`Unresolved::NeedsAlso`] where another update is needed, [`Unresolved::Unknown`] where nobody offers what is.
pub(super) fn add(
    moment: &Moment,
    places: &Places,
    updates: &BTreeSet<UpdateId>,
    chosen: &mut Vec<Chosen>,
) -> Result<(), Unresolved> {
    let (first, mut at, mut also) = (chosen.len(), 0, Vec::new());
    while at < chosen.len() {
        let so_far = chosen.clone();
        let host = After::of(moment, places, &so_far);
        for dependent in &so_far[at..] {
            for found in host.needs_of(dependent, updates)? {
                match found {
                    Ok(package) if chosen.contains(&package) => {}
                    Ok(package) => chosen.push(package),
                    Err(needed) => also.push(needed),
                }
            }
        }
        if chosen.len() > first + MOST_ADDED {
            return Err(Unresolved::Unknown(format!(
                "it needs more than {MOST_ADDED} packages besides"
            )));
        }
        at = so_far.len();
    }
    match also.is_empty() {
        true => Ok(()),
        false => Err(Unresolved::NeedsAlso(also)),
    }
}

fn shown(group: &[Alternative<'_>]) -> String {
    let one = |alternative: &Alternative<'_>| match alternative.bound {
        None => alternative.name.to_owned(),
        Some(bound) => format!("{} ({})", alternative.name, bound),
    };
    group.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// Where something that is missing was found.
enum Found {
    Approved(Chosen),
    Elsewhere(UpdateId),
    Nowhere,
}

/// What is provided under a name, in which version where it has one, and by whom.
type Provided<'a> = BTreeMap<String, Vec<(Option<String>, Present<'a>)>>;

/// The host as it would be afterwards.
struct After<'a> {
    moment: &'a Moment,
    places: &'a Places,
    native: &'a str,
    present: BTreeMap<&'a str, Vec<Present<'a>>>,
    provided: OnceCell<Provided<'a>>,
}

impl<'a> After<'a> {
    fn of(moment: &'a Moment, places: &'a Places, chosen: &'a [Chosen]) -> Self {
        let mut present: BTreeMap<&str, Vec<Present<'_>>> = BTreeMap::new();
        let mut replaced: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in chosen.iter().filter(|one| one.from.is_some()) {
            replaced.entry(&one.name).or_default().push(&one.architecture);
        }
        for package in &moment.inventory.packages {
            let by = replaced.get(&*package.name).map_or(&[][..], Vec::as_slice);
            let is_replaced =
                |by: &&str| **by == *package.architecture || [*by, &*package.architecture].contains(&"all");
            if !by.iter().any(is_replaced) {
                present.entry(&package.name).or_default().push(Present {
                    name: &package.name,
                    architecture: &package.architecture,
                    version: &package.version,
                    multi_arch: package.fingerprint.multi_arch,
                });
            }
        }
        for one in chosen {
            present.entry(&one.name).or_default().push(Present {
                name: &one.name,
                architecture: &one.architecture,
                version: &one.version,
                multi_arch: one.multi_arch,
            });
        }
        Self {
            moment,
            places,
            native: &moment.channels.host.config.native_architecture,
            present,
            provided: OnceCell::new(),
        }
    }

    /// What a package needs and would not find: a package to be added, or what is needed besides.
    fn needs_of(
        &self,
        dependent: &Chosen,
        updates: &BTreeSet<UpdateId>,
    ) -> Result<Vec<Result<Chosen, NeedsAlso>>, Unresolved> {
        let detail = self.places.detail(dependent)?;
        let mut needs = Vec::new();
        for field in [detail.pre_depends, detail.depends] {
            let groups = groups(field).map_err(|_unreadable| {
                let (name, version) = (&dependent.name, &dependent.version);
                Unresolved::Unknown(format!("what {name} {version} needs cannot be read"))
            })?;
            for group in groups.iter().filter(|group| !self.meets(group, dependent)) {
                match self.found(group, dependent, updates) {
                    Found::Approved(package) => needs.push(Ok(package)),
                    Found::Elsewhere(update) => needs.push(Err(NeedsAlso {
                        package: format!("{} {}", dependent.name, dependent.version),
                        needs: shown(group),
                        update,
                    })),
                    // A package that no source lists may provide it: the host's package manager knows.
                    Found::Nowhere if self.has_unlisted() => {}
                    Found::Nowhere => {
                        return Err(Unresolved::Unknown(format!(
                            "{} {} needs {}, which none of the host's sources offers",
                            dependent.name,
                            dependent.version,
                            shown(group)
                        )));
                    }
                }
            }
        }
        Ok(needs)
    }

    /// Whether one of the alternatives will be met.
    fn meets(&self, group: &[Alternative<'_>], dependent: &Chosen) -> bool {
        let by_name = |alternative: &Alternative<'_>| {
            let named = self.present.get(alternative.name).map_or(&[][..], Vec::as_slice);
            (named.iter()).any(|present| alternative.is_met_by(present, &dependent.architecture, self.native))
        };
        let by_provision = |alternative: &Alternative<'_>| {
            let provided = self.provided.get_or_init(|| self.provisions());
            let named = provided.get(alternative.name).map_or(&[][..], Vec::as_slice);
            named.iter().any(|(version, present)| {
                let provision = Provision {
                    name: alternative.name,
                    version: version.as_deref(),
                };
                alternative.is_met_by_provision(&provision, present, &dependent.architecture, self.native)
            })
        };
        group.iter().any(by_name) || group.iter().any(by_provision)
    }

    /// What all packages provide, by what the lists say of this version of each, or of another where it is not listed.
    fn provisions(&self) -> Provided<'a> {
        let mut provided = Provided::new();
        for present in self.present.values().flatten() {
            let text = (self.provides(present, |version| version == present.version))
                .or_else(|| self.provides(present, |_| true));
            // What cannot be read provides nothing.
            for one in text
                .map(|text| provisions(text).unwrap_or_default())
                .unwrap_or_default()
            {
                let entry = (one.version.map(str::to_owned), *present);
                provided.entry(one.name.to_owned()).or_default().push(entry);
            }
        }
        provided
    }

    fn provides(&self, present: &Present<'_>, is_version: impl Fn(&str) -> bool) -> Option<&'a str> {
        self.places.current().find_map(|(_, place)| {
            let details = self.places.details(place).ok()?;
            let found = details.find(present.name, |detail| {
                detail.architecture == present.architecture && is_version(detail.version)
            });
            found.map(|detail| detail.provides)
        })
    }

    /// Where the first alternative that can be had is to be had.
    fn found(&self, group: &[Alternative<'_>], dependent: &Chosen, updates: &BTreeSet<UpdateId>) -> Found {
        let mut elsewhere = None;
        for alternative in group {
            let mut best: Option<Chosen> = None;
            for (number, place) in self.places.current() {
                for offer in place.offers(alternative.name) {
                    let present = Present {
                        name: offer.name,
                        architecture: offer.architecture,
                        version: offer.version,
                        multi_arch: offer.fingerprint.multi_arch,
                    };
                    let (true, Some(sha256)) = (
                        alternative.is_met_by(&present, &dependent.architecture, self.native),
                        offer.sha256,
                    ) else {
                        continue;
                    };
                    let update = self.places.update_at(number, &offer);
                    if !updates.contains(&update) {
                        elsewhere.get_or_insert(update);
                        continue;
                    }
                    let is_better = (best.as_ref())
                        .is_none_or(|best| deb::compare(offer.version, &best.version) == Ordering::Greater);
                    if is_better {
                        best = Some(Chosen {
                            place: number,
                            name: offer.name.into(),
                            architecture: offer.architecture.into(),
                            version: offer.version.into(),
                            from: self.installed(offer.name, offer.architecture),
                            sha256,
                            multi_arch: offer.fingerprint.multi_arch,
                        });
                    }
                }
            }
            if let Some(best) = best {
                return Found::Approved(best);
            }
        }
        elsewhere.map_or(Found::Nowhere, Found::Elsewhere)
    }

    fn installed(&self, name: &str, architecture: &str) -> Option<Box<str>> {
        let packages = self.moment.inventory.packages.iter();
        let mut same = packages.filter(|package| {
            *package.name == *name
                && package.selection != Selection::Hold
                && (*package.architecture == *architecture
                    || [architecture, &*package.architecture].contains(&"all"))
        });
        same.next().map(|package| package.version.clone())
    }

    /// Whether the host has a package whose name no list has: nobody knows what that provides.
    fn has_unlisted(&self) -> bool {
        let is_listed = |name: &str| {
            self.places
                .current()
                .any(|(_, place)| place.offers(name).next().is_some())
        };
        (self.present.keys()).any(|name| !is_listed(name))
    }
}
