//! One key of the authority as it lies in its sealed file: the secret, its certificate, and how long it lasts.

use super::super::sealed::{SealError, Sealer};
use super::super::x509::Validity;
use crate::clock::Chance;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// A key of the authority, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct KeptKey {
    /// An Ed25519 seed (RFC 8032), a PKCS#8 key or the bytes of a symmetric key.
    pub(in super::super) secret: Zeroizing<Vec<u8>>,
    /// DER of its X.509 certificate; a key without one has no bytes here.
    pub(in super::super) certificate: Vec<u8>,
    /// How long it may be used; a symmetric key has no end.
    pub(in super::super) validity: Validity,
    /// The names that the certificate is for, in the order in which they were given.
    pub(in super::super) names: Vec<String>,
    /// The certificate that signed this one: its digest. A key that signs for itself, or that JSON certifies, has none here.
    pub(in super::super) by: Option<Sha256Digest>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    secret: String,
    certificate: String,
    from_us: i64,
    until_us: i64,
    names: Vec<String>,
    #[serde(default)]
    by: Option<String>,
}

impl KeptKey {
    /// Reads `<name>.sealed`; `None` where there is none.
    pub(in super::super) fn read(
        sealer: &Sealer,
        folder: &Path,
        name: &str,
    ) -> Result<Option<Self>, SealError> {
        let Some(plain) = sealer.read_file(folder, name)? else {
            return Ok(None);
        };
        let refused = || SealError::DoesNotOpen {
            purpose: name.to_owned(),
        };
        let mut text: Text = serde_json::from_slice(&plain).map_err(|_malformed| refused())?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_malformed| refused());
        let moment = |micros| Timestamp::from_microsecond(micros).map_err(|_out_of_range| refused());
        let key = Self {
            secret: Zeroizing::new(decode(&text.secret)?),
            certificate: decode(&text.certificate)?,
            validity: Validity {
                from: moment(text.from_us)?,
                until: moment(text.until_us)?,
            },
            names: text.names,
            by: match &text.by {
                None => None,
                Some(by) => Some(by.parse().map_err(|_malformed| refused())?),
            },
        };
        text.secret.zeroize();
        Ok(Some(key))
    }

    /// Writes `<name>.sealed`, durably.
    pub(in super::super) fn write(
        &self,
        sealer: &Sealer,
        folder: &Path,
        name: &str,
        chance: &dyn Chance,
    ) -> Result<(), SealError> {
        let mut text = Text {
            secret: STANDARD.encode(&*self.secret),
            certificate: STANDARD.encode(&self.certificate),
            from_us: self.validity.from.as_microsecond(),
            until_us: self.validity.until.as_microsecond(),
            names: self.names.clone(),
            by: self.by.map(|by| by.to_string()),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&text).expect("texts and numbers are JSON"));
        text.secret.zeroize();
        sealer.write_file(folder, name, &plain, chance)
    }
}
