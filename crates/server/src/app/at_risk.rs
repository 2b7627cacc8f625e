//! Who is at risk, now or at a moment of the past: by what hosts report now, from memory; by what they had reported then, from
//! stored rows.

use super::finding::{self, of_load};
use super::refusal::Refusal;
use crate::Context;
use crate::assess::{LoadError, catch_up, load};
use domain::assess::at_risk::Warning;
use domain::assess::fleet::{HostNo, PackageId};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use protocol::document::Document as _;
use protocol::document::facts::FactsDocument;
use roaring::RoaringBitmap;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use store::document::DocumentKind;
use store::{Scope, View, host_document, inventory_package};

/// Inventories that are looked at together.
const AT_A_TIME: usize = 256;

/// The numbers of the hosts that have, or had at a moment, a package that the warning is about.
///
/// # Errors
/// Of the database.
pub async fn hosts(
    ctx: &Context,
    scope: Scope,
    warning: Warning,
    as_of: Option<Timestamp>,
) -> Result<RoaringBitmap, Refusal> {
    let Some(at) = as_of else {
        return finding::at_risk(ctx, scope, &warning).await;
    };
    let meant = meant(ctx, scope, &warning).await?;
    let then = ctx.db.attempt_read(move |view| {
        let hit = hit(view, &scope, &meant, at)?;
        let codenames = match warning.ranges.iter().any(|range| range.codename.is_some()) {
            true => codenames(view, &scope, hit.keys().copied(), at)?,
            false => HashMap::new(),
        };
        let is_at_risk = |host: &HostNo, ranges: &[usize]| {
            let codename = codenames.get(host).map(String::as_str);
            ranges.iter().any(|range| warning.ranges[*range].is_for(codename))
        };
        let at_risk = hit.iter().filter(|(host, ranges)| is_at_risk(host, ranges));
        Ok::<_, LoadError>(at_risk.map(|(host, _)| host.0).collect())
    });
    then.await.map_err(of_load)
}

/// The packages that each range of a warning holds, among all that hosts ever reported.
async fn meant(ctx: &Context, scope: Scope, warning: &Warning) -> Result<Vec<HashSet<PackageId>>, Refusal> {
    let kept = ctx.fleets.of(scope.tenant()).await;
    let kept = catch_up(ctx, scope, kept).await.map_err(of_load)?;
    let packages = kept.fleet.packages();
    let held = warning.ranges.iter().map(|range| {
        let own = packages.all().filter(|(_, key)| range.holds(*key));
        own.map(|(package, _)| package).collect()
    });
    Ok(held.collect())
}

/// The hosts whose inventory of then has a package of some range, with those ranges.
fn hit(
    view: &mut View,
    scope: &Scope,
    meant: &[HashSet<PackageId>],
    at: Timestamp,
) -> Result<HashMap<HostNo, Vec<usize>>, LoadError> {
    let inventories = host_document::all_as_of(view, scope, DocumentKind::Inventory, at)?;
    let mut distinct: Vec<Sha256Digest> = inventories.iter().map(|(_, digest)| *digest).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut ranges: HashMap<Sha256Digest, Vec<usize>> = HashMap::new();
    for digests in distinct.chunks(AT_A_TIME) {
        for (digest, packages) in inventory_package::get_many(view, scope, digests)? {
            let has = |meant: &HashSet<PackageId>| packages.iter().any(|package| meant.contains(&package));
            let own = meant.iter().enumerate().filter(|(_, meant)| has(meant));
            let own: Vec<usize> = own.map(|(range, _)| range).collect();
            if !own.is_empty() {
                ranges.insert(digest, own);
            }
        }
    }
    let hosts = inventories.into_iter();
    Ok(hosts
        .filter_map(|(host, digest)| Some((host, ranges.get(&digest)?.clone())))
        .collect())
}

/// Which release these hosts ran then, by their own word.
fn codenames(
    view: &mut View,
    scope: &Scope,
    hosts: impl Iterator<Item = HostNo>,
    at: Timestamp,
) -> Result<HashMap<HostNo, String>, LoadError> {
    let asked: HashSet<HostNo> = hosts.collect();
    let mut by_facts: HashMap<Sha256Digest, Option<String>> = HashMap::new();
    let mut found = HashMap::new();
    for (host, facts) in host_document::all_as_of(view, scope, DocumentKind::Facts, at)? {
        if !asked.contains(&host) {
            continue;
        }
        let codename = match by_facts.entry(facts) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let bytes = load::bytes_of(view, scope, facts)?;
                let document = bytes.and_then(|bytes| FactsDocument::parse_kept(&bytes).ok());
                new.insert(document.and_then(|facts| facts.system.os_codename))
            }
        };
        if let Some(codename) = codename {
            found.insert(host, codename.clone());
        }
    }
    Ok(found)
}
