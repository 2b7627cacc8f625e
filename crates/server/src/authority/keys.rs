//! The folder of keys, being opened: what is there is read, what is missing or ends soon is made.

mod key_file;

use super::roots::Succession;
use super::sealed::Sealer;
use super::x509::{self, Role, Signer, Validity};
use super::{
    ANSWERS_LIFE, AuthorityError, CertifiedSigningKey, DAY, ISSUING_LIFE, ISSUING_NAME, Issuing, Listener,
    ROOT_LIFE, Root, Roots, SERVER_LIFE, ends_within,
};
use crate::clock::{Chance, draw};
use crate::private_file::write_durably;
use jiff::Timestamp;
pub(super) use key_file::KeptKey;
use protocol::card::{KeyCertificate, KeyTerms, Purpose};
use protocol::key::SigningKey;
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls_pki_types::CertificateDer;
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// The folder of keys, being opened.
pub(super) struct Keys<'a> {
    pub(super) folder: &'a Path,
    pub(super) sealer: &'a Sealer,
    pub(super) epoch: u64,
    pub(super) now: Timestamp,
    pub(super) chance: &'a dyn Chance,
}

impl Keys<'_> {
    pub(super) fn read(&self, name: &str) -> Result<Option<KeptKey>, AuthorityError> {
        Ok(KeptKey::read(self.sealer, self.folder, name)?)
    }

    pub(super) fn write(&self, name: &str, key: &KeptKey) -> Result<(), AuthorityError> {
        Ok(key.write(self.sealer, self.folder, name, self.chance)?)
    }

    /// Removes a sealed file, durably; one that is not there is no fault.
    pub(super) fn remove(&self, name: &str) -> Result<(), AuthorityError> {
        Ok(self.sealer.remove_file(self.folder, name)?)
    }

    /// The present root. `root.der` names it, except where a switch to the next one was cut short.
    pub(super) fn root(&self, succession: Option<&Succession>) -> Result<Root, AuthorityError> {
        let path = self.folder.join("root.der");
        let failed = |cause| AuthorityError::Folder {
            path: path.clone(),
            cause,
        };
        let known = match std::fs::read(&path) {
            Ok(certificate) => Some(certificate),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(cause)),
        };
        let root = match (self.read("root")?, &known) {
            (Some(kept), _) => Root::of_kept(kept)?,
            (None, Some(certificate)) => return Root::without_key(certificate.clone()),
            (None, None) => {
                let kept = self.draw_root()?;
                self.write("root", &kept)?;
                Root::of_kept(kept)?
            }
        };
        let is_named = known.as_deref() == Some(&*root.certificate);
        let is_next = |known: &Vec<u8>| {
            succession.is_some_and(|succession| {
                *succession.from == **known && succession.to.digest() == root.digest
            })
        };
        if !is_named && known.is_some_and(|known| !is_next(&known)) {
            return Err(AuthorityError::FormerRoot);
        }
        if !is_named {
            write_durably(&path, &root.certificate).map_err(failed)?;
        }
        Ok(root)
    }

    /// Draws a root authority; keeps nothing.
    pub(super) fn draw_root(&self) -> Result<KeptKey, AuthorityError> {
        let seed = Zeroizing::new(draw::<32>(self.chance));
        let key = SigningKey::from_seed(&seed);
        let validity = Validity::starting(self.now, ROOT_LIFE);
        // Roots differ by name, so that a certificate says which of them it hangs from.
        let subject = format!("Patchyard root authority {}", &key.id().to_string()[..8]);
        let signing = CertificateSigning::new(&key);
        let role = (Role::Root, subject.as_str());
        let certificate = x509::make(role, &signing, Signer::Itself(&signing), validity, self.chance)?;
        Ok(KeptKey {
            secret: Zeroizing::new(seed.to_vec()),
            certificate: certificate.to_vec(),
            validity,
            names: vec![subject],
            by: None,
        })
    }

    /// A certificate of the next root's key, signed by the present root: who knows only that one follows it to the next.
    pub(super) fn cross(
        &self,
        present: &Root,
        key: &SigningKey,
        next: &Root,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let next_key = next
            .key
            .as_ref()
            .ok_or(AuthorityError::RootOffline { name: "root-next" })?;
        let validity = Validity {
            from: next.validity.from,
            until: present.validity.until.min(next.validity.until),
        };
        Ok(x509::make(
            (Role::Root, &next.name),
            &CertificateSigning::new(next_key),
            Signer::Authority(&present.name, &CertificateSigning::new(key)),
            validity,
            self.chance,
        )?)
    }

    pub(super) fn issuing(&self, root: &Root) -> Result<Issuing, AuthorityError> {
        match self.read("issuing")? {
            Some(kept) if kept.by == Some(root.digest) => Ok(Issuing {
                key: p256(&kept, "issuing")?,
                validity: kept.validity,
                certificate: kept.certificate.into(),
            }),
            _ => self.make_issuing(root),
        }
    }

    pub(super) fn make_issuing(&self, root: &Root) -> Result<Issuing, AuthorityError> {
        let root_key = root
            .key
            .as_ref()
            .ok_or(AuthorityError::RootOffline { name: "issuing" })?;
        let key = x509::new_p256()?;
        let validity = Validity::starting(self.now, ISSUING_LIFE);
        let certificate = x509::make(
            (Role::Issuing, ISSUING_NAME),
            &key,
            Signer::Authority(&root.name, &CertificateSigning::new(root_key)),
            validity,
            self.chance,
        )?;
        let kept = KeptKey {
            secret: Zeroizing::new(key.serialize_der()),
            certificate: certificate.to_vec(),
            validity,
            names: Vec::new(),
            by: Some(root.digest),
        };
        self.write("issuing", &kept)?;
        Ok(Issuing {
            certificate,
            validity,
            key,
        })
    }

    pub(super) fn listener(
        &self,
        roots: &Roots,
        issuing: &Issuing,
        names: &[String],
    ) -> Result<Listener, AuthorityError> {
        match self.read("listener")? {
            Some(kept)
                if kept.names == names
                    && kept.by == Some(content::sha256(&issuing.certificate))
                    && !ends_within(kept.validity, self.now, DAY * 30) =>
            {
                let key = p256(&kept, "listener")?;
                Listener::of(kept, &key, roots, issuing)
            }
            _ => self.make_listener(roots, issuing, names),
        }
    }

    pub(super) fn make_listener(
        &self,
        roots: &Roots,
        issuing: &Issuing,
        names: &[String],
    ) -> Result<Listener, AuthorityError> {
        let key = x509::new_p256()?;
        let validity = Validity::starting(self.now, SERVER_LIFE);
        let certificate = x509::make(
            (Role::Server(names), "Patchyard server"),
            &key,
            Signer::Authority(ISSUING_NAME, &issuing.key),
            validity,
            self.chance,
        )?;
        let kept = KeptKey {
            secret: Zeroizing::new(key.serialize_der()),
            certificate: certificate.to_vec(),
            validity,
            names: names.to_vec(),
            by: Some(content::sha256(&issuing.certificate)),
        };
        self.write("listener", &kept)?;
        Listener::of(kept, &key, roots, issuing)
    }

    /// A signing key of this name and purpose, certified by the root; made where there is none, and certified anew in
    /// a new epoch and ahead of its end.
    pub(super) fn certified(
        &self,
        root: &Root,
        name: &'static str,
        purpose: Purpose,
    ) -> Result<CertifiedSigningKey, AuthorityError> {
        let kept = match self.read(name)? {
            Some(kept) => kept,
            None => KeptKey {
                secret: Zeroizing::new(draw::<32>(self.chance).to_vec()),
                certificate: Vec::new(),
                validity: Validity::starting(self.now, ANSWERS_LIFE),
                names: Vec::new(),
                by: None,
            },
        };
        let seed = kept.secret.as_slice().try_into();
        let key = SigningKey::from_seed(seed.map_err(|_wrong_length| AuthorityError::Damaged { name })?);
        let certificate = serde_json::from_slice::<KeyCertificate>(&kept.certificate).ok();
        let is_current = |certificate: &KeyCertificate| {
            certificate.epoch == self.epoch
                && certificate.by == root.digest
                && !ends_within(kept.validity, self.now, ANSWERS_LIFE / 2)
        };
        match (certificate, &root.key) {
            (Some(certificate), _) if is_current(&certificate) => {
                Ok(CertifiedSigningKey { key, certificate })
            }
            (Some(certificate), None) if certificate.by == root.digest => {
                Ok(CertifiedSigningKey { key, certificate })
            }
            (_, None) => Err(AuthorityError::RootOffline { name }),
            (_, Some(root_key)) => {
                let validity = Validity::starting(self.now, ANSWERS_LIFE);
                let terms = KeyTerms {
                    purpose,
                    not_before: validity.from,
                    not_after: validity.until,
                    epoch: self.epoch,
                };
                let certificate = KeyCertificate::issue(root.digest, root_key, key.verifying(), terms);
                let kept = KeptKey {
                    certificate: serde_json::to_vec(&certificate).expect("a certificate is JSON"),
                    validity,
                    ..kept
                };
                self.write(name, &kept)?;
                Ok(CertifiedSigningKey { key, certificate })
            }
        }
    }

    pub(super) fn symmetric(&self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, AuthorityError> {
        if let Some(secret) = self.sealer.read_file(self.folder, name)? {
            let secret = secret.as_slice().try_into();
            return secret
                .map(Zeroizing::new)
                .map_err(|_wrong_length| AuthorityError::Damaged { name });
        }
        let secret = Zeroizing::new(draw::<32>(self.chance));
        self.sealer.write_file(self.folder, name, &*secret, self.chance)?;
        Ok(secret)
    }
}

/// An Ed25519 key that signs X.509 certificates.
struct CertificateSigning<'a> {
    key: &'a SigningKey,
    public: [u8; 32],
}

impl<'a> CertificateSigning<'a> {
    fn new(key: &'a SigningKey) -> Self {
        Self {
            key,
            public: key.verifying().to_bytes(),
        }
    }
}

impl PublicKeyData for CertificateSigning<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for CertificateSigning<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(message).to_vec())
    }
}

fn p256(kept: &KeptKey, name: &'static str) -> Result<KeyPair, AuthorityError> {
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(kept.secret.as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|_damaged| AuthorityError::Damaged { name })
}
