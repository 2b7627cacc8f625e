//! Unpacking: what gzip, xz, zstd, lz4 and apt pack comes out whole, and nothing else comes out as if it were whole.

use crate::tools::{has, machine_lists, pipe, unpacked_by_apt};
use proptest::prelude::*;
use sources::apt::decompress::{Compression, DecompressError, MAX_WINDOW_BYTES, OutputLimits, reader};
use std::io::{self, ErrorKind, Read};
use std::sync::LazyLock;

const TOOLS: [(Compression, &str); 4] = [
    (Compression::Gzip, "gzip"),
    (Compression::Xz, "xz"),
    (Compression::Zstd, "zstd"),
    (Compression::Lz4, "lz4"),
];

fn unpack_within(kind: Compression, packed: &[u8], limits: OutputLimits) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader(kind, packed, limits)?.read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

fn unpack(kind: Compression, packed: &[u8]) -> io::Result<Vec<u8>> {
    unpack_within(kind, packed, OutputLimits::INDEX)
}

fn available() -> impl Iterator<Item = (Compression, &'static str)> {
    TOOLS.into_iter().filter(|(_, tool)| has(tool, &["--version"]))
}

/// Text that packs about as well as a package index.
fn sample(stanzas: u32) -> Vec<u8> {
    let stanza = |number: u32| {
        let noise = number.wrapping_mul(2_654_435_761);
        format!(
            "Package: p{number}\nVersion: {noise}\nDepends: libc6 (>= 2.{})\nSHA256: {noise:064x}\n\n",
            noise % 40
        )
    };
    (0..stanzas).map(stanza).collect::<String>().into_bytes()
}

#[test]
fn what_the_tools_pack_comes_out_whole_with_every_option() {
    let options: [(Compression, &[&str]); 17] = [
        (Compression::Gzip, &["-1"]),
        (Compression::Gzip, &["-9"]),
        (Compression::Xz, &["-0"]),
        (Compression::Xz, &["-9e", "--check=sha256"]),
        (Compression::Xz, &["--check=none"]),
        (Compression::Xz, &["--check=crc32", "--block-size=65536"]),
        (Compression::Xz, &["--delta=dist=4", "--lzma2"]),
        (Compression::Zstd, &["-1"]),
        (Compression::Zstd, &["-19", "--no-check"]),
        (Compression::Zstd, &["--long=26"]),
        (Compression::Lz4, &["-1"]),
        (Compression::Lz4, &["-9", "-B4", "-BD"]),
        (Compression::Lz4, &["-BD", "-BX"]),
        (Compression::Lz4, &["-B4", "-BI", "--content-size"]),
        (Compression::Lz4, &["-B7", "-BD", "--no-frame-crc"]),
        (Compression::Lz4, &["-B5", "-BX"]),
        (Compression::Lz4, &["-12", "-B6", "-BD"]),
    ];
    let original = sample(20_000);
    for (kind, tool) in available() {
        for (_, options) in options.iter().filter(|(of, _)| *of == kind) {
            let packed = pipe(tool, &[*options, &["-c"]].concat(), &original);
            assert_eq!(Compression::from_magic(&packed), kind);
            assert!(unpack(kind, &packed).unwrap() == original, "{tool} {options:?}");
        }
    }
}

#[test]
fn what_does_not_pack_comes_out_whole() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(700_000)
    .collect();
    for (kind, tool) in available() {
        assert!(
            unpack(kind, &pipe(tool, &["-c"], &noise)).unwrap() == noise,
            "{tool}"
        );
    }
    assert!(unpack(Compression::Plain, &noise).unwrap() == noise);
}

#[test]
fn nothing_packed_is_nothing_unpacked() {
    for (kind, tool) in available() {
        assert_eq!(unpack(kind, &pipe(tool, &["-c"], b"")).unwrap(), b"", "{tool}");
    }
}

#[test]
fn several_members_streams_or_frames_are_one_output_as_for_the_tools() {
    for (kind, tool) in available() {
        let packed = [
            pipe(tool, &["-c"], b"one "),
            pipe(tool, &["-c"], b""),
            pipe(tool, &["-c"], b"two"),
        ]
        .concat();
        assert_eq!(pipe(tool, &["-dc"], &packed), b"one two");
        assert_eq!(unpack(kind, &packed).unwrap(), b"one two", "{tool}");
    }
}

