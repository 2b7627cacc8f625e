//! The enrolment token: one short text that a person carries to a host. It says where the server is, whom to trust
//! there, which site the host belongs to, and holds the secret that lets it in.

use crate::address::ServerAddress;
use crate::{limits, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;

/// A token, as [`EnrolmentToken::to_text`] writes it: `py1-` and base64url (RFC 4648, section 5, unpadded) over its bytes,
/// which end in a check sum against slips of the clipboard.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Where the server listens, the best first; 1 to [`limits::ADDRESSES`].
    pub addresses: Vec<ServerAddress>,
    /// The digest of its root authority's certificate.
    pub authority: Sha256Digest,
    /// What lets the host in. The server keeps only its digest.
    pub secret: [u8; 16],
    /// The name of the site that the host will belong to, 1 to [`SITE_BYTES`] bytes.
    pub site: String,
    /// The digest of the agent's package to install, where the command does that too.
    pub package: Option<Sha256Digest>,
    /// When it stops to count, in whole seconds.
    pub expires: Timestamp,
}

/// The longest name of a site in a token.
pub const SITE_BYTES: usize = 100;

const PREFIX: &str = "py1-";
const HAS_PACKAGE: u8 = 1;

/// A text that is no enrolment token.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// It does not begin with `py1-`.
    #[error("an enrolment token begins with py1-; copy the whole token that `patchyard enrol` printed")]
    NotAToken,
    /// It has another character in it, lacks some, or has some too many.
    #[error("the enrolment token is damaged or not whole; copy it again from `patchyard enrol`")]
    Damaged,
    /// It says something that cannot be.
    #[error(
        "the enrolment token is of a version that this agent does not know; install the server's agent package"
    )]
    Unreadable,
}

impl EnrolmentToken {
    /// The token's text: a secret.
    pub fn to_text(&self) -> String {
        let mut bytes = vec![if self.package.is_some() { HAS_PACKAGE } else { 0 }];
        bytes.extend(self.expires.as_second().to_be_bytes());
        bytes.extend(self.authority.0);
        bytes.extend(self.secret);
        bytes.extend(
            self.package
                .map(|digest| digest.0)
                .unwrap_or_default()
                .iter()
                .take(if self.package.is_some() { 32 } else { 0 }),
        );
        put(&mut bytes, &self.site);
        bytes.push(u8::try_from(self.addresses.len()).unwrap_or(u8::MAX));
        for address in &self.addresses {
            put(&mut bytes, &address.to_string());
        }
        let sum = check_sum(&bytes);
        bytes.extend(sum);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What the server keeps of the secret, and finds the token by.
    pub fn secret_digest(secret: &[u8; 16]) -> Sha256Digest {
        sha256(&[b"patchyard enrolment 1\0".as_slice(), secret].concat())
    }
}

fn check_sum(bytes: &[u8]) -> [u8; 4] {
    let digest = sha256(bytes).0;
    [digest[0], digest[1], digest[2], digest[3]]
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend(text.as_bytes());
}

/// The rest of a token's bytes.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], TokenError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(TokenError::Unreadable)?;
        self.0 = rest;
        Ok(*first)
    }

    fn text(&mut self) -> Result<&'a str, TokenError> {
        let [length] = self.take()?;
        let (text, rest) = self
            .0
            .split_at_checked(usize::from(length))
            .ok_or(TokenError::Unreadable)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| TokenError::Unreadable)
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;

    /// Reads a token; white space around it is no harm.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        if encoded.len() > limits::TOKEN_BYTES - PREFIX.len() {
            return Err(TokenError::Damaged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Damaged)?;
        let (bytes, sum) = bytes.split_last_chunk::<4>().ok_or(TokenError::Damaged)?;
        if check_sum(bytes) != *sum {
            return Err(TokenError::Damaged);
        }
        let mut rest = Rest(bytes);
        let [flags] = rest.take()?;
        if flags & !HAS_PACKAGE != 0 {
            return Err(TokenError::Unreadable);
        }
        let expires = i64::from_be_bytes(rest.take()?);
        let token = Self {
            expires: Timestamp::from_second(expires).map_err(|_| TokenError::Unreadable)?,
            authority: Sha256Digest(rest.take()?),
            secret: rest.take()?,
            package: if flags & HAS_PACKAGE == 0 {
                None
            } else {
                Some(Sha256Digest(rest.take()?))
            },
            site: site(rest.text()?)?,
            addresses: addresses(&mut rest)?,
        };
        if !rest.0.is_empty() {
            return Err(TokenError::Unreadable);
        }
        Ok(token)
    }
}

fn site(text: &str) -> Result<String, TokenError> {
    if text.is_empty() || text.len() > SITE_BYTES || text.chars().any(char::is_control) {
        return Err(TokenError::Unreadable);
    }
    Ok(text.to_owned())
}

fn addresses(rest: &mut Rest<'_>) -> Result<Vec<ServerAddress>, TokenError> {
    let [count] = rest.take()?;
    if !(1..=limits::ADDRESSES).contains(&usize::from(count)) {
        return Err(TokenError::Unreadable);
    }
    let address = |_| rest.text()?.parse().map_err(|_| TokenError::Unreadable);
    (0..count).map(address).collect()
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken")
            .field("addresses", &self.addresses)
            .field("authority", &self.authority)
            .field("site", &self.site)
            .field("package", &self.package)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EnrolmentToken {
    /// Without the secret: fit for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self
            .addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        write!(f, "{PREFIX}… for site {} at {address}", self.site)
    }
}
