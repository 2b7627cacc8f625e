//! What a change still takes on a host that changed since it was found out: of the packages those that the host still has in
//! an older version. Of a host of which it could not be told, it is found out anew, as far as the approval goes.

use super::{RolloutError, Transaction};
use crate::assess::load::{bytes_of, read_inventory};
use crate::catalog::resolve::{Resolved, Unresolved, resolve};
use crate::context::Context;
use domain::change::Approval;
use domain::digest::Sha256Digest;
use domain::host::inventory::{InstalledPackage, Inventory, PackageState};
use domain::id::HostId;
use domain::order::{Direction, OrderedPackage};
use domain::version::deb;
use std::cmp::Ordering;
use store::deployment::{self, Need, NeedKind};
use store::{Scope, View};

/// What a need is, with the text of its transaction where that is to be kept.
pub type NeedFound = (Need, Option<(Sha256Digest, String)>);

/// What came of looking at a host, as it is kept.
///
/// # Errors
/// Where the server could not look.
pub fn of(found: Result<&Resolved, &Unresolved>, inventory: Option<Sha256Digest>) -> NeedFound {
    let (kind, detail) = match found {
        Ok(resolved) => {
            let (digest, text) = Transaction::of(resolved).to_text();
            let need = Need {
                kind: NeedKind::Install,
                detail: String::new(),
                transaction: Some(digest),
                inventory,
            };
            return (need, Some((digest, text)));
        }
        Err(Unresolved::Nothing) => (NeedKind::Nothing, String::new()),
        Err(why @ (Unresolved::Unknown(_) | Unresolved::Failed(_))) => (NeedKind::Unknown, why.to_string()),
        Err(why @ Unresolved::NeedsAlso(_)) => (NeedKind::NeedsAlso, why.to_string()),
        Err(why @ Unresolved::NotBuilt) => (NeedKind::NotBuilt, why.to_string()),
    };
    let need = Need {
        kind,
        detail,
        transaction: None,
        inventory,
    };
    (need, None)
}

/// What is left of a transaction by a newer inventory.
///
/// # Errors
/// Of the database, or a document that cannot be read.
pub fn left_of(
    view: &mut View,
    scope: &Scope,
    transaction: Sha256Digest,
    inventory: Sha256Digest,
    direction: Direction,
) -> Result<NeedFound, RolloutError> {
    let transaction = transaction_of(view, scope, transaction)?;
    let installed = inventory_of(view, scope, inventory)?;
    let packages = transaction.packages();
    let left: Vec<OrderedPackage> = packages
        .iter()
        .filter_map(|package| left(package, &installed, direction))
        .collect();
    // A package that is only new is of no use without what needs it.
    let is_over = left.iter().all(|package| package.from.is_none());
    if is_over {
        let need = Need {
            kind: NeedKind::Nothing,
            detail: String::new(),
            transaction: None,
            inventory: Some(inventory),
        };
        return Ok((need, None));
    }
    let (digest, text) = transaction.with_packages(&left).to_text();
    let need = Need {
        kind: NeedKind::Install,
        detail: String::new(),
        transaction: Some(digest),
        inventory: Some(inventory),
    };
    Ok((need, Some((digest, text))))
}

/// A package as it is still to be installed.
fn left(package: &OrderedPackage, inventory: &Inventory, direction: Direction) -> Option<OrderedPackage> {
    let Some(installed) = find(inventory, &package.name, &package.architecture) else {
        return package.from.is_none().then(|| package.clone());
    };
    let wanted = match direction {
        Direction::Forward => Ordering::Less,
        Direction::BackOut => Ordering::Greater,
    };
    (deb::compare(&installed.version, &package.version) == wanted).then(|| OrderedPackage {
        from: Some(installed.version.clone()),
        ..package.clone()
    })
}

/// Looks at a host anew, for an approval that was given before: only what comes from the approved snapshots counts.
///
/// # Errors
/// Where the server could not look.
pub async fn again(
    context: &Context,
    scope: &Scope,
    host: HostId,
    approval: &Approval,
    inventory: Option<Sha256Digest>,
) -> Result<NeedFound, RolloutError> {
    let updates = &approval.release.updates;
    let found = resolve(context, scope, host, updates, approval.direction).await;
    let is_approved = |resolved: &Resolved| {
        let mut releases = resolved.snapshots.iter().map(|snapshot| snapshot.release);
        releases.all(|release| approval.snapshots.contains(&release))
    };
    match found {
        Err(Unresolved::Failed(error)) => Err(error.into()),
        Ok(resolved) if !is_approved(&resolved) => {
            let why = Unresolved::Unknown(
                "its sources are not at the approved snapshots any more: approve the change again".to_owned(),
            );
            Ok(of(Err(&why), inventory))
        }
        found => Ok(of(found.as_ref(), inventory)),
    }
}

/// Whether an inventory shows all that was ordered: each package in its version, or in a later one if the order went forwards;
/// and nothing of what was to go.
///
/// # Errors
/// Of the database, or a document that cannot be read.
pub fn is_shown(
    view: &mut View,
    scope: &Scope,
    transaction: Sha256Digest,
    inventory: Sha256Digest,
    direction: Direction,
) -> Result<bool, RolloutError> {
    let transaction = transaction_of(view, scope, transaction)?;
    let inventory = inventory_of(view, scope, inventory)?;
    let has = |package: &OrderedPackage| {
        find(&inventory, &package.name, &package.architecture).is_some_and(|installed| {
            let order = deb::compare(&installed.version, &package.version);
            order == Ordering::Equal || (order == Ordering::Greater && direction == Direction::Forward)
        })
    };
    let is_gone = |name: &str, architecture: &str| find(&inventory, name, architecture).is_none();
    let removals = transaction.removals();
    Ok(transaction.packages().iter().all(has)
        && removals
            .iter()
            .all(|gone| is_gone(&gone.name, &gone.architecture)))
}

fn find<'a>(inventory: &'a Inventory, name: &str, architecture: &str) -> Option<&'a InstalledPackage> {
    inventory.packages.iter().find(|package| {
        *package.name == *name
            && *package.architecture == *architecture
            && package.state == PackageState::Installed
    })
}

/// Reads a kept transaction.
///
/// # Errors
/// Of the database, or a text that is not of this program's form.
pub fn transaction_of(
    view: &mut View,
    scope: &Scope,
    digest: Sha256Digest,
) -> Result<Transaction, RolloutError> {
    let found = deployment::transactions(view, scope, &[digest])?.pop();
    let (_, text) = found.ok_or(RolloutError::Gone("a transaction that a deployment refers to"))?;
    Transaction::parse(&text)
}

fn inventory_of(view: &mut View, scope: &Scope, digest: Sha256Digest) -> Result<Inventory, RolloutError> {
    let bytes = bytes_of(view, scope, digest)?;
    let bytes = bytes.ok_or(RolloutError::Gone("a host's inventory"))?;
    Ok(read_inventory(digest, &bytes)?)
}
