//! What opens a private source, at rest: sealed under the master key, in the clear only while a sync uses it.

use super::row::{self, BadRow};
use crate::authority::sealed::SealError;
use crate::context::Context;
use serde::{Deserialize, Serialize};
use sources::apt::fetch::access::{Access, AccessError, Secrets};
use zeroize::{Zeroize, Zeroizing};

/// What it is sealed for.
const CREDENTIALS: &str = "credentials of sources";

/// What opens a source, and at which address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessJson {
    /// The archive that it is shown to; never another address of the source.
    pub uri: String,
    /// User name and password.
    pub login: Option<LoginJson>,
    /// A client certificate.
    pub certificate: Option<CertificateJson>,
    /// The authorities that the archive's own certificate may come from, PEM.
    pub authorities: Option<String>,
}

/// A login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginJson {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// A client certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateJson {
    /// It and its chain, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
}

impl Drop for LoginJson {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

impl Drop for CertificateJson {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl std::fmt::Debug for AccessJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessJson(secret)")
    }
}

/// Why a source is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What is sealed does not open.
    #[error("open the credentials of the source")]
    Sealed(#[source] SealError),
    /// What was sealed is nothing of this program.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// What was sealed opens no archive.
    #[error("use the credentials of the source")]
    Unfit(#[from] AccessError),
}

impl AccessJson {
    /// As a fetch uses it.
    ///
    /// # Errors
    /// Says what of it cannot be used, and repeats nothing of it.
    pub fn to_access(&self) -> Result<Access, AccessError> {
        let login = self.login.as_ref();
        let certificate = self.certificate.as_ref();
        Access::new(
            &self.uri,
            Secrets {
                login: login.map(|login| (&*login.username, &*login.password)),
                certificate: certificate.map(|own| (&*own.certificate, &*own.key)),
                authorities: self.authorities.as_deref(),
            },
        )
    }

    /// As a row keeps it.
    pub fn seal(&self, context: &Context) -> Vec<u8> {
        let text = Zeroizing::new(row::json(self));
        context
            .authority
            .sealer()
            .seal(CREDENTIALS, text.as_bytes(), &*context.chance)
    }
}

/// What a row keeps, as a fetch uses it.
///
/// # Errors
/// [`OpenError`].
pub fn open(context: &Context, sealed: &[u8]) -> Result<Access, OpenError> {
    Ok(read(context, sealed)?.to_access()?)
}

/// What a row keeps, in the clear: also for whoever must know what to hide.
///
/// # Errors
/// [`OpenError`].
pub fn read(context: &Context, sealed: &[u8]) -> Result<AccessJson, OpenError> {
    let opened = context.authority.sealer().unseal(CREDENTIALS, sealed);
    let opened = opened.map_err(OpenError::Sealed)?;
    let text = Zeroizing::new(String::from_utf8_lossy(&opened).into_owned());
    Ok(row::parse("the credentials", &text)?)
}
