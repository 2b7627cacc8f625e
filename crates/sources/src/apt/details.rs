//! What a package index says of its packages that assessing them does not need: where the file of each stands in the
//! archive, what it needs and what it provides. A form of its own beside the compiled index, made from the published file
//! when the first package of it is to be installed, and found by name in a memory map. It may be thrown away at any time.
//!
//! ```text
//! header   56 bytes: magic, digest of the Packages file, number of packages, checksum of that number and the rest
//! places   packages × u32: where each record begins in the body, by name, then in file order
//! body     a record a package: seven texts, each with its length before it (u32), then size (u64) and SHA-256
//! ```

use super::decompress::{self, Compression, DecompressError, OutputLimits};
use super::index::MAX_STANZA_BYTES;
use super::snapshot::SnapshotIndex;
use content::{Hasher, Mapped, Store, StoreError};
use domain::deb822::{Field, Scanner};
use domain::digest::Sha256Digest;
use std::io::{self, Read};
use std::ops::Deref;
use twox_hash::XxHash3_64;

/// The kind of derived content that these are in the content store. Another layout takes another name.
pub const DETAILS: &str = "packages-details-1";

const MAGIC: [u8; 12] = *b"pkgdetails\0\x01";
const HEADER_BYTES: usize = 56;
/// Packages of one index at most, as in a compiled index.
const MAX_PACKAGES: usize = 1 << 20;
/// Bytes that are unpacked and hashed at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// The longest place of a file that is taken, in bytes.
const MAX_PLACE_BYTES: usize = 1024;

/// Why the details of an index cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DetailsError {
    /// The published file is gone from the store.
    #[error("the published index is gone from the content store")]
    Gone,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not unpack.
    #[error("unpack the published index")]
    Unpack(#[source] io::Error),
    /// It cannot be set up to unpack.
    #[error("unpack the published index")]
    SetUp(#[from] DecompressError),
    /// Unpacked, it is not what the signed release file names.
    #[error("the published index unpacks to something else than the signed release file names")]
    Other,
    /// Larger than this form allows.
    #[error("the published index is too large")]
    TooLarge,
}

/// What an index says of one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail<'a> {
    /// Binary package name.
    pub name: &'a str,
    /// Its architecture, `all` included.
    pub architecture: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Where its file stands below the archive's address; empty where the stanza says nothing usable: what leads out of
    /// the archive is nothing.
    pub place: &'a str,
    /// `Pre-Depends`, as written; empty where there is none.
    pub pre_depends: &'a str,
    /// `Depends`.
    pub depends: &'a str,
    /// `Provides`.
    pub provides: &'a str,
    /// Size of its file in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its file.
    pub sha256: Sha256Digest,
}

/// The details of one index, open for reading.
#[derive(Debug)]
pub struct Details<B> {
    bytes: B,
    count: usize,
}

impl Details<Mapped> {
    /// The details of an index, made from its published file where the store has none yet.
    ///
    /// # Errors
    /// [`DetailsError`].
    pub fn of(store: &Store, index: &SnapshotIndex) -> Result<Self, DetailsError> {
        if let Some(known) = Self::known(store, index)? {
            return Ok(known);
        }
        let bytes = match &index.published {
            None => finish(Vec::new(), index.digest)?,
            Some(published) => {
                let packed = store.map(&published.digest)?.ok_or(DetailsError::Gone)?;
                build(index, Compression::from_name(&published.path), &packed)?
            }
        };
        store.insert_derived(DETAILS, &index.digest, &bytes)?;
        Self::known(store, index)?.ok_or(DetailsError::Gone)
    }

    fn known(store: &Store, index: &SnapshotIndex) -> Result<Option<Self>, DetailsError> {
        let mapped = store.map_derived(DETAILS, &index.digest)?;
        Ok(mapped.and_then(|mapped| Details::open(mapped, index.digest)))
    }
}

