//! Secrets at rest: bytes sealed under the master key, which lies outside the database in `keys/master.key` (mode 0600).
//! Who has a copy of the database, or of everything but that one file, has none of the secrets.

use crate::clock::{Chance, draw};
use crate::private_file::write_durably;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// What sealed bytes begin with: name and version of the form.
const MAGIC: &[u8; 4] = b"PYS1";
/// Bytes of a master key.
const KEY_BYTES: usize = 32;
/// No sealed file is longer, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// The master key, able to seal, to unseal and to derive keys for message authentication.
pub struct Sealer {
    sealing: LessSafeKey,
    deriving: hkdf::Prk,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(secret)")
    }
}

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A file of the keys folder could not be read.
    #[error("read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file of the keys folder could not be written.
    #[error("write the key file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The master key is no 32 bytes.
    #[error("the master key {} is damaged: put back the one from your backup", path.display())]
    MasterDamaged {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the master key.
    #[error(
        "the master key {} can be read by others (owner {owner}, mode {mode:o}): `chmod 600` it", path.display()
    )]
    MasterExposed {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Sealed keys without the master key that opens them.
    #[error("{} is missing, but sealed keys are there: put it back from your backup", path.display())]
    MasterMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Altered, cut, sealed for another purpose or under another master key.
    #[error("what is sealed as {purpose:?} does not open: it was altered, or belongs to another master key")]
    DoesNotOpen {
        /// What it was said to be.
        purpose: String,
    },
}

impl Sealer {
    /// A sealer under this key.
    pub fn of_key(key: &[u8; KEY_BYTES]) -> Self {
        let derive = |purpose: &[u8]| {
            let mut derived = Zeroizing::new([0; KEY_BYTES]);
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"patchyard master key v1")
                .extract(key)
                .expand(&[purpose], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut *derived))
                .expect("32 bytes are one block of SHA-256");
            derived
        };
        let sealing = UnboundKey::new(&CHACHA20_POLY1305, &*derive(b"seal")).expect("the key has 32 bytes");
        Self {
            sealing: LessSafeKey::new(sealing),
            deriving: hkdf::Salt::new(hkdf::HKDF_SHA256, b"patchyard derived keys v1")
                .extract(&*derive(b"derive")),
        }
    }

    /// Opens the master key of this folder. Where there is none, one is made, unless sealed keys are there already.
    pub fn open(folder: &Path, chance: &dyn Chance) -> Result<Self, SealError> {
        let path = folder.join("master.key");
        match read_master(&path)? {
            Some(key) => Ok(Self::of_key(&key)),
            None if has_sealed(folder).map_err(|cause| SealError::Read {
                path: folder.to_owned(),
                cause,
            })? =>
            {
                Err(SealError::MasterMissing { path })
            }
            None => {
                let key = Zeroizing::new(draw::<KEY_BYTES>(chance));
                write_durably(&path, &*key).map_err(|cause| SealError::Write { path, cause })?;
                Ok(Self::of_key(&key))
            }
        }
    }

    /// Seals bytes for a purpose: they open for the same purpose only. Each call draws a nonce of 96 bits, which is
    /// enough for the few thousand secrets of a server.
    pub fn seal(&self, purpose: &str, plain: &[u8], chance: &dyn Chance) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = draw(chance);
        let mut body = plain.to_vec();
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut body,
            )
            .expect("secrets are far shorter than the cipher's limit");
        [MAGIC.as_slice(), &nonce, &body].concat()
    }

    /// Opens what was sealed for this purpose under this master key.
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let refused = || SealError::DoesNotOpen {
            purpose: purpose.to_owned(),
        };
        let rest = sealed.strip_prefix(MAGIC).ok_or_else(refused)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .sealing
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_unspecified| refused())?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    /// A key for message authentication (HMAC-SHA-256) that is the same on every node with this master key, and
    /// another for every purpose: opaque cursors, cross-site request tokens, salted commitments.
    pub fn mac_key(&self, purpose: &str) -> ring::hmac::Key {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        self.deriving
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("32 bytes are one block of SHA-256");
        ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &*key)
    }

    /// Reads and opens `<name>.sealed` of the folder; `None` where there is none.
    pub(super) fn read_file(
        &self,
        folder: &Path,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SealError> {
        let path = sealed_path(folder, name);
        match read_bounded(&path) {
            Ok(sealed) => self.unseal(name, &sealed).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(SealError::Read { path, cause }),
        }
    }

    /// Seals and writes `<name>.sealed` of the folder, durably; an older one is replaced whole.
    pub(super) fn write_file(
        &self,
        folder: &Path,
        name: &str,
        plain: &[u8],
        chance: &dyn Chance,
    ) -> Result<(), SealError> {
        let path = sealed_path(folder, name);
        write_durably(&path, &self.seal(name, plain, chance))
            .map_err(|cause| SealError::Write { path, cause })
    }
}