#[test]
fn frames_that_the_tools_skip_are_skipped() {
    let skipped = [&0x184d_2a53_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"aside"].concat();
    for (kind, tool) in available() {
        if !matches!(kind, Compression::Zstd | Compression::Lz4) {
            continue;
        }
        let packed = [
            pipe(tool, &["-c"], b"one "),
            skipped.clone(),
            pipe(tool, &["-c"], b"two"),
        ]
        .concat();
        assert_eq!(pipe(tool, &["-dc"], &packed), b"one two");
        assert_eq!(unpack(kind, &packed).unwrap(), b"one two", "{tool}");
        let cut = &packed[..packed.len() - pipe(tool, &["-c"], b"two").len() - 1];
        assert!(
            matches!(why(unpack(kind, cut)), Some(DecompressError::Truncated)),
            "{tool}"
        );
    }
}

#[test]
fn apts_own_lists_come_out_as_apt_unpacks_them() {
    for list in machine_lists() {
        let name = list.to_string_lossy();
        let unpacked = unpack(Compression::from_name(&name), &std::fs::read(&list).unwrap()).unwrap();
        assert!(unpacked == unpacked_by_apt(&list), "{name}");
    }
}

fn why(result: io::Result<Vec<u8>>) -> Option<DecompressError> {
    let error = result.expect_err("this must not unpack");
    DecompressError::of(&error)?;
    error.into_inner()?.downcast().ok().map(|error| *error)
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let (short, long) = (sample(3), sample(20_000));
    for (kind, tool) in available() {
        let packed = pipe(tool, &["-c"], &short);
        for length in 0..packed.len() {
            assert!(
                unpack(kind, &packed[..length]).is_err(),
                "{tool}: {length} of {}",
                packed.len()
            );
        }
        let packed = pipe(tool, &["-c"], &long);
        for length in (0..packed.len()).step_by(4099) {
            let why = why(unpack(kind, &packed[..length]));
            assert!(
                matches!(why, Some(DecompressError::Truncated)),
                "{tool}: {length}: {why:?}"
            );
        }
    }
}

#[test]
fn an_lz4_file_cut_between_two_blocks_is_an_error() {
    if !has("lz4", &["--version"]) {
        return;
    }
    let packed = pipe("lz4", &["-c", "-B4", "--no-frame-crc"], &sample(20_000));
    let mut boundary = 7;
    let mut blocks = 0;
    while let Some(size) = packed.get(boundary..boundary + 4).filter(|size| *size != [0; 4]) {
        let why = why(unpack(Compression::Lz4, &packed[..boundary]));
        assert!(
            matches!(why, Some(DecompressError::Truncated)),
            "{boundary}: {why:?}"
        );
        boundary += 4 + (u32::from_le_bytes(size.try_into().unwrap()) & 0x7fff_ffff) as usize;
        blocks += 1;
    }
    assert!(blocks > 10, "the sample has many blocks, not {blocks}");
}

#[test]
fn anything_after_the_end_is_an_error() {
    for (kind, tool) in available() {
        let packed = pipe(tool, &["-c"], b"whole");
        for after in [&b"x"[..], b"garbage that is no member", b"\n", b"<html>"] {
            let result = unpack(kind, &[&packed, after].concat());
            assert!(result.is_err(), "{tool}: {after:?} {result:?}");
        }
    }
}

#[test]
fn an_empty_file_is_no_packed_file() {
    for (kind, _) in TOOLS {
        assert!(
            matches!(why(unpack(kind, b"")), Some(DecompressError::Truncated)),
            "{kind:?}"
        );
    }
    assert_eq!(unpack(Compression::Plain, b"").unwrap(), b"");
}

#[test]
fn another_format_than_the_one_named_is_an_error() {
    for (_, tool) in available() {
        let packed = pipe(tool, &["-c"], b"whole");
        for (named, _) in TOOLS.into_iter().filter(|(_, of)| *of != tool) {
            assert!(unpack(named, &packed).is_err(), "{tool} as {named:?}");
        }
    }
}

#[test]
fn a_bomb_is_stopped_by_its_ratio_soon_after_its_first_mebibyte() {
    let zeros = vec![0; 64 << 20];
    for (kind, tool) in available() {
        let bomb = pipe(tool, &["-c", "-9"], &zeros);
        let mut reader = reader(kind, &bomb[..], OutputLimits::INDEX).unwrap();
        let mut piece = vec![0; 1 << 16];
        let mut given = 0_usize;
        let error = loop {
            match reader.read(&mut piece) {
                Ok(read) => given += read,
                Err(error) => break error,
            }
            assert!(given < 40 << 20, "{tool} gave {given} bytes");
        };
        let why = DecompressError::of(&error);
        assert!(
            matches!(why, Some(DecompressError::RatioTooHigh { max_ratio: 100 })),
            "{tool}: {why:?}"
        );
    }
}

