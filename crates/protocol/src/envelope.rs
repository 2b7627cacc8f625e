//! The signed wrapping of every message: a fixed header, a signature over it, and a body that the header names by
//! digest. Nothing of the body is believed, inflated or parsed before the signature holds. Layout, all numbers
//! big-endian: magic `PYE1`, protocol u16, kind u16, flags u16, key id 16, sequence u64, nonce 16, time of sending
//! in microseconds since 1970 UTC i64, length of the body u32, its SHA-256 32, Ed25519 signature 64, body.

mod asked;
mod pack;

use crate::card::{CardError, ServerCard};
use crate::key::{BadSignature, SigningKey, VerifyingKey};
use crate::limits::{self, OverLimit};
use crate::message::Kind;
use crate::{VERSION, sha256};
pub use asked::Asked;
use domain::id::KeyId;
use domain::identity::{Nonce, chain};
use jiff::Timestamp;
pub use pack::InflateError;
use std::borrow::Cow;

/// The first four bytes, for all versions of the protocol.
pub const MAGIC: [u8; 4] = *b"PYE1";
/// Bytes before the signature: what is signed, after [`CONTEXT`].
pub const SIGNED_BYTES: usize = 94;
/// Bytes before the body.
pub const HEADER_BYTES: usize = SIGNED_BYTES + 64;
/// What stands before the header in the signed bytes, so that no signature made for something else counts here.
pub const CONTEXT: &[u8] = b"patchyard envelope 1\0";

/// Bit 0: the body is deflated (RFC 1951).
const DEFLATED: u16 = 1;
/// Bit 1: the body is a length u32, so many bytes of JSON, and an attachment.
const ATTACHMENT: u16 = 2;
/// From this size on a body is deflated.
const DEFLATE_FROM_BYTES: usize = 4 << 10;
/// The longest body of a request to be enrolled: none is deflated.
const ENROLMENT_BYTES: usize = DEFLATE_FROM_BYTES;

/// What the header of an envelope says besides key and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the protocol that the sender speaks.
    pub protocol: u16,
    /// What the body is.
    pub kind: Kind,
    /// The sender's count of requests; an answer has that of its request.
    pub sequence: u64,
    /// The request's name, drawn by chance; in an answer what tells its request from all others, see [`Asked`].
    pub nonce: Nonce,
    /// When it was sent, by the sender's time; in an answer this is how the server tells its time.
    pub sent_at: Timestamp,
}

impl Header {
    /// The header of a request of this version.
    pub fn request(kind: Kind, sequence: u64, nonce: Nonce, sent_at: Timestamp) -> Self {
        Self {
            protocol: VERSION,
            kind,
            sequence,
            nonce,
            sent_at,
        }
    }

    /// The request by which the chain of check-ins knows it.
    pub fn sent_as(&self) -> chain::Request {
        chain::Request {
            nonce: self.nonce,
            sequence: self.sequence,
            sent_at: self.sent_at,
        }
    }

    /// The header of an answer to what is no request: it answers none.
    pub fn unasked(kind: Kind, sent_at: Timestamp) -> Self {
        Self::request(kind, 0, Nonce([0; 16]), sent_at)
    }
}

/// A body before it is packed: JSON, and for some kinds bytes that go with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The message.
    pub json: Vec<u8>,
    /// Bytes that the message speaks of.
    pub attachment: Option<Vec<u8>>,
}

/// Makes envelopes.
#[derive(Debug)]
pub enum Envelope {}

impl Envelope {
    /// The envelope around a body, signed. A body of 4 KiB and more is deflated, unless it introduces the server.
    ///
    /// # Errors
    /// [`OverLimit`] if the body is larger than [`limits::BODY_BYTES`].
    pub fn seal(key: &SigningKey, header: Header, body: &Body) -> Result<Vec<u8>, OverLimit> {
        let mut flags = 0;
        let mut plain = Cow::Borrowed(body.json.as_slice());
        if let Some(attachment) = &body.attachment {
            flags |= ATTACHMENT;
            let length = u32::try_from(body.json.len()).unwrap_or(u32::MAX);
            plain = Cow::Owned([&length.to_be_bytes(), body.json.as_slice(), attachment].concat());
        }
        limits::within("bytes of a message", plain.len(), limits::BODY_BYTES)?;
        let introduces = header.kind.is_answer() && body.attachment.is_some();
        if plain.len() >= DEFLATE_FROM_BYTES && !introduces {
            let packed = pack::deflate(&plain);
            if packed.len() < plain.len() && plain.len() <= packed.len().saturating_mul(limits::INFLATE_RATIO)
            {
                flags |= DEFLATED;
                plain = Cow::Owned(packed);
            }
        }
        Ok(Self::assemble(key, header, flags, &plain))
    }

