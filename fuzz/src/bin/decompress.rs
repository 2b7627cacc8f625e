//! Packed files: whatever comes in, unpacking ends within its limits, by every decoder, also the one that its magic does not name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::decompress::{Compression, OutputLimits, reader};
use std::io::Read;
use testkit::archive::compress::{Format, pack};

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
/// "Package: a\n" as lz4(1) packs it, with a checksum at the end.
const LZ4: [u8; 34] = [
    0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x0b, 0x00, 0x00, 0x80, b'P', b'a', b'c', b'k', b'a', b'g',
    b'e', b':', b' ', b'a', b'\n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn packed() -> Vec<Vec<u8>> {
    let text = fuzz::PACKAGES.repeat(4);
    let packed = Format::ALL
        .into_iter()
        .map(|format| pack(format, text.as_bytes()).expect("packing into memory"));
    (0..)
        .zip(packed.chain([LZ4.to_vec()]))
        .map(|(choice, bytes)| [&[choice], &bytes[..]].concat())
        .collect()
}

fuzz_target!(init: fuzz::seeds(packed()), |bytes: &[u8]| {
    let Some((choice, packed)) = bytes.split_first() else { return };
    let kind = KINDS.get(usize::from(*choice)).copied().unwrap_or(Compression::from_magic(packed));
    let Ok(mut unpacked) = reader(kind, packed, LIMITS) else { return };
    let mut total = 0;
    let mut piece = [0; 16_384];
    while let Ok(count @ 1..) = unpacked.read(&mut piece) {
        total += count as u64;
        assert!(total <= LIMITS.max_bytes);
    }
});