impl<B: Deref<Target = [u8]>> Details<B> {
    /// Nothing where these bytes are not the sound details of that index.
    pub fn open(bytes: B, digest: Sha256Digest) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let count = usize::try_from(u32_at(header, 44)?).ok()?;
        let is_sound = header[..12] == MAGIC
            && header[12..44] == digest.0
            && header[48..56] == checksum(count, rest).to_le_bytes()
            && count <= rest.len() / 4;
        is_sound.then_some(Self { bytes, count })
    }

    /// The first package of this name that is the one, in the order of the file.
    pub fn find(&self, name: &str, is_it: impl Fn(&Detail<'_>) -> bool) -> Option<Detail<'_>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            match self.record(middle) {
                Some(detail) if detail.name < name => low = middle + 1,
                _ => high = middle,
            }
        }
        (low..self.count)
            .map_while(|at| self.record(at))
            .take_while(|detail| detail.name == name)
            .find(is_it)
    }

    /// None only for a record that is not written here.
    fn record(&self, at: usize) -> Option<Detail<'_>> {
        let rest = &self.bytes[HEADER_BYTES..];
        let start = usize::try_from(u32_at(rest, at * 4)?).ok()?;
        let mut left = rest.get(self.count * 4..)?.get(start..)?;
        let mut text = || {
            let (length, after) = left.split_first_chunk::<4>()?;
            let (text, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            left = after;
            std::str::from_utf8(text).ok()
        };
        let [name, architecture, version] = [text()?, text()?, text()?];
        let [place, pre_depends, depends, provides] = [text()?, text()?, text()?, text()?];
        let (size, after) = left.split_first_chunk::<8>()?;
        Some(Detail {
            name,
            architecture,
            version,
            place,
            pre_depends,
            depends,
            provides,
            size_bytes: u64::from_le_bytes(*size),
            sha256: Sha256Digest(*after.first_chunk()?),
        })
    }
}

/// Against damage by accident; who may write the file is the file system's matter.
fn checksum(count: usize, rest: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(count as u64, rest)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

/// Unpacks, hashes and reads in one pass; what does not have the digest that the release file names is thrown away.
fn build(index: &SnapshotIndex, kind: Compression, packed: &[u8]) -> Result<Vec<u8>, DetailsError> {
    let limits = OutputLimits {
        max_bytes: index.size_bytes,
        ..OutputLimits::INDEX
    };
    let mut reader = decompress::reader(kind, packed, limits)?;
    let mut hasher = Hasher::new();
    let (mut records, mut unread) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = reader.read(&mut chunk).map_err(DetailsError::Unpack)?;
        if count == 0 {
            break;
        }
        hasher.update(&chunk[..count]);
        unread.extend_from_slice(&chunk[..count]);
        let whole = memchr::memmem::rfind(&unread, b"\n\n").map_or(0, |at| at + 2);
        if unread.len() - whole > MAX_STANZA_BYTES {
            return Err(DetailsError::TooLarge);
        }
        read(&unread[..whole], &mut records)?;
        unread.drain(..whole);
    }
    read(&unread, &mut records)?;
    match hasher.finish() == (index.digest, index.size_bytes) {
        true => finish(records, index.digest),
        false => Err(DetailsError::Other),
    }
}

/// A record with the name to sort it by.
struct Record {
    name: Box<str>,
    bytes: Box<[u8]>,
}

/// Reads whole stanzas; what the compiled index leaves out is left out here too, and so is what names no file.
fn read(stanzas: &[u8], records: &mut Vec<Record>) -> Result<(), DetailsError> {
    let mut scanner = Scanner::new(stanzas);
    while let Some(stanza) = scanner.next_stanza() {
        let Some(record) = stanza.ok().and_then(record) else {
            continue;
        };
        if records.len() == MAX_PACKAGES {
            return Err(DetailsError::TooLarge);
        }
        records.push(record);
    }
    Ok(())
}

