//! Packed files: whatever comes in, unpacking ends within its limits, by every decoder, also the one that its magic does not name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::decompress::{Compression, OutputLimits, reader};
use std::io::Read;

const KINDS: [Compression; 5] = [
    Compression::Plain,
    Compression::Gzip,
    Compression::Xz,
    Compression::Zstd,
    Compression::Lz4,
];
const LIMITS: OutputLimits = OutputLimits {
    max_bytes: 4 << 20,
    max_ratio: 100,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, packed)) = bytes.split_first() else {
        return;
    };
    let kind = KINDS
        .get(usize::from(*choice))
        .copied()
        .unwrap_or(Compression::from_magic(packed));
    let Ok(mut unpacked) = reader(kind, packed, LIMITS) else {
        return;
    };
    let mut total = 0;
    let mut piece = [0; 16_384];
    while let Ok(count @ 1..) = unpacked.read(&mut piece) {
        total += count as u64;
        assert!(total <= LIMITS.max_bytes);
    }
});
