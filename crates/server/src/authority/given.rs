//! A certificate for the listener that somebody else issued: read at the start, and read again by upkeep, so that a renewed one
//! is taken without a restart.

use super::{Authority, AuthorityError, x509};
use crate::settings::GivenCertificate;
use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// A given certificate with its key.
pub(super) struct Given {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) until: Timestamp,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Given {
    pub(super) fn open(given: &GivenCertificate) -> Result<Self, AuthorityError> {
        let failed = |path: &Path, cause: Cause| AuthorityError::Given {
            path: path.to_owned(),
            cause,
        };
        let read_chain = || -> Result<Vec<CertificateDer<'static>>, Cause> {
            Ok(CertificateDer::pem_file_iter(&given.chain)?.collect::<Result<_, _>>()?)
        };
        let chain = read_chain().map_err(|cause| failed(&given.chain, cause))?;
        let until = chain.first().and_then(|first| x509::validity_of(first));
        let until = until.ok_or_else(|| failed(&given.chain, "it holds no certificate".into()))?;
        let read_key = || -> Result<CertifiedKey, Cause> {
            let key = rustls_pki_types::PrivateKeyDer::from_pem_file(&given.key)?;
            let signing = rustls::crypto::ring::sign::any_supported_type(&key)?;
            let certified = CertifiedKey::new(chain.clone(), signing);
            certified.keys_match()?;
            Ok(certified)
        };
        let certified = read_key().map_err(|cause| failed(&given.key, cause))?;
        Ok(Self {
            certified: Arc::new(certified),
            until: until.until,
        })
    }
}

impl Authority {
    /// Reads the given certificate again. One that cannot be used leaves the one from before in its place. Whether it is
    /// another one than before.
    ///
    /// # Errors
    /// [`AuthorityError::Given`].
    pub fn reload_given(&self, files: &GivenCertificate) -> Result<bool, AuthorityError> {
        let read = Given::open(files)?;
        let mut given = self.given.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = given
            .as_ref()
            .is_none_or(|before| before.certified.cert != read.certified.cert);
        *given = Some(Arc::new(read));
        Ok(is_other)
    }

    /// The certificate for those who are not shown our own.
    pub(super) fn given(&self) -> Option<Arc<Given>> {
        self.given.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
