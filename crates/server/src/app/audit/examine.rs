//! Following all chains of a server: what is known of their ends, the records as somebody hands them over, and what of it fits
//! together. Pure: whoever has a server's records, from its API or from an export, comes to the same end.

use std::collections::{BTreeMap, BTreeSet};

use domain::digest::Sha256Digest;
use domain::id::TenantId;
use store::Owner;
use store::audit::Head;

use super::verify::{Broken, ChainedView, Follower};

/// What following the chains showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// The ends of the chains that were followed.
    pub chains: Vec<Head>,
    /// Tenants that were removed, with the ends of their chains as the server's own chain has them.
    pub removed: BTreeMap<TenantId, Head>,
}

impl Examined {
    /// All records that were followed.
    pub fn records(&self) -> u64 {
        self.chains.iter().map(|head| head.number).sum()
    }
}

/// The chains are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A chain does not fit together, or not to what is known.
    #[error("{}: {broken}", whose(*owner))]
    Broken {
        /// Whose.
        owner: Owner,
        /// Where and how.
        broken: Broken,
    },
    /// A record is not written as records are.
    #[error("{}: record {number} is not written as records are", whose(*owner))]
    Malformed {
        /// Whose.
        owner: Owner,
        /// Its place.
        number: u64,
    },
    /// A chain is gone that was there.
    #[error("{} is gone, and the server's own chain does not say that anybody removed it", whose(*owner))]
    Gone {
        /// Whose.
        owner: Owner,
    },
    /// A removed tenant's chain ended otherwise than it was known to have come.
    #[error("{} ended otherwise when it was removed than a checkpoint says", whose(*owner))]
    EndedOtherwise {
        /// Whose.
        owner: Owner,
    },
}

fn whose(owner: Owner) -> String {
    match owner {
        Owner::Shared => "the server's own chain".to_owned(),
        Owner::Tenant(tenant) => format!("the chain of the tenant {tenant}"),
    }
}

/// Whether there was a chain to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// It was walked to its end.
    ToTheEnd,
    /// There is no such tenant.
    NoSuchChain,
}

/// Takes the next record of a chain that is being walked.
pub type Step<'a> = &'a mut dyn FnMut(&ChainedView) -> Result<(), Fault>;

/// Follows all chains that are known to be there, the server's own first. `walk` hands over the records of a chain in order.
///
/// # Errors
/// [`Fault`], and what `walk` fails with.
pub fn all<E: From<Fault>>(
    known: &[Head],
    mut walk: impl FnMut(Owner, Step<'_>) -> Result<Walked, E>,
) -> Result<Examined, E> {
    let mut found = Examined::default();
    let own = follow(Owner::Shared, known, &mut found.removed, &mut walk)?;
    found
        .chains
        .push(own.ok_or(Fault::Gone { owner: Owner::Shared })?);
    let tenants: BTreeSet<TenantId> = known
        .iter()
        .filter_map(|head| match head.owner {
            Owner::Shared => None,
            Owner::Tenant(tenant) => Some(tenant),
        })
        .collect();
    for tenant in tenants {
        let owner = Owner::Tenant(tenant);
        if let Some(end) = found.removed.get(&tenant) {
            check_removed(end, known)?;
            continue;
        }
        let head = follow(owner, known, &mut BTreeMap::new(), &mut walk)?;
        found.chains.push(head.ok_or(Fault::Gone { owner })?);
    }
    Ok(found)
}

/// Follows one tenant's chain.
///
/// # Errors
/// As [`all`].
pub fn one<E: From<Fault>>(
    owner: Owner,
    known: &[Head],
    mut walk: impl FnMut(Owner, Step<'_>) -> Result<Walked, E>,
) -> Result<Examined, E> {
    let head = follow(owner, known, &mut BTreeMap::new(), &mut walk)?;
    Ok(Examined {
        chains: vec![head.ok_or(Fault::Gone { owner })?],
        removed: BTreeMap::new(),
    })
}

fn follow<E: From<Fault>>(
    owner: Owner,
    known: &[Head],
    removed: &mut BTreeMap<TenantId, Head>,
    walk: &mut impl FnMut(Owner, Step<'_>) -> Result<Walked, E>,
) -> Result<Option<Head>, E> {
    let broken = |broken| Fault::Broken { owner, broken };
    let mut follower = Follower::new(owner, known).map_err(broken)?;
    let walked = walk(owner, &mut |item| {
        let malformed = Fault::Malformed {
            owner,
            number: item.number,
        };
        let linked = item.to_linked().ok_or_else(|| malformed.clone())?;
        follower.take(&linked).map_err(broken)?;
        if (item.action.as_str(), item.noun.as_str()) == ("remove", "tenant") {
            let (tenant, end) = removal(item).ok_or(malformed)?;
            removed.insert(tenant, end);
        }
        Ok(())
    })?;
    match walked {
        Walked::NoSuchChain => Ok(None),
        Walked::ToTheEnd => Ok(Some(follower.end().map_err(broken)?)),
    }
}

/// Which tenant a record says was removed, and where its chain ended.
fn removal(item: &ChainedView) -> Option<(TenantId, Head)> {
    let facts: serde_json::Value = serde_json::from_str(&item.body).ok()?;
    let tenant: TenantId = item.noun_id.as_ref()?.0.parse().ok()?;
    let hash: Sha256Digest = facts["chain_hash"].as_str()?.parse().ok()?;
    let end = Head {
        owner: Owner::Tenant(tenant),
        number: facts["chain_number"].as_u64()?,
        chain_hash: hash.0,
    };
    Some((tenant, end))
}

/// A removed tenant's chain ended no earlier than it was known to have come, and there as it was known.
fn check_removed(end: &Head, known: &[Head]) -> Result<(), Fault> {
    let mut heads = known.iter().filter(|head| head.owner == end.owner);
    let fits = |head: &Head| {
        head.number < end.number || (head.number == end.number && head.chain_hash == end.chain_hash)
    };
    match heads.all(fits) {
        true => Ok(()),
        false => Err(Fault::EndedOtherwise { owner: end.owner }),
    }
}