    fn assemble(key: &SigningKey, header: Header, flags: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("the limit of bodies is far below 4 GiB");
        let mut signed = Vec::with_capacity(CONTEXT.len() + SIGNED_BYTES);
        signed.extend(CONTEXT);
        signed.extend(MAGIC);
        signed.extend(header.protocol.to_be_bytes());
        signed.extend(header.kind.0.to_be_bytes());
        signed.extend(flags.to_be_bytes());
        signed.extend(key.id().0);
        signed.extend(header.sequence.to_be_bytes());
        signed.extend(header.nonce.0);
        signed.extend(header.sent_at.as_microsecond().to_be_bytes());
        signed.extend(length.to_be_bytes());
        signed.extend(sha256(body).0);
        [&signed[CONTEXT.len()..], &key.sign(&signed), body].concat()
    }
}

/// An envelope whose header was read and whose signature was not looked at: nothing in it is to be believed.
#[derive(Clone, Copy, Debug)]
pub struct Unopened<'a> {
    header: Header,
    flags: u16,
    key_id: KeyId,
    body_digest: [u8; 32],
    head: &'a [u8; HEADER_BYTES],
    body: &'a [u8],
}

/// Bytes that are no envelope.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// They do not begin as one.
    #[error("this is no envelope of Patchyard")]
    NotAnEnvelope,
    /// They end too early, or go on after the body.
    #[error("the envelope has {has} bytes and names {named}")]
    Length {
        /// Bytes there are.
        has: u64,
        /// Bytes there should be.
        named: u64,
    },
    /// The body is too large.
    #[error(transparent)]
    TooLarge(#[from] OverLimit),
    /// A flag is set that this version does not know.
    #[error("the envelope has flags that are not known: {0:#06x}")]
    Flags(u16),
    /// The time of sending is none.
    #[error("the envelope's time is out of range")]
    Time,
}

/// An envelope that cannot be opened with a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// It names another key.
    #[error("the envelope is signed by the key {named}, not by {tried}")]
    OtherKey {
        /// The key that it names.
        named: KeyId,
        /// The key that was tried.
        tried: KeyId,
    },
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed")]
    Body,
    /// The body does not inflate.
    #[error(transparent)]
    Inflate(#[from] InflateError),
    /// The body's parts do not fit into it.
    #[error("the parts of the body do not fit into it")]
    Parts,
}

