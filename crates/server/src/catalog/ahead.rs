//! Package files of updates that some host misses, fetched before anybody asks for them and within a budget: vendors remove
//! from their archives what they replaced. They are kept as long as the update is missed; no host is given them by that.

use super::acquire::acquire;
use super::resolve::{NeededFile, Unresolved, resolve};
use super::row::{self, BadRow};
use crate::Context;
use crate::reconcile::Outcome;
use domain::assess::fleet::HostNo;
use domain::catalog::update::{Publisher, UpdateId};
use domain::digest::Sha256Digest;
use domain::id::{HostId, UpdateKey};
use domain::order::Direction;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use store::content_grant::{self, ContentGrant, GrantReason};
use store::lease::{self, Fence};
use store::update::{self, Missed, Update, UpdateClass, UpdateFilter, UpdateState};
use store::{Scope, View, Whole, finding, host, tenant};

/// Missed updates that are looked at in one run, for each tenant: the newest.
const MOST_UPDATES: u32 = 500;

/// A run: every tenant, those first whose id is lower. The budget is the server's.
///
/// # Errors
/// Of the database. What cannot be fetched is passed over, and tried again by the next run.
pub async fn run(context: &Context, fence: &Fence) -> Outcome {
    let mut left = u64::from(context.settings.file.fetch_ahead_mib) << 20;
    let (mut seen, mut kept, mut lacking) = (HashSet::new(), 0, 0);
    let mut after = None;
    loop {
        let page = context
            .db
            .read(move |view| tenant::page(view, &Whole::server(), after.as_ref(), 100))
            .await?;
        for row in &page.rows {
            let done = of_tenant(context, fence, Scope::of_tenant(row.id), &mut left, &mut seen).await?;
            kept += done.0;
            lacking += done.1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(format!(
        "{kept} files of missed updates are here, {lacking} cannot be had"
    ))
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// How many files are here, and how many cannot be had.
async fn of_tenant(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    left: &mut u64,
    seen: &mut HashSet<Sha256Digest>,
) -> Result<(usize, usize), Trouble> {
    let missed = context.db.attempt_read(move |view| missed(view, &scope)).await?;
    let mut wanted: BTreeMap<UpdateKey, Vec<NeededFile>> = BTreeMap::new();
    for (key, update, host) in missed {
        if *left == 0 {
            break;
        }
        let resolved = match resolve(context, &scope, host, &[update], Direction::Forward).await {
            Ok(resolved) => resolved,
            Err(Unresolved::Failed(error)) => return Err(error.into()),
            // What cannot be installed there now is fetched when it can.
            Err(_) => continue,
        };
        for file in resolved.files.into_iter().filter(NeededFile::is_package) {
            // What another update or tenant has here already costs nothing more.
            let cost = if seen.contains(&file.sha256) {
                0
            } else {
                file.size_bytes
            };
            if cost > *left {
                continue;
            }
            *left -= cost;
            seen.insert(file.sha256);
            wanted.entry(key).or_default().push(file);
        }
    }
    let files: BTreeSet<NeededFile> = wanted.values().flatten().cloned().collect();
    let files: Vec<NeededFile> = files.into_iter().collect();
    let acquired = acquire(context, fence, &files).await;
    keep(context, fence, scope, &wanted, &acquired.done).await?;
    Ok((acquired.done.len(), acquired.failed.len()))
}

/// What hosts of the tenant miss, security first and the newest first, each with one host that misses it.
fn missed(view: &mut View, scope: &Scope) -> Result<Vec<(UpdateKey, UpdateId, HostId)>, Trouble> {
    let Some(generation) = finding::generation(view, scope, None)? else {
        return Ok(Vec::new());
    };
    let filter = UpdateFilter {
        state: Some(UpdateState::Listed),
        missed: Missed::BySome,
        ..UpdateFilter::default()
    };
    let mut rows = update::page(view, scope, &filter, None, MOST_UPDATES)?.rows;
    rows.sort_by_key(|row| row.class != UpdateClass::Security);
    let mut missed = Vec::with_capacity(rows.len());
    for row in rows {
        let hosts = finding::hosts(view, scope, row.id, generation.number)?;
        let Some(number) = hosts.min() else { continue };
        if let Some(host) = host::by_no(view, scope, HostNo(number))? {
            missed.push((row.id, identity(&row)?, host.id));
        }
    }
    Ok(missed)
}

fn identity(row: &Update) -> Result<UpdateId, BadRow> {
    Ok(UpdateId {
        publisher: Publisher {
            origin: row.identity.origin.clone(),
            keys: row::parse("the keys of an update", &row.identity.signing_keys)?,
        },
        source: row.identity.source.clone(),
        source_version: row.identity.source_version.clone(),
        build: row.identity.build.clone(),
    })
}

/// Grants what is here, and takes back what is not wanted any more.
async fn keep(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    wanted: &BTreeMap<UpdateKey, Vec<NeededFile>>,
    done: &[Sha256Digest],
) -> Result<(), store::Error> {
    let grants = wanted.iter().flat_map(|(key, files)| {
        let here = files
            .iter()
            .filter(|file| done.binary_search(&file.sha256).is_ok());
        here.map(|file| ContentGrant {
            owner: scope.owner(),
            digest: file.sha256,
            reason: GrantReason::Missed,
            reference: key.0,
            size_bytes: file.size_bytes,
        })
    });
    let grants: Vec<ContentGrant> = grants.collect();
    let (fence, now) = (fence.clone(), context.clock.now());
    let keeping = context.db.write(move |tx| {
        let whole = Whole::server();
        lease::hold(tx, &whole, &fence, now)?;
        let mut before = BTreeSet::new();
        content_grant::each(tx, &whole, |grant| {
            if grant.owner == scope.owner() && grant.reason == GrantReason::Missed {
                before.insert(grant.reference);
            }
            Ok(())
        })?;
        for reference in before {
            content_grant::take_back(tx, &whole, scope.owner(), GrantReason::Missed, reference)?;
        }
        content_grant::give(tx, &whole, &grants, now)
    });
    keeping.await
}
