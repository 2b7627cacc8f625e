//! The host's own package lists, as its apt fetched them (`/var/lib/apt/lists`), believed only after their signatures
//! and digests were verified again. Nothing is fetched here, and nothing is written but compiled indexes and the
//! stamps of hashed files, both in Patchyard's own store.

mod stamps;

use super::answer::{Answer, ListingAnswer, NoAnswer, NoListing, ReadableIndex};
use super::decompress::{self, Compression, DecompressError, OutputLimits};
use super::freshness::{self, FreshnessRules};
use super::index::{COMPILED, IndexBuilder};
use super::keyring::Keyring;
use super::openpgp::{self, Verified};
use super::release::{FileEntry, Release};
use super::targets::{self, Merged, Target};
use content::{HashingReader, Store};
use domain::digest::Sha256Digest;
use domain::host::address::list_file_name;
use domain::host::channels::{Settings, Trust};
use jiff::Timestamp;
use stamps::{Stamp, Stamps};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Extensions that apt gives the lists it keeps, plain first as apt prefers it.
const EXTENSIONS: [&str; 5] = ["", ".lz4", ".zst", ".xz", ".gz"];
/// Bytes that are unpacked, hashed and parsed at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Opens a file of the lists folder by its name; `None` where there is none. The caller decides how far links lead.
pub type OpenList<'a> = dyn Fn(&str) -> io::Result<Option<File>> + Sync + 'a;

/// The host's settings for a source with this Label: apt.conf(5) has some of them per Label.
pub type SettingsFor<'a> = dyn Fn(Option<&str>) -> Settings + Sync + 'a;

/// A host's lists folder.
pub struct HostLists<'a> {
    folder: PathBuf,
    open: &'a OpenList<'a>,
    store: &'a Store,
    settings: &'a SettingsFor<'a>,
    now: Timestamp,
    stamps: Stamps,
}

impl<'a> HostLists<'a> {
    /// The lists in `folder` (named in messages; `open` does the opening).
    pub fn new(
        folder: PathBuf,
        open: &'a OpenList<'a>,
        store: &'a Store,
        settings: &'a SettingsFor<'a>,
        now: Timestamp,
    ) -> Self {
        let stamps = Stamps::load(store, &folder.to_string_lossy());
        Self {
            folder,
            open,
            store,
            settings,
            now,
            stamps,
        }
    }

    /// What one source answers by these lists, with the keys that may sign it.
    pub fn answer(&self, source: &Merged<'_>, keyring: &Keyring) -> Result<Answer, NoAnswer> {
        let first = self.read(source, keyring)?;
        let is_torn = |answer: &Answer| {
            answer
                .listings
                .iter()
                .any(|listing| matches!(listing.outcome, Err(NoListing::Mismatch)))
        };
        if !is_torn(&first) {
            return Ok(first);
        }
        // apt replaces the release file and the indexes one after another: what was torn may be whole by now.
        self.read(source, keyring)
    }

    /// The indexes that a source had when it was last verified here. They say whose a package is likely to be, never
    /// what it is missing.
    pub fn last_known(&self, source: &Merged<'_>) -> Vec<ReadableIndex> {
        let base = source.release_uri();
        let known = |path: String| {
            let stem = list_file_name(&format!("{base}{path}"));
            let digest = EXTENSIONS
                .iter()
                .find_map(|extension| self.stamps.last_digest(&format!("{stem}{extension}")))?;
            ReadableIndex::open(self.store, digest).ok().flatten()
        };
        targets::paths(source).filter_map(known).collect()
    }

    /// Keeps what was learned about the files of the folder. A failure costs time at the next scan, nothing else.
    pub fn remember(&self) -> Result<(), content::StoreError> {
        self.stamps.save(self.store)
    }

    fn read(&self, source: &Merged<'_>, keyring: &Keyring) -> Result<Answer, NoAnswer> {
        let base = source.release_uri();
        let (verified, release_digest) = self.release(source, &base, keyring)?;
        let release = Release::parse(&verified)?;
        let settings = (self.settings)(release.facts().label.as_deref());
        let rules = FreshnessRules::of_silence(source.stanzas[0], &settings);
        let freshness = freshness::freshness(release.facts(), &rules, self.now);
        let is_listed = |path: &str| release.file(path).is_some();
        let mut listings: Vec<ListingAnswer> = targets::merged_targets(source, release.facts(), is_listed)
            .into_iter()
            .map(|target| {
                let outcome = self.index(&base, &target, &release);
                ListingAnswer {
                    component: target.component,
                    architecture: target.architecture,
                    outcome,
                }
            })
            .collect();
        let unlisted = targets::unlisted(source, release.facts(), is_listed);
        listings.extend(unlisted.into_iter().filter_map(ListingAnswer::of_unlisted));
        let signatures = verified.signatures().to_vec();
        let doubt = Answer::doubt_of_suite(source, release.facts());
        Ok(Answer {
            release,
            signatures,
            release_digest,
            keys: keyring.fingerprints(),
            freshness,
            doubt,
            listings,
        })
    }