fn record(fields: &[Field<'_>]) -> Option<Record> {
    let text = |name: &str| -> Option<&str> {
        match fields.iter().find(|field| field.is(name)) {
            None => Some(""),
            Some(field) => field.text().ok(),
        }
    };
    let name = text("Package")?.to_ascii_lowercase();
    let size: u64 = text("Size")?.parse().ok()?;
    let sha256 = Sha256Digest::parse(text("SHA256")?.as_bytes()).ok()?;
    let place = place(text("Filename")?).unwrap_or_default();
    let texts = [
        name.as_str(),
        text("Architecture")?,
        text("Version")?,
        place,
        text("Pre-Depends")?,
        text("Depends")?,
        text("Provides")?,
    ];
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&sha256.0);
    Some(Record {
        name: name.into(),
        bytes: bytes.into(),
    })
}

/// A place below an archive's address, as `Filename` gives it; `None` for one that could lead elsewhere.
fn place(filename: &str) -> Option<&str> {
    let place = filename.strip_prefix("./").unwrap_or(filename);
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_place = place.len() <= MAX_PLACE_BYTES
        && place.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && place.split('/').all(is_plain);
    is_place.then_some(place)
}

fn finish(mut records: Vec<Record>, digest: Sha256Digest) -> Result<Vec<u8>, DetailsError> {
    records.sort_by(|one, other| one.name.cmp(&other.name));
    let mut bytes = vec![0; HEADER_BYTES];
    let mut start = 0_u32;
    for record in &records {
        bytes.extend_from_slice(&start.to_le_bytes());
        let length = u32::try_from(record.bytes.len()).map_err(|_beyond| DetailsError::TooLarge)?;
        start = start.checked_add(length).ok_or(DetailsError::TooLarge)?;
    }
    for record in &records {
        bytes.extend_from_slice(&record.bytes);
    }
    let count = u32::try_from(records.len()).map_err(|_beyond| DetailsError::TooLarge)?;
    let checksum = checksum(records.len(), &bytes[HEADER_BYTES..]);
    bytes[..12].copy_from_slice(&MAGIC);
    bytes[12..44].copy_from_slice(&digest.0);
    bytes[44..48].copy_from_slice(&count.to_le_bytes());
    bytes[48..56].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_leads_out_of_the_archive_is_none() {
        for (filename, is) in [
            ("pool/main/o/openssl/openssl_3.0.17-1~deb12u2_amd64.deb", true),
            ("./a+b_1%3a2.deb", true),
            ("", false),
            ("/etc/passwd", false),
            ("pool/../../x.deb", false),
            ("pool//x.deb", false),
            ("..", false),
            ("a b.deb", false),
            ("a\\..\\b.deb", false),
            ("pool/\u{e9}.deb", false),
        ] {
            assert_eq!(place(filename).is_some(), is, "{filename}");
        }
    }

    #[test]
    fn details_of_another_index_or_with_any_byte_changed_are_not_opened() {
        let digest = Sha256Digest([7; 32]);
        let mut records = Vec::new();
        let stanza = format!(
            "Package: a\nVersion: 1\nArchitecture: all\nFilename: a.deb\nSize: 3\nSHA256: {}\n",
            "ab".repeat(32)
        );
        read(stanza.as_bytes(), &mut records).expect("one stanza");
        let bytes = finish(records, digest).expect("it is small");
        let open = Details::open(&bytes[..], digest).expect("it is sound");
        assert_eq!(open.find("a", |_| true).map(|detail| detail.place), Some("a.deb"));
        assert_eq!(open.find("b", |_| true), None);
        assert!(Details::open(&bytes[..], Sha256Digest([8; 32])).is_none());
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Details::open(&altered[..], digest).is_none(), "byte {at}");
            assert!(Details::open(&bytes[..at], digest).is_none(), "cut at {at}");
        }
    }
}
