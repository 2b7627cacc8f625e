//! The way back: where the versions stand that a change replaces, in the lists in force or in earlier ones that are still here,
//! and what going back to them would take.

use super::places::{Chosen, PlaceNo, Places};
use super::{Below, NeededFile, Unresolved, WayBack, at_hand};
use crate::Context;
use crate::assess::moment::Moment;
use content::Store;
use domain::catalog::update::UpdateId;
use domain::id::HostId;
use domain::order::OrderedPackage;
use domain::version::deb;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use store::Scope;

/// The updates that the versions belong to which these packages replaced on a host: what a change that takes them back is
/// approved with, and [`super::resolve`] is asked for.
///
/// # Errors
/// [`Unresolved::Unknown`] where one of them is listed nowhere any more.
pub async fn former_updates(
    context: &Context,
    scope: &Scope,
    host: HostId,
    packages: &[OrderedPackage],
) -> Result<Vec<UpdateId>, Unresolved> {
    let (moment, past) = at_hand(context, scope, host).await?;
    let (content, packages) = (context.content.clone(), packages.to_vec());
    let working = tokio::task::spawn_blocking(move || {
        let places = Places::of(&moment, past, &content);
        let mut updates = BTreeSet::new();
        for package in &packages {
            let Some(from) = &package.from else { continue };
            let (name, architecture) = (&package.name, &package.architecture);
            let (_, update) = find(&places, name, architecture, from).ok_or_else(|| {
                Unresolved::Unknown(format!(
                    "no list that is still here has {name}:{architecture} {from}: there is no way back to it"
                ))
            })?;
            updates.insert(update);
        }
        Ok(updates.into_iter().collect())
    });
    working.await.expect("looking at a host does not panic")
}

/// A version of a package, and the update that it belongs to.
fn find(places: &Places, name: &str, architecture: &str, version: &str) -> Option<(Chosen, UpdateId)> {
    places.all().find_map(|(number, place)| {
        let found = place.offers(name).find(|offer| {
            offer.version == version
                && (offer.architecture == architecture || [offer.architecture, architecture].contains(&"all"))
        })?;
        let chosen = Chosen {
            place: number,
            name: name.into(),
            architecture: found.architecture.into(),
            version: version.into(),
            from: None,
            sha256: found.sha256?,
            multi_arch: found.fingerprint.multi_arch,
        };
        Some((chosen, places.update_at(number, &found)))
    })
}

/// What of these updates the host has in a newer version.
pub(super) fn back(
    moment: &Moment,
    places: &Places,
    updates: &BTreeSet<UpdateId>,
) -> Result<Vec<Chosen>, Unresolved> {
    let mut chosen = Vec::new();
    for package in &moment.inventory.packages {
        let mut best: Option<Chosen> = None;
        for (number, place) in places.all() {
            for offer in place.offers(&package.name) {
                let is_same = [offer.architecture, "all"].contains(&&*package.architecture)
                    || offer.architecture == "all";
                let is_older = deb::compare(offer.version, &package.version) == Ordering::Less;
                let is_better = (best.as_ref())
                    .is_none_or(|best| deb::compare(offer.version, &best.version) == Ordering::Greater);
                let (true, true, true, Some(sha256)) = (is_same, is_older, is_better, offer.sha256) else {
                    continue;
                };
                if updates.contains(&places.update_at(number, &offer)) {
                    best = Some(Chosen {
                        place: number,
                        name: package.name.clone(),
                        architecture: offer.architecture.into(),
                        version: offer.version.into(),
                        from: Some(package.version.clone()),
                        sha256,
                        multi_arch: offer.fingerprint.multi_arch,
                    });
                }
            }
        }
        chosen.extend(best);
    }
    if chosen.is_empty() {
        return Err(Unresolved::Nothing);
    }
    Ok(chosen)
}

/// Whether what is replaced can be had again, and the files that it takes. Only what is here, or listed now, counts: what a
/// vendor lists no more may be gone any day.
pub(super) fn way_back(
    places: &Places,
    chosen: &[Chosen],
    content: &Store,
) -> Result<(WayBack, Vec<NeededFile>), Unresolved> {
    let (mut without, mut files) = (Vec::new(), Vec::new());
    for one in chosen {
        let Some(from) = &one.from else { continue };
        let found = find(places, &one.name, &one.architecture, from);
        let file = match &found {
            Some((former, _)) => package_file(places, former).ok(),
            None => None,
        };
        let can_be_had = match (&file, &found) {
            (Some(file), Some((former, _))) => {
                content.contains(&file.sha256) || places.is_current(former.place)
            }
            _ => false,
        };
        files.extend(file);
        if !can_be_had {
            without.push(format!("{}:{} {from}", one.name, one.architecture));
        }
    }
    let way_back = match without.is_empty() {
        true => WayBack::Yes,
        false => WayBack::No { packages: without },
    };
    Ok((way_back, files))
}

/// The file of a package.
pub(super) fn package_file(places: &Places, chosen: &Chosen) -> Result<NeededFile, Unresolved> {
    let (place, detail) = (places.get(chosen.place), places.detail(chosen)?);
    if detail.place.is_empty() {
        let (name, version) = (&chosen.name, &chosen.version);
        return Err(Unresolved::Unknown(format!(
            "the package list of its source does not say where the file of {name} {version} is"
        )));
    }
    Ok(NeededFile {
        sha256: detail.sha256,
        size_bytes: detail.size_bytes,
        source: place.id,
        path: detail.place.to_owned(),
        below: Below::Archive,
        release: place.kept.release_digest,
    })
}

/// The number of a place as a key, for grouping.
pub(super) fn of_place(places: &Places, number: PlaceNo) -> (usize, domain::digest::Sha256Digest) {
    let place = places.get(number);
    (place.source, place.kept.release_digest)
}
