//! Unpacking what archives and apt's own lists are packed in, as a stream, with limits on output, ratio and memory.
//! Whether the bytes are genuine is not decided here.

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

mod lz4;

/// The largest dictionary or window that packed input may ask for: 64 MiB, xz's and zstd's highest ordinary levels.
pub const MAX_WINDOW_BYTES: u64 = 1 << WINDOW_LOG;

const WINDOW_LOG: u32 = 26;

/// What lzma-rust2 adds to the dictionary when it compares with its limit (KiB).
const XZ_OVERHEAD_KIB: u32 = 40 + 64;

/// Output up to this size is never a matter of ratio: a page of spaces packs better than any index.
const RATIO_FLOOR_BYTES: u64 = 1 << 20;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, one or more members.
    Gzip,
    /// The .xz file format, one or more streams.
    Xz,
    /// RFC 8878, one or more frames.
    Zstd,
    /// LZ4 frames, as apt packs its own lists.
    Lz4,
}

impl Compression {
    /// By the file name's extension; a name without a known one is not packed.
    pub fn from_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Self::Gzip,
            Some("xz") => Self::Xz,
            Some("zst") => Self::Zstd,
            Some("lz4") => Self::Lz4,
            _ => Self::Plain,
        }
    }

    /// By the file's first bytes (six are enough); what no packer begins with is not packed.
    pub fn from_magic(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::Plain,
        }
    }
}

/// How much may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Unpacked bytes at most.
    pub max_bytes: u64,
    /// Unpacked bytes for each packed byte at most, once more than 1 MiB came out.
    pub max_ratio: u32,
}

impl OutputLimits {
    /// For package indexes: 512 MiB, ratio 100.
    pub const INDEX: Self = Self {
        max_bytes: 512 << 20,
        max_ratio: 100,
    };
}