    fn release(
        &self,
        source: &Merged<'_>,
        base: &str,
        keyring: &Keyring,
    ) -> Result<(Verified, Sha256Digest), NoAnswer> {
        let trust = source.stanzas[0].trust;
        if trust == Trust::Never {
            return Err(NoAnswer::DistrustedByHost);
        }
        if let Some(bytes) = self.bytes(&format!("{base}InRelease"))? {
            let verified = openpgp::verify_inrelease(&bytes, keyring, self.now)?;
            return Ok((verified, content::sha256(&bytes)));
        }
        let release = self
            .bytes(&format!("{base}Release"))?
            .ok_or(NoAnswer::ListsMissing)?;
        let Some(signature) = self.bytes(&format!("{base}Release.gpg"))? else {
            return Err(if trust == Trust::Always {
                NoAnswer::TrustedUnsigned
            } else {
                NoAnswer::NotSigned
            });
        };
        let verified = openpgp::verify_detached(&release, &signature, keyring, self.now)?;
        Ok((verified, content::sha256(&release)))
    }

    /// A release file or signature, whole, within its limit.
    fn bytes(&self, uri: &str) -> Result<Option<Vec<u8>>, NoAnswer> {
        let name = list_file_name(uri);
        let unreadable = |cause| NoAnswer::Unreadable {
            path: self.folder.join(&name),
            cause,
        };
        let Some(file) = (self.open)(&name).map_err(unreadable)? else {
            return Ok(None);
        };
        let limit_bytes = super::MAX_RELEASE_BYTES;
        let mut bytes = Vec::new();
        file.take(limit_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(NoAnswer::TooLarge { limit_bytes });
        }
        Ok(Some(bytes))
    }

    fn index(&self, base: &str, target: &Target, release: &Release) -> Result<ReadableIndex, NoListing> {
        let entry = release.file(&target.path).ok_or(NoListing::Missing)?;
        let Some((name, file)) = self.open_index(base, target)? else {
            return if entry.size_bytes == 0 {
                self.compile(&b""[..], content::sha256(b""))
            } else {
                Err(NoListing::Missing)
            };
        };
        let unreadable = |cause| NoListing::Unreadable {
            path: self.folder.join(&name),
            cause,
        };
        let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
        if self.stamps.digest(&name, stamp) == Some(entry.sha256)
            && let Some(known) = ReadableIndex::open(self.store, entry.sha256)?
        {
            return Ok(known);
        }
        let unpacked = decompress::reader(Compression::from_name(&name), file, OutputLimits::INDEX)?;
        let index = match ReadableIndex::open(self.store, entry.sha256)? {
            Some(known) => verify_only(unpacked, entry).map(|()| known),
            None => self.compile(unpacked, entry.sha256),
        };
        let index = index.map_err(|error| match error {
            NoListing::Unreadable { cause, .. } => unreadable(cause),
            other => other,
        })?;
        self.stamps.remember(&name, stamp, entry.sha256);
        Ok(index)
    }

    fn open_index(&self, base: &str, target: &Target) -> Result<Option<(String, File)>, NoListing> {
        let stem = list_file_name(&format!("{base}{}", target.path));
        for extension in EXTENSIONS {
            let name = format!("{stem}{extension}");
            match (self.open)(&name) {
                Ok(Some(file)) => return Ok(Some((name, file))),
                Ok(None) => {}
                Err(cause) => {
                    return Err(NoListing::Unreadable {
                        path: self.folder.join(name),
                        cause,
                    });
                }
            }
        }
        Ok(None)
    }

    /// Hashes and compiles in one pass; what does not have the digest is thrown away.
    fn compile(&self, unpacked: impl Read, expected: Sha256Digest) -> Result<ReadableIndex, NoListing> {
        let mut builder = IndexBuilder::new();
        let mut failure = None;
        let digest = each_chunk(unpacked, |chunk| {
            if failure.is_none() {
                failure = builder.push(chunk).err();
            }
        })?;
        if digest != expected {
            return Err(NoListing::Mismatch);
        }
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        let compiled = builder.finish(digest)?;
        self.store.insert_derived(COMPILED, &digest, &compiled.bytes)?;
        drop(compiled);
        ReadableIndex::open(self.store, digest)?.ok_or(NoListing::Mismatch)
    }
}

fn verify_only(unpacked: impl Read, entry: FileEntry) -> Result<(), NoListing> {
    let digest = each_chunk(unpacked, |_| {})?;
    if digest == entry.sha256 {
        Ok(())
    } else {
        Err(NoListing::Mismatch)
    }
}

/// Reads to the end, chunk by chunk, and returns the digest of everything read.
fn each_chunk(unpacked: impl Read, mut use_chunk: impl FnMut(&[u8])) -> Result<Sha256Digest, NoListing> {
    let mut reader = HashingReader::new(unpacked);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = reader.read(&mut chunk).map_err(read_failure)?;
        if length == 0 {
            return Ok(reader.finish().0);
        }
        use_chunk(&chunk[..length]);
    }
}

/// Tells a file that does not unpack from one that cannot be read; the caller knows the path.
fn read_failure(error: io::Error) -> NoListing {
    match error.downcast::<DecompressError>() {
        Ok(packed) => NoListing::Packed(packed),
        Err(cause) => NoListing::Unreadable {
            path: PathBuf::new(),
            cause,
        },
    }
}
