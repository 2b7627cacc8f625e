//! Package indexes (Packages files) in a compiled form that is read from a memory map: found by name, nothing parsed.
//! Where the bytes come from, and whether they are what their publisher signed, is decided before they come here.
//!
//! A compiled index is built once per Packages file and kept beside it. It may be thrown away and built anew at any
//! time, so a damaged one, or one of another format version, is an error with no other way on than that.

use domain::catalog::listing::ListingNo;
use domain::catalog::offer::Offer;
use domain::digest::Sha256Digest;
use domain::host::inventory::BuildFingerprint;
use layout::{Header, NameHash, RECORD_BYTES, SKIPPED_BYTES, SLOT_BYTES, Tables, u32_at, u64_at};
use std::ops::Deref;

mod build;
mod layout;
mod stanza;

pub use build::{BuildError, CompiledIndex, IndexBuilder, MAX_SKIPPED, MAX_STANZA_BYTES};
pub use stanza::SkipReason;

/// The kind of derived content that compiled indexes are in the content store.
pub const COMPILED: &str = "packages-index-2";

/// A stanza that was left out of an index; the others are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedStanza {
    /// The line of the Packages file at fault, or at which the stanza begins; from 1.
    pub line: u32,
    /// What it gives as its package's name, control characters escaped; empty where it gives none.
    pub name: String,
    /// Why ([`SkipReason`] in words).
    pub why: String,
}

/// A compiled index that cannot be used and has to be built anew.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IndexError {
    /// Something else.
    #[error("not a compiled package index")]
    NotAnIndex,
    /// Written by another version of this program.
    #[error("a compiled package index of format version {found}")]
    OtherVersion {
        /// Its format version.
        found: u32,
    },
    /// Cut short, or followed by something.
    #[error("a compiled package index of {found} bytes that should have {declared}")]
    WrongLength {
        /// What its header says, in bytes.
        declared: u64,
        /// What there is, in bytes.
        found: u64,
    },
    /// A checksum does not match.
    #[error("a damaged compiled package index")]
    Damaged,
}

/// A compiled index, open for reading.
#[derive(Debug)]
pub struct Index<B> {
    bytes: B,
    header: Header,
    tables: Tables,
}

impl<B: Deref<Target = [u8]>> Index<B> {
    /// Checks format, length and checksums, of the header and of all tables, so that what is read later is what was
    /// written.
    ///
    /// # Errors
    /// [`IndexError`]; the index has to be built anew then.
    pub fn open(bytes: B) -> Result<Self, IndexError> {
        let (header, tables) = Header::read(&bytes)?;
        if layout::checksum(&bytes[layout::HEADER_BYTES..]) != header.body_checksum {
            return Err(IndexError::Damaged);
        }
        Ok(Self {
            bytes,
            header,
            tables,
        })
    }

    /// How many packages it holds; one per stanza, the same name and version twice included.
    pub fn len(&self) -> usize {
        self.header.packages as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of the Packages file it was built from, as unpacked.
    pub fn packages_digest(&self) -> Sha256Digest {
        self.header.packages_digest
    }

    /// All packages of this name, in the order of the file.
    pub fn offers<'i>(
        &'i self,
        name: &'i str,
        listing: ListingNo,
    ) -> impl Iterator<Item = Offer<'i>> + use<'i, B> {
        let (bucket, tag) = NameHash::new(&self.header).of(name.as_bytes());
        let buckets = &self.bytes[self.tables.buckets.clone()];
        let range = u32_at(buckets, bucket * 4) as usize * SLOT_BYTES
            ..u32_at(buckets, bucket * 4 + 4) as usize * SLOT_BYTES;
        let slots = self.bytes[self.tables.slots.clone()]
            .get(range)
            .unwrap_or_default();
        (slots
            .chunks_exact(SLOT_BYTES)
            .filter(move |slot| u32_at(slot, 0) == tag))
        .filter_map(move |slot| self.offer(u32_at(slot, 4), listing))
        .filter(move |offer| offer.name == name)
    }

