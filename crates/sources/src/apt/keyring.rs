//! The keys that may sign a source: read from key files, put together, restricted to fingerprints.

use super::openpgp::Proven;
use super::openpgp::armor::{self, ArmorError};
use super::openpgp::certificate::{Certificate, Component};
use super::openpgp::packet::{PacketError, packets, tag};
use super::openpgp::signature::Issuer;
use domain::digest::Sha256Digest;
use domain::host::channels::{FingerprintChoice, Subkeys};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Largest key file that is read, in bytes.
pub const MAX_KEYRING_BYTES: usize = 4 << 20;
/// Most packets in one key file.
const MAX_PACKETS: usize = 50_000;

/// Certificates in the order in which apt would read them. Cheap to clone: what was checked of a certificate stays
/// checked.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    certificates: Vec<Arc<Certificate>>,
    /// By key id: the certificate and the component in it.
    index: Vec<([u8; 8], usize, usize)>,
    restriction: Option<Vec<FingerprintChoice>>,
}

/// Why bytes are not a keyring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Larger than [`MAX_KEYRING_BYTES`].
    #[error("the key file has {size_bytes} bytes, more than the {MAX_KEYRING_BYTES} allowed")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// GnuPG's own database format, which apt ignores as well.
    #[error("the key file is a GnuPG keybox; export its keys with gpg --export and use that file")]
    Keybox,
    /// Damaged armour.
    #[error("the key file's armour cannot be read")]
    Armor(#[source] ArmorError),
    /// Damaged packets.
    #[error("the key file cannot be read")]
    Packet(#[source] PacketError),
    /// A secret key: it should not be there at all.
    #[error("the key file contains a secret key; export the public one with gpg --export")]
    SecretKey,
    /// A packet that has no place in a key file.
    #[error("the key file contains an OpenPGP packet of type {tag}, which belongs to no key")]
    Misplaced {
        /// The packet's type.
        tag: u8,
    },
    /// More packets than anyone needs.
    #[error("the key file has more than {MAX_PACKETS} parts")]
    TooManyPackets,
    /// No key of version 4 in it.
    #[error("the key file contains no OpenPGP key of version 4")]
    NoKey,
}

/// A key of the keyring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundKey<'keyring> {
    pub(crate) certificate: &'keyring Certificate,
    pub(crate) component: &'keyring Component,
}

impl Keyring {
    /// Reads a key file as apt accepts it: OpenPGP certificates in binary or in ASCII armour. Certificates and subkeys of
    /// other versions than 4 are passed over, as GnuPG 2.2 does.
    pub fn parse(file: &[u8]) -> Result<Self, KeyringError> {
        Self::parse_with(file, &Arc::default())
    }

