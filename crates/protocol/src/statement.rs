//! Statements of the server that hosts keep as files and judge without a connection: orders and goes. Each is one signed
//! piece: whoever carries it, network process, relay or disk, can lose it and repeat it, and change nothing.
//!
//! The bytes: magic `PYS1`, kind u16, key id 16, length of the body u32, Ed25519 signature 64 over `patchyard statement 1`, a
//! zero byte, and all before and after the signature; then the body, JSON in its one form. Numbers are big-endian.

use crate::document::DocumentError;
use crate::document::canonical;
use crate::key::{SigningKey, VerifyingKey};
use crate::limits::{self, OverLimit};
use crate::sha256;
use domain::digest::Sha256Digest;
use domain::id::KeyId;
use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: [u8; 4] = *b"PYS1";
const CONTEXT: &[u8] = b"patchyard statement 1\0";
const KIND_AT: usize = 4;
const KEY_AT: usize = 6;
const LENGTH_AT: usize = 22;
const SIGNATURE_AT: usize = 26;
const BODY_AT: usize = 90;

/// What a statement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// What a host is to prepare.
    Order,
    /// That it may begin.
    Go,
}

impl StatementKind {
    fn number(self) -> u16 {
        match self {
            Self::Order => 1,
            Self::Go => 2,
        }
    }
}

/// The shape of what is stated.
pub trait Statement: Serialize + DeserializeOwned {
    /// What it is.
    const KIND: StatementKind;
}

/// A statement that is not believed, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// No statement at all, or cut short, or followed by something.
    #[error("these bytes are no statement of a server")]
    NotOne,
    /// Larger than any.
    #[error(transparent)]
    TooLarge(#[from] OverLimit),
    /// Signed by another key, or changed since.
    #[error("the statement is not signed by the key that it names")]
    BadSignature,
    /// Signed, but it says something else.
    #[error("the statement is of another kind")]
    OtherKind,
    /// Signed, but not in the one form.
    #[error("the statement cannot be read")]
    Malformed(#[from] DocumentError),
}

/// Signs a statement.
pub fn seal<T: Statement>(statement: &T, key: &SigningKey) -> Vec<u8> {
    let body = canonical::to_bytes(statement);
    let length = u32::try_from(body.len()).expect("a statement is far below 4 GiB");
    let mut head = Vec::with_capacity(BODY_AT + body.len());
    head.extend(MAGIC);
    head.extend(T::KIND.number().to_be_bytes());
    head.extend(key.id().0);
    head.extend(length.to_be_bytes());
    let signature = key.sign(&signed(&head, &body));
    head.extend(signature);
    head.extend(body);
    head
}

/// A statement whose signature was not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct Unread<'a> {
    bytes: &'a [u8],
    key: KeyId,
}

/// A statement that a key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated<T> {
    /// What it says.
    pub says: T,
    /// SHA-256 of all its bytes: its name.
    pub digest: Sha256Digest,
}

impl<'a> Unread<'a> {
    /// Looks at form and size only.
    ///
    /// # Errors
    /// [`StatementError::NotOne`] and [`StatementError::TooLarge`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StatementError> {
        limits::within("bytes of a statement", bytes.len(), limits::STATEMENT_BYTES)?;
        let field = |from: usize, to: usize| bytes.get(from..to).ok_or(StatementError::NotOne);
        if field(0, KIND_AT)? != MAGIC {
            return Err(StatementError::NotOne);
        }
        let length = field(LENGTH_AT, SIGNATURE_AT)?
            .try_into()
            .expect("it has 4 bytes");
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| StatementError::NotOne)?;
        if BODY_AT.checked_add(length) != Some(bytes.len()) {
            return Err(StatementError::NotOne);
        }
        let key = field(KEY_AT, LENGTH_AT)?.try_into().expect("it has 16 bytes");
        Ok(Self {
            bytes,
            key: KeyId(key),
        })
    }

    /// The key that it says it is signed by.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Checks the signature, and only then reads what is said.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn open<T: Statement>(self, key: &VerifyingKey) -> Result<Stated<T>, StatementError> {
        let (head, rest) = self.bytes.split_at(SIGNATURE_AT);
        let (signature, body) = rest.split_at(BODY_AT - SIGNATURE_AT);
        let signature = signature.try_into().expect("it has 64 bytes");
        key.verify(&signed(head, body), signature)
            .map_err(|_| StatementError::BadSignature)?;
        if head[KIND_AT..KEY_AT] != T::KIND.number().to_be_bytes() {
            return Err(StatementError::OtherKind);
        }
        Ok(Stated {
            says: canonical::parse(body)?,
            digest: sha256(self.bytes),
        })
    }
}

fn signed(head: &[u8], body: &[u8]) -> Vec<u8> {
    [CONTEXT, head, body].concat()
}
