//! What people approve, as bytes with a digest, and the signatures of those who did. A tenant may demand approvers' own keys:
//! then a host follows no order whose approval enough of them have not signed, whoever has the server and all of its keys.

use super::{WireDirection, WireReboot, WireRemoval, WireStart};
use crate::document::{DocumentError, canonical};
use crate::key::{SigningKey, VerifyingKey};
use crate::{sha256, wire};
use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, Release, Rules, Scope};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{KeyId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What stands before the digest that an approver signs.
const CONTEXT: &[u8] = b"patchyard approval 1\0";

/// What people approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDocument {
    /// Whose hosts.
    #[serde(with = "wire::text")]
    tenant: TenantId,
    /// Sorted, each once.
    updates: Vec<WireUpdate>,
    /// Release files as published, by digest.
    #[serde(with = "wire::text_list")]
    snapshots: Vec<Sha256Digest>,
    /// The root of the tree over the hosts.
    #[serde(with = "wire::text")]
    scope_root: Sha256Digest,
    /// How many hosts.
    scope_hosts: u64,
    /// Nothing begins at this moment or later.
    #[serde(with = "wire::micros")]
    not_after: Timestamp,
    /// Forwards, or back.
    direction: WireDirection,
    /// What it needs of a host's mode.
    #[serde(with = "wire::text")]
    needs: Mode,
    /// Whether each host needs a go.
    start: WireStart,
    /// When hosts may be restarted.
    reboot: WireReboot,
    /// Packages that may go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removals: Vec<WireRemoval>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireUpdate {
    origin: String,
    keys: Vec<String>,
    source: String,
    source_version: String,
    #[serde(default, skip_serializing_if = "wire::is_default")]
    build: String,
}

/// An approver's signature over `patchyard approval 1`, a zero byte, and the digest of the approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// The signature.
    #[serde(with = "wire::array")]
    pub signature: [u8; 64],
}

/// An approval that was read from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// What was approved.
    pub approval: Approval,
    /// SHA-256 of its bytes: what an order names, and approvers sign.
    pub digest: Sha256Digest,
}

impl ApprovalDocument {
    /// The bytes of an approval.
    pub fn bytes_of(approval: &Approval) -> Vec<u8> {
        let rules = &approval.release.rules;
        let removal = |removal: &domain::order::Removal| WireRemoval {
            name: removal.name.clone(),
            architecture: removal.architecture.clone(),
        };
        canonical::to_bytes(&Self {
            tenant: approval.tenant,
            updates: approval.release.updates.iter().map(WireUpdate::of).collect(),
            snapshots: approval.snapshots.clone(),
            scope_root: approval.scope.root,
            scope_hosts: approval.scope.hosts,
            not_after: approval.not_after,
            direction: approval.direction.into(),
            needs: rules.needs,
            start: rules.start.into(),
            reboot: rules.reboot.into(),
            removals: rules.removals.iter().map(removal).collect(),
        })
    }

    /// Reads an approval, which must be in its one form.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Approved, DocumentError> {
        let document: Self = canonical::parse(bytes)?;
        let updates: Vec<UpdateId> = (document.updates.into_iter())
            .map(WireUpdate::into_update)
            .collect();
        if !updates.is_sorted_by(|one, next| one < next) {
            return Err(DocumentError::NotCanonical(
                "its updates are not in order, or one stands twice",
            ));
        }
        Ok(Approved {
            digest: sha256(bytes),
            approval: Approval {
                tenant: document.tenant,
                release: Release {
                    updates,
                    rules: Rules {
                        needs: document.needs,
                        start: document.start.into(),
                        reboot: document.reboot.into(),
                        removals: (document.removals.into_iter())
                            .map(WireRemoval::into_removal)
                            .collect(),
                    },
                },
                snapshots: document.snapshots,
                scope: Scope {
                    root: document.scope_root,
                    hosts: document.scope_hosts,
                },
                not_after: document.not_after,
                direction: document.direction.into(),
            },
        })
    }
}

impl Approved {
    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        Signature {
            key: key.id(),
            signature: key.sign(&claim(self.digest)),
        }
    }

    /// How many of these approvers have signed it, each counted once.
    pub fn signed_by(&self, signatures: &[Signature], approvers: &[VerifyingKey]) -> usize {
        let claim = claim(self.digest);
        let signers: BTreeSet<KeyId> = (signatures.iter())
            .filter(|signature| {
                let approver = approvers.iter().find(|approver| approver.id() == signature.key);
                approver.is_some_and(|approver| approver.verify(&claim, &signature.signature).is_ok())
            })
            .map(|signature| signature.key)
            .collect();
        signers.len()
    }
}

fn claim(digest: Sha256Digest) -> Vec<u8> {
    [CONTEXT, &digest.0].concat()
}

impl WireUpdate {
    fn of(update: &UpdateId) -> Self {
        Self {
            origin: update.publisher.origin.clone(),
            keys: update.publisher.keys.clone(),
            source: update.source.clone(),
            source_version: update.source_version.clone(),
            build: update.build.clone(),
        }
    }

    fn into_update(self) -> UpdateId {
        UpdateId {
            publisher: Publisher {
                origin: self.origin,
                keys: self.keys,
            },
            source: self.source,
            source_version: self.source_version,
            build: self.build,
        }
    }
}
