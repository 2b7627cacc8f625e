//! Documents: what a host has, by digest. A document of JSON has exactly one way to be written: the fields in the order of
//! the shape, nothing between them, absent where they have their default. So a digest names a content, and the server
//! keeps the bytes that it was sent.

pub(crate) mod canonical;
pub mod channels;
pub mod delta;
pub mod facts;
pub mod inventory;

use crate::limits::OverLimit;
use crate::{sha256, wire};
use domain::digest::Sha256Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// The installed packages: [`inventory::InventoryDocument`].
    Inventory,
    /// Where packages come from: [`channels::ChannelConfigDocument`].
    ChannelConfig,
    /// What else the host says of itself: [`facts::FactsDocument`].
    Facts,
    /// A file of keys, as it is on the host.
    KeyFile,
    /// A file of a source that only the host reaches, as the archive signed it.
    IndexFile,
    /// All that the package manager said while it followed an order.
    Output,
    /// One of a later version: nothing that this one can read or want.
    #[serde(other)]
    Unrecognised,
}

impl DocumentKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::ChannelConfig => "channel_config",
            Self::Facts => "facts",
            Self::KeyFile => "key_file",
            Self::IndexFile => "index_file",
            Self::Output => "output",
            Self::Unrecognised => "unrecognised",
        }
    }
}

/// A document of JSON.
pub trait Document: Serialize + DeserializeOwned {
    /// What it is.
    const KIND: DocumentKind;

    /// Whether it is within the limits, and says everything in the one way it may be said.
    ///
    /// # Errors
    /// [`DocumentError`] if not.
    fn check(&self) -> Result<(), DocumentError>;

    /// The document as it is sent, kept and named by its digest.
    fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// The digest of its bytes.
    fn digest(&self) -> Sha256Digest {
        sha256(&self.to_bytes())
    }

    /// Reads a document that was sent, which must be written in the one way.
    ///
    /// # Errors
    /// [`DocumentError`] if it is not, cannot be read or is above a limit.
    fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self = canonical::parse(bytes)?;
        document.check()?;
        Ok(document)
    }

    /// Reads a document that was kept after [`Document::parse`], perhaps by a later version: unknown fields are passed over.
    ///
    /// # Errors
    /// [`DocumentError`] if it cannot be read.
    fn parse_kept(bytes: &[u8]) -> Result<Self, DocumentError> {
        serde_json::from_slice(bytes).map_err(DocumentError::Malformed)
    }
}

/// A document that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Something in it is too large.
    #[error(transparent)]
    TooLarge(#[from] OverLimit),
    /// It is no JSON, or misses a field, or has a value that cannot be.
    #[error("the document cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// It could be written otherwise, so that its digest would not be the only one for what it says.
    #[error("the document is not in its one form: {0}")]
    NotCanonical(&'static str),
}

/// Conversions between a shape on the wire and the domain's word for the same thing.
pub(crate) trait Wire: Sized {
    /// The domain's type.
    type Domain;
    /// The shape of a value.
    fn of(value: &Self::Domain) -> Self;
    /// The value of a shape.
    fn into_domain(self) -> Self::Domain;
}

macro_rules! same_in_both {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            type Domain = Self;
            fn of(value: &Self) -> Self {
                value.clone()
            }
            fn into_domain(self) -> Self {
                self
            }
        }
    )*};
}

same_in_both!(String, Box<str>, bool, u8, u16, u32, u64, i64, std::net::IpAddr);

impl<T: Wire> Wire for Vec<T> {
    type Domain = Vec<T::Domain>;
    fn of(value: &Self::Domain) -> Self {
        value.iter().map(T::of).collect()
    }
    fn into_domain(self) -> Self::Domain {
        self.into_iter().map(T::into_domain).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    type Domain = Option<T::Domain>;
    fn of(value: &Self::Domain) -> Self {
        value.as_ref().map(T::of)
    }
    fn into_domain(self) -> Self::Domain {
        self.map(T::into_domain)
    }
}

/// [`Wire`] for a struct whose fields have the same names in both.
macro_rules! wire_struct {
    ($shape:ident = $domain:path { $($field:ident),* $(,)? }) => {
        impl $crate::document::Wire for $shape {
            type Domain = $domain;
            fn of(value: &$domain) -> Self {
                Self { $($field: $crate::document::Wire::of(&value.$field)),* }
            }
            fn into_domain(self) -> $domain {
                $domain { $($field: $crate::document::Wire::into_domain(self.$field)),* }
            }
        }
    };
}

/// [`Wire`] for an enum whose variants have the same names in both and no fields.
macro_rules! wire_words {
    ($shape:ident = $domain:path { $($variant:ident),* $(,)? }) => {
        impl $crate::document::Wire for $shape {
            type Domain = $domain;
            fn of(value: &$domain) -> Self {
                use $domain as D;
                match value { $(D::$variant => Self::$variant),* }
            }
            fn into_domain(self) -> $domain {
                use $domain as D;
                match self { $(Self::$variant => D::$variant),* }
            }
        }
    };
}

pub(crate) use {wire_struct, wire_words};

/// A digest on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WireDigest(#[serde(with = "wire::text")] pub Sha256Digest);
