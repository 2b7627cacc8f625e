//! Packages files: cut into pieces anywhere, the same file compiles to the same index, which then opens and finds all it lists.
#![no_main]

use domain::catalog::listing::ListingNo;
use domain::digest::Sha256Digest;
use libfuzzer_sys::fuzz_target;
use sources::apt::index::{CompiledIndex, Index, IndexBuilder};

fuzz_target!(init: fuzz::seeds([format!("@{}", fuzz::PACKAGES)]), |bytes: &[u8]| {
    let Some((size, text)) = bytes.split_first() else {
        return;
    };
    let whole = compile([text]);
    let pieces = compile(text.chunks(usize::from(*size).max(1)));
    let (Some(whole), Some(pieces)) = (whole, pieces) else {
        return;
    };
    assert!(whole.bytes == pieces.bytes, "where a file is cut changes nothing");
    let index = Index::open(&whole.bytes[..]).expect("what the builder writes opens");
    for offer in index.iter(ListingNo(0)) {
        assert!(index.offers(offer.name, ListingNo(0)).any(|found| found == offer));
    }
    assert_eq!(index.iter(ListingNo(0)).count(), index.len());
});

fn compile<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<CompiledIndex> {
    let mut builder = IndexBuilder::new();
    for piece in pieces {
        builder.push(piece).ok()?;
    }
    builder.finish(Sha256Digest([7; 32])).ok()
}
