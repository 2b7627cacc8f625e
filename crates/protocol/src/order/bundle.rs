//! An order with all that a host needs to believe it: the signed order, what was approved, the approvers' signatures, and the
//! proof that the host is in the approved scope. One file, fetched by its digest; the host judges each piece by itself.

use super::Signature;
use crate::document::{DocumentError, canonical};
use crate::limits;
use crate::scope::Inclusion;
use crate::wire;
use serde::{Deserialize, Serialize};

/// An order with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The order's statement, as signed.
    #[serde(with = "wire::bytes")]
    pub order: Vec<u8>,
    /// The approval's bytes.
    #[serde(with = "wire::bytes")]
    pub approval: Vec<u8>,
    /// Approvers' signatures over it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
    /// The proof that the host is in its scope.
    pub inclusion: Inclusion,
}

impl Bundle {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Reads a file; what is in it is not believed yet.
    ///
    /// # Errors
    /// [`DocumentError`] for a file that is too large or not in its one form.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        limits::within("bytes of an order's bundle", bytes.len(), limits::BUNDLE_BYTES)?;
        let bundle: Self = canonical::parse_within(bytes)?;
        limits::within("signatures", bundle.signatures.len(), limits::APPROVERS)?;
        Ok(bundle)
    }
}
