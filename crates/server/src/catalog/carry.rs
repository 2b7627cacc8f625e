//! Sources that only hosts reach: their agents carry the files that the archive signed, and they are verified here as if
//! they had been fetched. What an agent carries is content, named in its check-ins; this says which file is which.

use super::fetching::{Place, carried_uri};
use super::sync::CatalogError;
use crate::context::Context;
use domain::digest::Sha256Digest;
use domain::host::address::release_uri;
use protocol::message::check_in::{CarriedFile, CarriedSource};
use std::collections::{BTreeMap, HashMap};
use store::source::{self, Source, SourceKind, SourceState};
use store::{Scope, Whole, server_setting};

/// Most files that are remembered of one source.
const MOST_FILES: usize = 256;

/// The sources that agents of this tenant should carry.
pub async fn to_carry(context: &Context, scope: Scope) -> Result<Vec<CarriedSource>, store::Error> {
    let adopted = context
        .db
        .read(move |view| source::all(view, &scope, Some(SourceState::Adopted)))
        .await?;
    let carried = adopted.iter().filter(|source| source.kind == SourceKind::Carried);
    Ok(carried
        .flat_map(places_of)
        .map(|place| CarriedSource {
            uri: place.uri,
            suite: place.suite,
        })
        .collect())
}

fn places_of(source: &Source) -> Vec<Place> {
    let addresses: Result<super::row::AddressesJson, _> =
        super::row::parse("the addresses", &source.addresses);
    addresses
        .map(|addresses| addresses.places.into_iter().map(Place::from).collect())
        .unwrap_or_default()
}

/// The name of the setting that remembers what was carried of a place.
fn setting(place: &Place) -> String {
    let digest = content::sha256(format!("{}\n{}", place.uri, place.suite).as_bytes());
    format!("carried.{digest}")
}

/// An agent has carried these files here, and their bytes are content by now. What they are worth, the next sync decides.
/// Files of sources that nobody asked to carry are passed over.
pub async fn take(context: &Context, scope: Scope, files: &[CarriedFile]) -> Result<(), store::Error> {
    let asked = to_carry(context, scope).await?;
    let mut by_place: BTreeMap<&CarriedSource, BTreeMap<String, String>> = BTreeMap::new();
    for file in files.iter().filter(|file| asked.contains(&file.source)) {
        let known = by_place.entry(&file.source).or_default();
        if known.len() < MOST_FILES && context.content.contains(&file.digest) {
            known.insert(file.path.clone(), file.digest.to_string());
        }
    }
    let now = context.clock.now();
    for (source, files) in by_place {
        let name = setting(&Place {
            uri: source.uri.clone(),
            suite: source.suite.clone(),
        });
        let text = super::row::json(&files);
        context
            .db
            .write(move |tx| {
                let whole = Whole::server();
                let version = server_setting::get(tx, &whole, &name)?.map_or(0, |setting| setting.version);
                // Of two hosts that carry one source at one moment, either will do.
                let _either = server_setting::set(tx, &whole, &name, version, &text, now)?;
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// The files that agents carried of a source, by the address that they stand under for a sync.
pub(super) async fn files_of(
    context: &Context,
    places: &[Place],
) -> Result<HashMap<String, Sha256Digest>, CatalogError> {
    let mut files = HashMap::new();
    for place in places {
        let name = setting(place);
        let kept = context
            .db
            .read(move |view| server_setting::get(view, &Whole::server(), &name))
            .await?;
        let Some(kept) = kept else { continue };
        let named: BTreeMap<String, String> = super::row::parse("carried files", &kept.value)?;
        let base = release_uri(&carried_uri(place), &place.suite);
        let base = base.strip_prefix("file:").unwrap_or(&base).to_owned();
        for (path, digest) in named {
            if let Ok(digest) = Sha256Digest::parse(digest.as_bytes()) {
                files.insert(format!("{base}{path}"), digest);
            }
        }
    }
    Ok(files)
}
