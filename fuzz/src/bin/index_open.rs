//! Compiled indexes with wrong bytes in them and right checksums over them: an error or fewer packages, never a panic.
#![no_main]

use domain::catalog::listing::ListingNo;
use domain::digest::Sha256Digest;
use libfuzzer_sys::fuzz_target;
use sources::apt::index::{Index, IndexBuilder};
use std::sync::LazyLock;
use twox_hash::XxHash3_64;

static INDEX: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut builder = IndexBuilder::new();
    builder
        .push(fuzz::PACKAGES.as_bytes())
        .expect("well-formed stanzas compile");
    builder
        .finish(Sha256Digest([7; 32]))
        .expect("well-formed stanzas compile")
        .bytes
});

// Each three bytes of input are a place and what stands there instead; an odd byte at the end cuts the file.
fuzz_target!(|edits: &[u8]| {
    let mut bytes = INDEX.clone();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[place] = edit[2];
    }
    if let &[shorter] = edits.chunks_exact(3).remainder() {
        bytes.truncate(bytes.len().saturating_sub(usize::from(shorter)));
    }
    if bytes.len() >= 96 {
        let body = XxHash3_64::oneshot(&bytes[96..]);
        bytes[72..80].copy_from_slice(&body.to_le_bytes());
        let header = XxHash3_64::oneshot(&bytes[..88]);
        bytes[88..96].copy_from_slice(&header.to_le_bytes());
    }
    let Ok(index) = Index::open(&bytes[..]) else {
        return;
    };
    for name in ["openssl", "libssl3", "absent", ""] {
        assert!(index.offers(name, ListingNo(0)).count() <= index.len());
    }
    assert!(index.iter(ListingNo(0)).count() <= index.len());
    assert!(index.skipped().count() <= bytes.len());
});