    /// The same; signatures by its keys that `proven` knows are not computed again, and it learns the others.
    pub fn parse_with(file: &[u8], proven: &Arc<Proven>) -> Result<Self, KeyringError> {
        if file.len() > MAX_KEYRING_BYTES {
            return Err(KeyringError::TooLarge {
                size_bytes: file.len(),
            });
        }
        if file.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::Keybox);
        }
        let mut certificates = Vec::new();
        if file.first().is_some_and(|first| first & 0x80 != 0) {
            read(file, proven, &mut certificates)?;
        } else {
            for block in armor::decode_all(file, "PUBLIC KEY BLOCK").map_err(KeyringError::Armor)? {
                read(&block, proven, &mut certificates)?;
            }
        }
        if certificates.is_empty() {
            return Err(KeyringError::NoKey);
        }
        Ok(Self::new(
            certificates
                .into_iter()
                .map(|parts| Arc::new(Certificate::new(parts)))
                .collect(),
            None,
        ))
    }

    fn new(certificates: Vec<Arc<Certificate>>, restriction: Option<Vec<FingerprintChoice>>) -> Self {
        let mut index = Vec::new();
        for (place, certificate) in certificates.iter().enumerate() {
            for (part, component) in certificate.components().iter().enumerate() {
                if let Some(fingerprint) = component.fingerprint {
                    index.push((key_id(fingerprint), place, part));
                }
            }
        }
        index.sort_unstable();
        Self {
            certificates,
            index,
            restriction,
        }
    }

    /// Both together. Of a certificate that stands in both, the first one's copy decides, as with apt; a revocation
    /// counts wherever it stands.
    pub fn merge(self, other: Self) -> Self {
        let certificates = self.certificates.into_iter().chain(other.certificates).collect();
        let restriction = match (self.restriction, other.restriction) {
            (Some(mut one), Some(two)) => {
                one.extend(two);
                Some(one)
            }
            (one, two) => one.or(two),
        };
        Self::new(certificates, restriction)
    }

    /// The same keys, of which only those chosen may vouch for a text. The others stay known: what they sign wrongly is
    /// refused all the same. An empty choice restricts nothing, as in a source without fingerprints.
    pub fn restrict(mut self, choices: &[FingerprintChoice]) -> Self {
        if !choices.is_empty() {
            self.restriction = Some(choices.to_vec());
        }
        self
    }

    /// Fingerprints of the certificates that may vouch: 40 upper-case hexadecimal digits, sorted, each once.
    pub fn fingerprints(&self) -> Vec<String> {
        let mut fingerprints: Vec<_> = self
            .certificates
            .iter()
            .filter(|certificate| {
                certificate.components().iter().any(|component| {
                    component.fingerprint.is_some()
                        && self.allows(FoundKey {
                            certificate,
                            component,
                        })
                })
            })
            .filter_map(|certificate| certificate.primary().fingerprint.map(|print| hexadecimal(&print)))
            .collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        fingerprints
    }

    /// Whether it holds no certificate at all.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// A digest of everything in it, in order, and of the restriction: equal digests judge every text alike.
    pub fn digest(&self) -> Sha256Digest {
        let mut hasher = Sha256::new();
        let mut add = |tag: u8, bytes: &[u8]| {
            hasher.update([tag]);
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        for component in self
            .certificates
            .iter()
            .flat_map(|certificate| certificate.components())
        {
            add(component.tag, &component.body);
            component
                .signatures
                .iter()
                .for_each(|signature| add(tag::SIGNATURE, signature));
        }
        for choice in self.restriction.iter().flatten() {
            let mark = if choice.subkeys == Subkeys::Excluded {
                b'!'
            } else {
                b'+'
            };
            add(mark, choice.fingerprint.as_bytes());
        }
        Sha256Digest(hasher.finalize().into())
    }

    /// The keys that a signature may be by, in the order in which they were read.
    pub(crate) fn find(&self, issuer: Issuer) -> Vec<FoundKey<'_>> {
        let Some(id) = issuer.key_id.or(issuer.fingerprint.map(key_id)) else {
            return Vec::new();
        };
        let start = self.index.partition_point(|(known, ..)| *known < id);
        let found = self.index[start..].iter().take_while(|(known, ..)| *known == id);
        let keys = found.map(|(_, place, part)| {
            let certificate = &*self.certificates[*place];
            FoundKey {
                certificate,
                component: &certificate.components()[*part],
            }
        });
        keys.filter(|key| {
            issuer
                .fingerprint
                .is_none_or(|print| key.component.fingerprint == Some(print))
        })
        .collect()
    }

    /// Whether a key may vouch under the restriction: it or, unless excluded, its certificate was chosen.
    pub(crate) fn allows(&self, key: FoundKey<'_>) -> bool {
        let Some(choices) = &self.restriction else {
            return true;
        };
        let own = key.component.fingerprint.map(|print| hexadecimal(&print));
        let primary = key
            .certificate
            .primary()
            .fingerprint
            .map(|print| hexadecimal(&print));
        choices.iter().any(|choice| {
            let chosen = Some(&choice.fingerprint);
            own.as_ref() == chosen || choice.subkeys == Subkeys::Included && primary.as_ref() == chosen
        })
    }
}

/// Sorts packets into certificates.
fn read(
    bytes: &[u8],
    proven: &Arc<Proven>,
    certificates: &mut Vec<Vec<Component>>,
) -> Result<(), KeyringError> {
    /// Where signatures go.
    enum Place {
        Outside,
        Passed,
        Component,
    }
    let mut place = Place::Outside;
    for (number, packet) in packets(bytes).enumerate() {
        let packet = packet.map_err(KeyringError::Packet)?;
        if number >= MAX_PACKETS {
            return Err(KeyringError::TooManyPackets);
        }
        match packet.tag {
            tag::PUBLIC_KEY => {
                place = if packet.body.first() == Some(&4) {
                    Place::Component
                } else {
                    Place::Outside
                };
                if matches!(place, Place::Component) {
                    certificates.push(vec![Component::new(packet.tag, packet.body, proven)]);
                } else {
                    certificates.push(Vec::new());
                }
            }
            tag::SECRET_KEY | tag::SECRET_SUBKEY => return Err(KeyringError::SecretKey),
            tag::TRUST | tag::MARKER => {}
            tag::USER_ID | tag::USER_ATTRIBUTE | tag::PUBLIC_SUBKEY | tag::SIGNATURE => {
                let Some(certificate) = certificates.last_mut() else {
                    return Err(KeyringError::Misplaced { tag: packet.tag });
                };
                if certificate.is_empty() {
                    continue;
                }
                match (packet.tag, &place) {
                    (tag::SIGNATURE, Place::Component) => {
                        if let Some(component) = certificate.last_mut() {
                            component.signatures.push(packet.body.into());
                        }
                    }
                    (tag::SIGNATURE, _) => {}
                    (tag::PUBLIC_SUBKEY, _) if packet.body.first() != Some(&4) => place = Place::Passed,
                    _ => {
                        place = Place::Component;
                        certificate.push(Component::new(packet.tag, packet.body, proven));
                    }
                }
            }
            tag => return Err(KeyringError::Misplaced { tag }),
        }
    }
    certificates.retain(|certificate| !certificate.is_empty());
    Ok(())
}

fn key_id(fingerprint: [u8; 20]) -> [u8; 8] {
    *fingerprint.last_chunk().expect("20 bytes have a last eight")
}

/// Upper-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02X}").expect("a string takes all text");
            text
        })
}