/// Why unpacking stopped. Reading reports it inside an [`io::Error`]; [`DecompressError::of`] finds it there.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// More came out than the limit allows.
    #[error("unpacks to more than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// It looks like a decompression bomb.
    #[error("unpacks to more than {max_ratio} times its size")]
    RatioTooHigh {
        /// The limit.
        max_ratio: u32,
    },
    /// Unpacking would need a larger dictionary or window than [`MAX_WINDOW_BYTES`].
    #[error("needs more than {MAX_WINDOW_BYTES} bytes of memory to unpack")]
    WindowTooLarge,
    /// The input ends in the middle; also what an empty file is.
    #[error("the packed file is cut short")]
    Truncated,
    /// The input is damaged, is followed by something else, or is not packed in this way.
    #[error("the packed file is damaged")]
    Damaged(#[source] io::Error),
    /// The unpacker could not be set up.
    #[error("cannot set up unpacking")]
    SetUp(#[source] io::Error),
}

impl DecompressError {
    /// The reason inside an error that [`Unpacked`] returned; absent when reading the packed input itself failed.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<DecompressError> for io::Error {
    fn from(error: DecompressError) -> Self {
        let kind = match error {
            DecompressError::Truncated => ErrorKind::UnexpectedEof,
            DecompressError::SetUp(_) => ErrorKind::Other,
            _ => ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Unpacks `input` while it is read. Several members, streams or frames one after another are one output, as for gzip,
/// xz, zstd and lz4; anything else after the end is an error.
pub fn reader<R: Read>(
    kind: Compression,
    input: R,
    limits: OutputLimits,
) -> Result<Unpacked<R>, DecompressError> {
    let input = Packed {
        inner: BufReader::with_capacity(1 << 16, input),
        taken: 0,
        failed: false,
    };
    let unpacker = match kind {
        Compression::Plain => Unpacker::Plain(input),
        Compression::Gzip => Unpacker::Gzip(MultiGzDecoder::new(input)),
        Compression::Xz => {
            let memory_kib = (MAX_WINDOW_BYTES >> 10) as u32 + XZ_OVERHEAD_KIB;
            Unpacker::Xz(Box::new(XzReader::new_mem_limit(input, true, memory_kib)))
        }
        Compression::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(input).map_err(DecompressError::SetUp)?;
            decoder
                .window_log_max(WINDOW_LOG)
                .map_err(DecompressError::SetUp)?;
            Unpacker::Zstd(decoder)
        }
        Compression::Lz4 => Unpacker::Lz4(lz4::Frames::new(input)),
    };
    Ok(Unpacked {
        unpacker,
        limits,
        given: 0,
    })
}

/// The unpacked bytes, as a reader.
pub struct Unpacked<R: Read> {
    unpacker: Unpacker<R>,
    limits: OutputLimits,
    given: u64,
}

enum Unpacker<R: Read> {
    Plain(Packed<R>),
    Gzip(MultiGzDecoder<Packed<R>>),
    Xz(Box<XzReader<Packed<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Packed<R>>),
    Lz4(lz4::Frames<Packed<R>>),
}

impl<R: Read> Unpacker<R> {
    fn input(&self) -> &Packed<R> {
        match self {
            Self::Plain(input) => input,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Xz(decoder) => decoder.inner(),
            Self::Zstd(decoder) => decoder.get_ref(),
            Self::Lz4(frames) => frames.input(),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.unpacker {
            Unpacker::Plain(input) => input.read(buffer),
            Unpacker::Gzip(decoder) => decoder.read(buffer),
            Unpacker::Xz(decoder) => decoder.read(buffer),
            Unpacker::Zstd(decoder) => decoder.read(buffer),
            Unpacker::Lz4(frames) => frames.read(buffer),
        };
        let read = read.map_err(|error| self.explain(error))?;
        self.given += read as u64;
        self.check_limits(read)?;
        Ok(read)
    }
}

impl<R: Read> Unpacked<R> {
    fn check_limits(&self, read: usize) -> Result<(), DecompressError> {
        if matches!(self.unpacker, Unpacker::Plain(_)) {
            return self.check_size();
        }
        let taken = self.unpacker.input().taken;
        if read == 0 && taken == 0 {
            return Err(DecompressError::Truncated);
        }
        let by_ratio = taken
            .saturating_mul(u64::from(self.limits.max_ratio))
            .max(RATIO_FLOOR_BYTES);
        if self.given > by_ratio {
            return Err(DecompressError::RatioTooHigh {
                max_ratio: self.limits.max_ratio,
            });
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), DecompressError> {
        if self.given > self.limits.max_bytes {
            return Err(DecompressError::TooLarge {
                max_bytes: self.limits.max_bytes,
            });
        }
        Ok(())
    }

    /// Keeps an error of the input as it is; says of all others what they mean.
    fn explain(&self, error: io::Error) -> io::Error {
        if self.unpacker.input().failed || error.kind() == ErrorKind::Interrupted {
            return error;
        }
        let meaning = match error.kind() {
            ErrorKind::UnexpectedEof => DecompressError::Truncated,
            ErrorKind::OutOfMemory => DecompressError::WindowTooLarge,
            _ if is_zstd_window_error(&error) => DecompressError::WindowTooLarge,
            _ => DecompressError::Damaged(error),
        };
        meaning.into()
    }
}

/// libzstd says it in words only (`ZSTD_error_frameParameter_windowTooLarge`).
fn is_zstd_window_error(error: &io::Error) -> bool {
    error.to_string().contains("too much memory")
}

/// The packed input: counts what was taken from it, and remembers whether reading it failed.
struct Packed<R> {
    inner: BufReader<R>,
    taken: u64,
    failed: bool,
}

impl<R: Read> BufRead for Packed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = self.inner.fill_buf();
        self.failed |= filled.is_err();
        filled
    }

    fn consume(&mut self, count: usize) {
        self.taken += count as u64;
        self.inner.consume(count);
    }
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        self.failed |= read.is_err();
        self.taken += *read.as_ref().unwrap_or(&0) as u64;
        read
    }
}