#[test]
fn a_small_file_that_packs_very_well_is_no_bomb() {
    let spaces = vec![b' '; 1 << 20];
    for (kind, tool) in available() {
        assert!(
            unpack(kind, &pipe(tool, &["-c"], &spaces)).unwrap() == spaces,
            "{tool}"
        );
    }
}

#[test]
fn the_size_limit_holds_to_the_byte() {
    let original = sample(1000);
    let limits = |max_bytes| OutputLimits {
        max_bytes,
        ..OutputLimits::INDEX
    };
    let (fits, too_small) = (limits(original.len() as u64), limits(original.len() as u64 - 1));
    let packed = available().map(|(kind, tool)| (kind, pipe(tool, &["-c"], &original)));
    for (kind, packed) in packed.chain([(Compression::Plain, original.clone())]) {
        assert!(
            unpack_within(kind, &packed, fits).unwrap() == original,
            "{kind:?}"
        );
        let why = why(unpack_within(kind, &packed, too_small));
        assert!(
            matches!(why, Some(DecompressError::TooLarge { .. })),
            "{kind:?}: {why:?}"
        );
    }
}

#[test]
fn a_larger_dictionary_or_window_than_64_mib_is_refused_and_64_mib_is_not() {
    assert_eq!(MAX_WINDOW_BYTES, 64 << 20);
    let original = sample(1000);
    let options = [
        (Compression::Xz, "xz", "--lzma2=dict=64MiB", "--lzma2=dict=96MiB"),
        (Compression::Zstd, "zstd", "--long=26", "--long=27"),
    ];
    for (kind, tool, fits, too_large) in options
        .into_iter()
        .filter(|(_, tool, ..)| has(tool, &["--version"]))
    {
        assert!(
            unpack(kind, &pipe(tool, &["-c", fits], &original)).unwrap() == original,
            "{tool}"
        );
        let why = why(unpack(kind, &pipe(tool, &["-c", too_large], &original)));
        assert!(
            matches!(why, Some(DecompressError::WindowTooLarge)),
            "{tool}: {why:?}"
        );
    }
}

#[test]
fn an_input_that_cannot_be_read_is_not_called_damaged() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "the disk is gone")),
                read => Ok(read),
            }
        }
    }
    for (kind, tool) in available() {
        let packed = pipe(tool, &["-c"], &sample(100));
        let mut reader = reader(kind, Failing(&packed[..40]), OutputLimits::INDEX).unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "the disk is gone", "{tool}");
        assert!(DecompressError::of(&error).is_none());
    }
}

#[test]
fn names_and_first_bytes_tell_the_compression() {
    for (name, kind) in [
        ("Packages.gz", Compression::Gzip),
        ("a_Packages.xz", Compression::Xz),
        ("Packages.zst", Compression::Zstd),
        ("Packages.lz4", Compression::Lz4),
        ("Packages", Compression::Plain),
        ("x.xz_Packages", Compression::Plain),
    ] {
        assert_eq!(Compression::from_name(name), kind, "{name}");
    }
    assert_eq!(Compression::from_magic(b"Package: a"), Compression::Plain);
    assert_eq!(Compression::from_magic(b""), Compression::Plain);
}

/// The sample as each tool packs it.
static PACKED: LazyLock<Vec<(Compression, &str, Vec<u8>)>> = LazyLock::new(|| {
    available()
        .map(|(kind, tool)| (kind, tool, pipe(tool, &["-c"], &sample(40))))
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_an_error_or_unpacks_to_the_same(
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let original = sample(40);
        for (kind, tool, packed) in PACKED.iter() {
            let mut packed = packed.clone();
            for (place, bits) in &damage {
                let length = packed.len();
                packed[place.index(length)] ^= bits;
            }
            if let Ok(unpacked) = unpack(*kind, &packed) {
                prop_assert!(unpacked == original, "{tool}");
            }
        }
    }

    #[test]
    fn no_bytes_make_unpacking_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), magic in 0..5_usize) {
        let magics: [(Compression, &[u8]); 5] = [
            (Compression::Gzip, &[0x1f, 0x8b, 8, 0]),
            (Compression::Xz, &[0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4, 0xe6, 0xd6, 0xb4, 0x46]),
            (Compression::Zstd, &[0x28, 0xb5, 0x2f, 0xfd]),
            (Compression::Lz4, &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]),
            (Compression::Lz4, &[0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0]),
        ];
        let (kind, start) = magics[magic];
        bytes.splice(0..0, start.iter().copied());
        if let Ok(unpacked) = unpack(kind, &bytes) {
            prop_assert!(unpacked.len() <= 2 << 20);
        }
    }
}
