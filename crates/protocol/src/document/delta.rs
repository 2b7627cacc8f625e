//! What changed between two inventories, so that one upgraded package does not send nine hundred.

use super::inventory::{InventoryDocument, Package};
use super::{Document, DocumentError, DocumentKind};
use crate::limits;
use domain::digest::Sha256Digest;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What of an inventory is gone, and what is new or otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryDelta {
    /// Name and architecture of packages that are gone, sorted.
    pub removed: Vec<(Box<str>, Box<str>)>,
    /// Packages that are new, or have changed in any way, sorted.
    pub added: Vec<Package>,
}

/// A delta that does not lead to the inventory that it promised.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// It removes a package that is not there.
    #[error("the delta removes a package that the inventory it starts from does not have")]
    NotThere,
    /// The result is another one than was named.
    #[error("the delta leads to the inventory {made}, not to {named}")]
    OtherResult {
        /// The digest of what it leads to.
        made: Sha256Digest,
        /// The digest that was named.
        named: Sha256Digest,
    },
    /// The result is above a limit.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl InventoryDelta {
    /// What changed from one inventory to another.
    pub fn between(base: &InventoryDocument, next: &InventoryDocument) -> Self {
        let (mut old, mut new) = (base.packages.as_slice(), next.packages.as_slice());
        let mut delta = Self::default();
        loop {
            let order = match (old.first(), new.first()) {
                (None, None) => return delta,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(gone), Some(here)) => gone.key().cmp(&here.key()),
            };
            if order.is_le() {
                if order.is_lt() {
                    delta
                        .removed
                        .push((old[0].name.clone(), old[0].architecture.clone()));
                } else if old[0] != new[0] {
                    delta.added.push(new[0].clone());
                }
                old = &old[1..];
            }
            if order.is_ge() {
                if order.is_gt() {
                    delta.added.push(new[0].clone());
                }
                new = &new[1..];
            }
        }
    }

    /// The inventory that the delta makes of its base, with its bytes, if it is the one that was named.
    ///
    /// # Errors
    /// [`DeltaError`] if it is not, or is above a limit.
    pub fn apply(
        self,
        base: InventoryDocument,
        named: Sha256Digest,
    ) -> Result<(InventoryDocument, Vec<u8>), DeltaError> {
        let mut removed = self
            .removed
            .iter()
            .map(|(name, architecture)| (&**name, &**architecture))
            .peekable();
        let mut added = self.added.into_iter().peekable();
        let mut packages = Vec::with_capacity(base.packages.len() + added.len());
        for package in base.packages {
            while let Some(new) = added.next_if(|new| new.key() < package.key()) {
                packages.push(new);
            }
            if removed.next_if(|gone| *gone == package.key()).is_some() {
                continue;
            }
            match added.next_if(|new| new.key() == package.key()) {
                Some(changed) => packages.push(changed),
                None => packages.push(package),
            }
        }
        packages.extend(added);
        if removed.next().is_some() {
            return Err(DeltaError::NotThere);
        }
        let document = InventoryDocument { packages };
        document.check()?;
        let bytes = document.to_bytes();
        let made = crate::sha256(&bytes);
        if made != named {
            return Err(DeltaError::OtherResult { made, named });
        }
        Ok((document, bytes))
    }
}

impl Document for InventoryDelta {
    const KIND: DocumentKind = DocumentKind::Inventory;

    fn check(&self) -> Result<(), DocumentError> {
        limits::within("packages", self.added.len(), limits::INVENTORY_PACKAGES)?;
        limits::within("packages", self.removed.len(), limits::INVENTORY_PACKAGES)?;
        if !self.added.is_sorted_by(|one, next| one.key() < next.key())
            || !self.removed.is_sorted_by(|one, next| one < next)
        {
            return Err(DocumentError::NotCanonical(
                "its packages are not sorted, or one is there twice",
            ));
        }
        self.added.iter().try_for_each(Package::check)
    }
}
