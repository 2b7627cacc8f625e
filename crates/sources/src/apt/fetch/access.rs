//! What opens one private archive: a login, a client certificate, and the authority that the archive's own certificate comes
//! from. All of it is shown to that one archive, over TLS, and to nobody whom it redirects to.

use super::address::{Address, AddressError, HttpAddress, Scheme, shown};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts};

/// The longest PEM text of a certificate, a key or an authority that is read, in bytes.
pub const MAX_PEM_BYTES: usize = 64 * 1024;

/// The texts that open an archive, as a person gives them.
#[derive(Clone, Copy, Default)]
pub struct Secrets<'a> {
    /// User name and password (RFC 7617): the name without a colon, neither with control characters.
    pub login: Option<(&'a str, &'a str)>,
    /// A client certificate with its chain, and its private key, both PEM (RFC 7468).
    pub certificate: Option<(&'a str, &'a str)>,
    /// The authorities that the archive's certificate may come from, PEM, in place of the computer's own.
    pub authorities: Option<&'a str>,
}

/// What opens one archive.
#[derive(Clone)]
pub struct Access {
    /// Host and port, as in the addresses of the archive.
    authority: String,
    login: Option<(String, String)>,
    certificate: Option<ClientCert>,
    roots: Option<RootCerts>,
}

/// Why something opens no archive. Says nothing of what was given.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// An address that this program cannot use.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Everybody on the way could read it.
    #[error("{uri} is not https:// : whatever opens it could be read by everybody on the way")]
    InTheClear {
        /// The address, without a login.
        uri: String,
    },
    /// RFC 7617, section 2.
    #[error(
        "a user name has 1 to 256 characters and no colon, a password at most 1024, and neither has control characters"
    )]
    Login,
    /// Not PEM, or not what was asked for.
    #[error("the {what} cannot be read: it is given as PEM, in at most 64 KiB")]
    NotPem {
        /// What it should be.
        what: &'static str,
    },
    /// The key is none that TLS can use, or belongs to another certificate.
    #[error("the client certificate and its key do not fit each other, or TLS cannot use them")]
    Unfit(#[source] rustls::Error),
}

impl Access {
    /// What opens the archive at this address.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn new(uri: &str, secrets: Secrets<'_>) -> Result<Self, AccessError> {
        let Address::Http(HttpAddress {
            scheme: Scheme::Https,
            authority,
            ..
        }) = Address::parse(uri)?
        else {
            return Err(AccessError::InTheClear { uri: shown(uri) });
        };
        Ok(Self {
            authority,
            login: secrets.login.map(login).transpose()?,
            certificate: secrets.certificate.map(client_certificate).transpose()?,
            roots: secrets.authorities.map(roots).transpose()?,
        })
    }

    /// Whether an address is of the archive that it opens.
    pub(super) fn is_for(&self, at: &HttpAddress) -> bool {
        at.scheme == Scheme::Https && at.authority == self.authority
    }

    /// User name and password.
    pub(super) fn login(&self) -> Option<&(String, String)> {
        self.login.as_ref()
    }

    /// What is shown in the handshake.
    pub(super) fn certificate(&self) -> Option<&ClientCert> {
        self.certificate.as_ref()
    }

    /// Whom the archive's certificate may come from.
    pub(super) fn roots(&self) -> Option<&RootCerts> {
        self.roots.as_ref()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({}, secret)", self.authority)
    }
}

fn login((user, password): (&str, &str)) -> Result<(String, String), AccessError> {
    let is_plain = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
    let is_good = !user.is_empty() && !user.contains(':') && is_plain(user, 256) && is_plain(password, 1024);
    match is_good {
        true => Ok((user.to_owned(), password.to_owned())),
        false => Err(AccessError::Login),
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(all) if !all.is_empty() && pem.len() <= MAX_PEM_BYTES => Ok(all),
        _ => Err(AccessError::NotPem { what }),
    }
}

/// A certificate and a key that fit: the client that takes them ends the process over others.
fn client_certificate((certificate, key): (&str, &str)) -> Result<ClientCert, AccessError> {
    const KEY: AccessError = AccessError::NotPem {
        what: "key of the client certificate (without a passphrase)",
    };
    let chain = certificates("client certificate", certificate)?;
    let der = Some(key)
        .filter(|key| key.len() <= MAX_PEM_BYTES)
        .and_then(|key| PrivateKeyDer::from_pem_slice(key.as_bytes()).ok())
        .ok_or(KEY)?;
    let provider = ring::default_provider();
    CertifiedKey::from_der(chain.clone(), der, &provider).map_err(AccessError::Unfit)?;
    let key = PrivateKey::from_pem(key.as_bytes()).map_err(|_malformed| KEY)?;
    let chain: Vec<_> = chain
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn roots(pem: &str) -> Result<RootCerts, AccessError> {
    let what = "certificate of the archive's authority";
    let all = certificates(what, pem)?;
    let mut store = rustls::RootCertStore::empty();
    match store.add_parsable_certificates(all.iter().cloned()) {
        (_, 0) => {}
        _ => return Err(AccessError::NotPem { what }),
    }
    let all: Vec<_> = all
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    Ok(RootCerts::new_with_certs(&all))
}