    /// All packages, in the order of the file.
    pub fn iter(&self, listing: ListingNo) -> impl Iterator<Item = Offer<'_>> {
        (0..self.header.packages).filter_map(move |record| self.offer(record, listing))
    }

    /// Stanzas that were left out, the first [`MAX_SKIPPED`] of them.
    pub fn skipped(&self) -> impl Iterator<Item = SkippedStanza> + '_ {
        self.bytes[self.tables.skipped.clone()]
            .chunks_exact(SKIPPED_BYTES)
            .map(|skipped| SkippedStanza {
                line: u32_at(skipped, 0),
                name: self.text(u32_at(skipped, 4)).unwrap_or_default().to_owned(),
                why: self.text(u32_at(skipped, 8)).unwrap_or_default().to_owned(),
            })
    }

    /// How many stanzas were left out.
    pub fn skipped_total(&self) -> u32 {
        self.header.skipped_total
    }

    /// None only for a record that the builder does not write.
    fn offer(&self, record: u32, listing: ListingNo) -> Option<Offer<'_>> {
        let records = &self.bytes[self.tables.records.clone()];
        let record: &[u8; RECORD_BYTES] = records.get(record as usize * RECORD_BYTES..)?.first_chunk()?;
        let text = |at: usize| self.text(u32_at(record, at));
        let sha256 = (record[66] == 1).then(|| record[32..64].try_into().map(Sha256Digest));
        Some(Offer {
            listing,
            name: text(0)?,
            architecture: text(4)?,
            version: text(8)?,
            source: text(12)?,
            source_version: text(16)?,
            fingerprint: BuildFingerprint {
                relations: u32_at(record, 20),
                multi_arch: record[64],
                size_bytes: u64_at(record, 24),
            },
            sha256: sha256.transpose().ok()?,
            phased_percent: record[65],
        })
    }

    fn text(&self, offset: u32) -> Option<&str> {
        let text = layout::string_at(&self.bytes[self.tables.strings.clone()], offset)?;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sound_index() -> Vec<u8> {
        let stanza = |name: u32| format!("Package: p{}\nVersion: {name}\nArchitecture: all\n\n", name / 2);
        let packages: String = (0..40).map(stanza).collect();
        let mut builder = IndexBuilder::new();
        builder.push(packages.as_bytes()).expect("stanzas are short");
        builder.push(b"Package: bad\n\n").expect("stanzas are short");
        builder
            .finish(Sha256Digest([1; 32]))
            .expect("there are few packages")
            .bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn tables_of_nonsense_with_right_checksums_are_read_without_a_panic(
            nonsense in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200),
        ) {
            let mut bytes = sound_index();
            for (place, byte) in nonsense {
                let body = &mut bytes[layout::HEADER_BYTES..];
                body[place.index(body.len())] = byte;
            }
            let (mut header, _) = Header::read(&bytes).expect("the header is untouched");
            header.body_checksum = layout::checksum(&bytes[layout::HEADER_BYTES..]);
            bytes[..layout::HEADER_BYTES].copy_from_slice(&header.to_bytes());
            let index = Index::open(&bytes[..]).expect("the checksums are right");
            prop_assert!(index.iter(ListingNo(0)).count() <= index.len());
            prop_assert!(index.skipped().count() == 1);
            for number in 0..20 {
                let name = format!("p{number}");
                prop_assert!(index.offers(&name, ListingNo(0)).all(|offer| offer.name == name));
            }
        }

        #[test]
        fn any_header_with_a_right_checksum_is_refused_or_right(
            numbers in prop::collection::vec(prop_oneof![0..200_u32, any::<u32>()], 4),
        ) {
            let bytes = sound_index();
            let (sound, _) = Header::read(&bytes).expect("the index is sound");
            let header = Header {
                packages: numbers[0],
                skipped_recorded: numbers[1],
                skipped_total: numbers[2],
                strings_bytes: numbers[3],
                ..sound
            };
            if header.packages <= layout::MAX_PACKAGES {
                let forged = [&header.to_bytes()[..], &bytes[layout::HEADER_BYTES..]].concat();
                let read = Header::read(&forged);
                prop_assert!(read.is_err() || header.tables().strings.end == forged.len());
            }
        }
    }
}
