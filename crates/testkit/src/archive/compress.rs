//! The compressions in which archives serve their indexes.

use std::io::{Read, Write};

/// How an index is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// As it is.
    Plain,
    /// gzip(1).
    Gzip,
    /// xz(1).
    Xz,
    /// zstd(1).
    Zstd,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 4] = [Format::Plain, Format::Gzip, Format::Xz, Format::Zstd];

    /// What is added to the file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Plain => "",
            Format::Gzip => ".gz",
            Format::Xz => ".xz",
            Format::Zstd => ".zst",
        }
    }
}

/// Packs `bytes`; equal input gives equal output.
pub fn pack(format: Format, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    match format {
        Format::Plain => Ok(bytes.to_vec()),
        Format::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Format::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options)?;
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Format::Zstd => zstd::encode_all(bytes, 1),
    }
}

/// Unpacks what a test packed or brought along; not for foreign bytes, it has no limits.
pub fn unpack(format: Format, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    match format {
        Format::Plain => unpacked.extend_from_slice(bytes),
        Format::Gzip => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked)?),
        Format::Xz => drop(lzma_rust2::XzReader::new(bytes, true).read_to_end(&mut unpacked)?),
        Format::Zstd => unpacked = zstd::decode_all(bytes)?,
    }
    Ok(unpacked)
}