impl Sealer {
    /// Removes `<name>.sealed` of the folder, durably; one that is not there is no fault.
    pub(super) fn remove_file(&self, folder: &Path, name: &str) -> Result<(), SealError> {
        let path = sealed_path(folder, name);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(cause),
            Ok(()) => File::open(folder).and_then(|folder| folder.sync_all()),
        };
        removed.map_err(|cause| SealError::Write { path, cause })
    }
}

fn sealed_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sealed"))
}

fn read_master(path: &Path) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, SealError> {
    let failed = |cause| SealError::Read {
        path: path.to_owned(),
        cause,
    };
    let facts = match fs::metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let is_ours = facts.uid() == rustix::process::geteuid().as_raw();
    if !is_ours || facts.mode() & 0o077 != 0 {
        return Err(SealError::MasterExposed {
            path: path.to_owned(),
            owner: facts.uid(),
            mode: facts.mode() & 0o7777,
        });
    }
    let mut bytes = read_bounded(path).map_err(failed)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
    bytes.zeroize();
    key.map(|key| Some(Zeroizing::new(key)))
        .map_err(|_wrong_length| SealError::MasterDamaged {
            path: path.to_owned(),
        })
}

fn has_sealed(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?
            .path()
            .extension()
            .is_some_and(|extension| extension == "sealed")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_under_its_key_and_unaltered_only() {
        let chance = SeededChance::new(1);
        let sealer = Sealer::of_key(&[7; 32]);
        let sealed = sealer.seal("root", b"a secret", &chance);
        assert!(!sealed.windows(8).any(|part| part == b"a secret"));
        assert_eq!(
            sealer.unseal("root", &sealed).expect("it opens").as_slice(),
            b"a secret"
        );
        assert!(sealer.unseal("issuing", &sealed).is_err());
        assert!(Sealer::of_key(&[8; 32]).unseal("root", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(sealer.unseal("root", &altered).is_err(), "byte {at}");
            assert!(sealer.unseal("root", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_master_key_that_others_can_read_or_that_is_gone_stops_the_server() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let chance = SeededChance::new(1);
        let sealer = Sealer::open(folder.path(), &chance).expect("the first one is made");
        sealer
            .write_file(folder.path(), "root", b"secret", &chance)
            .expect("it is written");
        let again = Sealer::open(folder.path(), &chance).expect("it opens again");
        let read = again.read_file(folder.path(), "root").expect("it opens");
        assert_eq!(read.expect("it is there").as_slice(), b"secret");

        let path = folder.path().join("master.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let opened = Sealer::open(folder.path(), &chance);
        assert!(matches!(
            opened,
            Err(SealError::MasterExposed { mode: 0o640, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        fs::write(&path, b"short").expect("write");
        let opened = Sealer::open(folder.path(), &chance);
        assert!(matches!(opened, Err(SealError::MasterDamaged { .. })));
        fs::remove_file(&path).expect("remove");
        let opened = Sealer::open(folder.path(), &chance);
        assert!(matches!(opened, Err(SealError::MasterMissing { .. })));
        assert!(!path.exists(), "no new master key hides that the old one is gone");
    }
}
