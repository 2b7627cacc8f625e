//! The messages, one module an exchange: what an agent asks, and what the server answers. All are JSON; unknown fields
//! are ignored, fields are only ever added, and an added one may be absent.

pub mod check_in;
pub mod documents;
pub mod enrol;
pub mod orders;
pub mod refused;
pub mod renew;

use crate::envelope::{Body, Opened};
use crate::limits::{self, OverLimit};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a body is, as the header says: requests count from 1, answers have the highest bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

impl Kind {
    /// [`enrol::Enrol`].
    pub const ENROL: Self = Self(1);
    /// [`check_in::CheckIn`].
    pub const CHECK_IN: Self = Self(2);
    /// [`documents::Documents`].
    pub const DOCUMENTS: Self = Self(3);
    /// [`renew::Renew`].
    pub const RENEW: Self = Self(4);
    /// [`refused::Refused`].
    pub const REFUSED: Self = Self(0x8000);
    /// [`enrol::Enrolled`].
    pub const ENROLLED: Self = Self(0x8001);
    /// [`check_in::CheckedIn`].
    pub const CHECKED_IN: Self = Self(0x8002);
    /// [`documents::DocumentsTaken`].
    pub const DOCUMENTS_TAKEN: Self = Self(0x8003);
    /// [`renew::Renewed`].
    pub const RENEWED: Self = Self(0x8004);

    /// Whether it is the server's answer to something.
    pub fn is_answer(self) -> bool {
        self.0 & 0x8000 != 0
    }
}

/// A message in JSON.
pub trait Message: Serialize + DeserializeOwned {
    /// What the header calls it.
    const KIND: Kind;

    /// Whether its lists are within the limits.
    ///
    /// # Errors
    /// [`OverLimit`] if one is not.
    fn within_limits(&self) -> Result<(), OverLimit> {
        Ok(())
    }

    /// The message as a body without attachment.
    fn to_body(&self) -> Body {
        Body {
            json: serde_json::to_vec(self).expect("messages have text as keys and no floating numbers"),
            attachment: None,
        }
    }
}

/// An opened envelope whose body is not the message that was expected.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It is of another kind.
    #[error("the message is of kind {has:#06x} where {wanted:#06x} belongs")]
    OtherKind {
        /// The kind of the header.
        has: u16,
        /// The kind that belongs there.
        wanted: u16,
    },
    /// Something in it is too large.
    #[error(transparent)]
    TooLarge(#[from] OverLimit),
    /// It is no JSON, or misses a field, or has a value that cannot be.
    #[error("the message cannot be read")]
    Malformed(#[source] serde_json::Error),
}

impl Opened<'_> {
    /// The message of this kind.
    ///
    /// # Errors
    /// [`MessageError`] if it is of another kind, above a limit or malformed.
    pub fn message<M: Message>(&self) -> Result<M, MessageError> {
        let has = self.header().kind;
        if has != M::KIND {
            return Err(MessageError::OtherKind {
                has: has.0,
                wanted: M::KIND.0,
            });
        }
        limits::strings_within(self.json())?;
        let message: M = serde_json::from_slice(self.json()).map_err(MessageError::Malformed)?;
        message.within_limits()?;
        Ok(message)
    }
}