impl<'a> Unopened<'a> {
    /// Reads the header. The length must fit exactly; the protocol version may be any, so that an answer is possible.
    ///
    /// # Errors
    /// [`ParseError`] if these bytes are no envelope, or too large a one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ParseError::NotAnEnvelope);
        }
        let has = bytes.len() as u64;
        let short = ParseError::Length {
            has,
            named: HEADER_BYTES as u64,
        };
        let (head, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
        let mut fields = Fields(&head[MAGIC.len()..]);
        let protocol = u16::from_be_bytes(fields.next());
        let kind = Kind(u16::from_be_bytes(fields.next()));
        let flags = u16::from_be_bytes(fields.next());
        let key_id = KeyId(fields.next());
        let sequence = u64::from_be_bytes(fields.next());
        let nonce = Nonce(fields.next());
        let sent_at = i64::from_be_bytes(fields.next());
        let length = u32::from_be_bytes(fields.next());
        let body_digest = fields.next();
        limits::within("bytes of a message", length as usize, limits::BODY_BYTES)?;
        let named = HEADER_BYTES as u64 + u64::from(length);
        if has != named {
            return Err(ParseError::Length { has, named });
        }
        if flags & !(DEFLATED | ATTACHMENT) != 0 {
            return Err(ParseError::Flags(flags));
        }
        let header = Header {
            protocol,
            kind,
            sequence,
            nonce,
            sent_at: Timestamp::from_microsecond(sent_at).map_err(|_| ParseError::Time)?,
        };
        Ok(Self {
            header,
            flags,
            key_id,
            body_digest,
            head,
            body,
        })
    }

    /// The key that the envelope names.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What the header says.
    pub fn header(&self) -> Header {
        self.header
    }

    /// What the body is said to be.
    pub fn kind(&self) -> Kind {
        self.header.kind
    }

    /// What an answer to it has to name.
    pub fn asked(&self) -> Asked {
        Asked::of(self.header, self.head)
    }

    /// Opens it: the signature, then the body's digest, then the body.
    ///
    /// # Errors
    /// [`OpenError`] if anything is not as it was signed, or the body is too large when inflated.
    pub fn open(&self, key: &VerifyingKey) -> Result<Opened<'a>, OpenError> {
        if key.id() != self.key_id {
            return Err(OpenError::OtherKey {
                named: self.key_id,
                tried: key.id(),
            });
        }
        let (head, signature) = self
            .head
            .split_last_chunk::<64>()
            .expect("the head ends in a signature");
        let mut signed = [0; CONTEXT.len() + SIGNED_BYTES];
        signed[..CONTEXT.len()].copy_from_slice(CONTEXT);
        signed[CONTEXT.len()..].copy_from_slice(head);
        key.verify(&signed, signature)?;
        if sha256(self.body).0 != self.body_digest {
            return Err(OpenError::Body);
        }
        let body = if self.flags & DEFLATED == 0 {
            Cow::Borrowed(self.body)
        } else {
            Cow::Owned(pack::inflate(self.body)?)
        };
        let json_starts = if self.flags & ATTACHMENT == 0 { 0 } else { 4 };
        let json_ends = match parts(&body).filter(|_| json_starts > 0) {
            Some((json, _)) => json_starts + json.len(),
            None if json_starts == 0 => body.len(),
            None => return Err(OpenError::Parts),
        };
        Ok(Opened {
            header: self.header,
            key_id: self.key_id,
            head: self.head,
            body,
            json: json_starts..json_ends,
        })
    }

    /// Opens a request to be enrolled with the key that it brings along itself: the signature proves that the sender has
    /// that key, and nothing else. Such a request is short, so it is never deflated and has no attachment.
    ///
    /// # Errors
    /// [`OpenError`] as for [`Unopened::open`]; [`OpenError::Parts`] if it is no such request.
    pub fn open_enrolment(&self) -> Result<Opened<'a>, OpenError> {
        /// Only the key: the rest is read after the signature was seen to hold.
        #[derive(serde::Deserialize)]
        struct Brought {
            #[serde(with = "crate::wire::array")]
            public_key: [u8; 32],
        }
        if self.header.kind != Kind::ENROL || self.flags != 0 || self.body.len() > ENROLMENT_BYTES {
            return Err(OpenError::Parts);
        }
        let brought: Brought = serde_json::from_slice(self.body).map_err(|_| OpenError::Parts)?;
        self.open(&VerifyingKey::from_bytes(brought.public_key))
    }

    /// The card with which a server that the agent does not know yet introduces itself, in answers to an enrolment.
    /// It proves itself against the pinned authority and nothing else of the envelope is looked at.
    ///
    /// # Errors
    /// [`CardError`] if there is none, or it is no card.
    pub fn introduction(&self) -> Result<ServerCard, CardError> {
        if self.flags != ATTACHMENT || !self.header.kind.is_answer() {
            return Err(CardError::Absent);
        }
        let (_, card) = parts(self.body).ok_or(CardError::Absent)?;
        ServerCard::parse(card)
    }
}

/// JSON and attachment of a body that has both.
fn parts(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Reads fields of a header whose length is known.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("the header has its full length");
        self.0 = rest;
        *field
    }
}

/// An envelope that its key signed.
#[derive(Clone, Debug)]
pub struct Opened<'a> {
    header: Header,
    key_id: KeyId,
    head: &'a [u8; HEADER_BYTES],
    body: Cow<'a, [u8]>,
    json: std::ops::Range<usize>,
}

impl Opened<'_> {
    /// What the header says.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The key that signed.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The message.
    pub fn json(&self) -> &[u8] {
        &self.body[self.json.clone()]
    }

    /// The bytes that go with the message; empty if none do.
    pub fn attachment(&self) -> &[u8] {
        &self.body[self.json.end..]
    }

    /// What an answer to it has to name.
    pub fn asked(&self) -> Asked {
        Asked::of(self.header, self.head)
    }

    /// Whether this answers that request and no other one.
    pub fn answers(&self, asked: &Asked) -> bool {
        self.header.kind.is_answer() && asked.is_named_by(&self.header)
    }
}
