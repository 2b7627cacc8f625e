//! The compiled form's layout: where each table stands and what the header promises. All numbers are little-endian.
//!
//! ```text
//! header   96 bytes
//! buckets  (2^bits + 1) × u32: the first slot of each bucket; a name's hash picks its bucket
//! slots    packages × (tag u32, record u32), bucket by bucket, in file order inside one
//! records  packages × 68 bytes, in file order
//! skipped  recorded × (line u32, name u32, why u32)
//! strings  each a length byte and its text; records and skipped stanzas hold offsets into this
//! ```

use super::IndexError;
use domain::digest::Sha256Digest;
use std::ops::Range;
use twox_hash::{XxHash3_64, XxHash64};

/// Changes with every change of the layout or of what a field means; an index of another version is built anew.
const FORMAT_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"pkgindex";

pub(super) const HEADER_BYTES: usize = 96;
pub(super) const SLOT_BYTES: usize = 8;
pub(super) const RECORD_BYTES: usize = 68;
pub(super) const SKIPPED_BYTES: usize = 12;

/// An index with more packages is refused: the largest archives have below 100,000.
pub(super) const MAX_PACKAGES: u32 = 1 << 20;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) packages: u32,
    pub(super) skipped_recorded: u32,
    pub(super) skipped_total: u32,
    pub(super) strings_bytes: u32,
    pub(super) packages_digest: Sha256Digest,
    pub(super) body_checksum: u64,
}

/// Where the tables stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) buckets: Range<usize>,
    pub(super) slots: Range<usize>,
    pub(super) records: Range<usize>,
    pub(super) skipped: Range<usize>,
    pub(super) strings: Range<usize>,
}

impl Header {
    pub(super) fn bucket_bits(&self) -> u32 {
        self.packages.max(1).next_power_of_two().trailing_zeros()
    }

    /// Cannot overflow: each count is at most 2^20 or 2^32 and each entry below 2^7 bytes.
    pub(super) fn tables(&self) -> Tables {
        let mut end = HEADER_BYTES;
        let mut table = |bytes: usize| {
            let start = end;
            end += bytes;
            start..end
        };
        let packages = self.packages as usize;
        Tables {
            buckets: table(((1 << self.bucket_bits()) + 1) * 4),
            slots: table(packages * SLOT_BYTES),
            records: table(packages * RECORD_BYTES),
            skipped: table(self.skipped_recorded as usize * SKIPPED_BYTES),
            strings: table(self.strings_bytes as usize),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        let numbers = [
            FORMAT_VERSION,
            self.packages,
            self.skipped_recorded,
            self.skipped_total,
            self.strings_bytes,
        ];
        for (place, number) in bytes[8..28].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[32..40].copy_from_slice(&(self.tables().strings.end as u64).to_le_bytes());
        bytes[40..72].copy_from_slice(&self.packages_digest.0);
        bytes[72..80].copy_from_slice(&self.body_checksum.to_le_bytes());
        let checksum = checksum(&bytes[..88]);
        bytes[88..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads and checks the header and the length of the whole; the body's checksum is left to the caller.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Tables), IndexError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(IndexError::NotAnIndex)?;
        if header[..8] != MAGIC {
            return Err(IndexError::NotAnIndex);
        }
        let number = |at: usize| u32_at(header, at);
        if number(8) != FORMAT_VERSION {
            return Err(IndexError::OtherVersion { found: number(8) });
        }
        if u64_at(header, 88) != checksum(&header[..88]) {
            return Err(IndexError::Damaged);
        }
        let mut packages_digest = Sha256Digest([0; 32]);
        packages_digest.0.copy_from_slice(&header[40..72]);
        let header = Self {
            packages: number(12),
            skipped_recorded: number(16),
            skipped_total: number(20),
            strings_bytes: number(24),
            packages_digest,
            body_checksum: u64_at(header, 72),
        };
        if header.packages > MAX_PACKAGES || header.skipped_recorded > MAX_PACKAGES {
            return Err(IndexError::Damaged);
        }
        let tables = header.tables();
        let declared = u64_at(bytes, 32);
        if tables.strings.end as u64 != declared {
            return Err(IndexError::Damaged);
        }
        if bytes.len() as u64 != declared {
            return Err(IndexError::WrongLength {
                declared,
                found: bytes.len() as u64,
            });
        }
        Ok((header, tables))
    }
}

/// Against damage by accident; who may write the file is the file system's matter.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// Which bucket and which tag a name has. The digest of the indexed file is the hash's seed, so that nobody can
/// prepare names that meet in one bucket.
#[derive(Clone, Copy)]
pub(super) struct NameHash {
    seed: u64,
    bits: u32,
}

impl NameHash {
    pub(super) fn new(header: &Header) -> Self {
        Self {
            seed: u64_at(&header.packages_digest.0, 0),
            bits: header.bucket_bits(),
        }
    }

    /// The bucket and the tag.
    pub(super) fn of(self, name: &[u8]) -> (usize, u32) {
        let hash = XxHash64::oneshot(self.seed, name);
        ((hash as usize) & ((1 << self.bits) - 1), (hash >> 32) as u32)
    }
}

/// The number at `at`; 0 where the bytes end before it, which only a damaged file makes happen.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .map_or(0, u32::from_le_bytes)
}

/// As [`u32_at`].
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .map_or(0, u64::from_le_bytes)
}

/// The text at an offset into the strings.
pub(super) fn string_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let (length, rest) = strings.get(offset as usize..)?.split_first()?;
    rest.get(..usize::from(*length))
}
