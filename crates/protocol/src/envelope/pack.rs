//! Deflating and inflating of bodies (RFC 1951), within the limits of size and ratio.

use crate::limits;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// A body that does not inflate.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InflateError {
    /// It is no deflated data, ends early or goes on after its end.
    #[error("the body is damaged where it was deflated")]
    Damaged,
    /// It becomes more than its size as sent, or any body, allows.
    #[error("the body inflates to more than {limit} bytes")]
    TooLarge {
        /// How large it may become, in bytes.
        limit: usize,
    },
}

pub(super) fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut packer = Compress::new(Compression::fast(), false);
    let mut packed = Vec::with_capacity(plain.len() / 4 + 128);
    loop {
        let taken = usize::try_from(packer.total_in()).unwrap_or(plain.len());
        let status = packer.compress_vec(&plain[taken..], &mut packed, FlushCompress::Finish);
        if matches!(status, Ok(Status::StreamEnd)) {
            return packed;
        }
        packed.reserve(packed.capacity());
    }
}

pub(super) fn inflate(packed: &[u8]) -> Result<Vec<u8>, InflateError> {
    let limit = limits::BODY_BYTES.min(packed.len().saturating_mul(limits::INFLATE_RATIO));
    let mut unpacker = Decompress::new(false);
    let mut plain = Vec::with_capacity((packed.len() * 4 + 64).min(limit + 1));
    loop {
        let taken = usize::try_from(unpacker.total_in()).unwrap_or(packed.len());
        let status = unpacker
            .decompress_vec(&packed[taken..], &mut plain, FlushDecompress::None)
            .map_err(|_| InflateError::Damaged)?;
        if plain.len() > limit {
            return Err(InflateError::TooLarge { limit });
        }
        if status == Status::StreamEnd {
            let whole = unpacker.total_in() == packed.len() as u64;
            return if whole {
                Ok(plain)
            } else {
                Err(InflateError::Damaged)
            };
        }
        if plain.len() < plain.capacity() {
            // There was room for more, and nothing more came.
            return Err(InflateError::Damaged);
        }
        plain.reserve_exact(plain.capacity().min(limit + 1 - plain.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_inflate_to_the_ratio_and_no_further() {
        // The size of one deflated body of zeros grows by a byte for every 1,032: far beyond the ratio.
        let bomb = deflate(&vec![0; 1 << 20]);
        let limit = bomb.len() * limits::INFLATE_RATIO;
        assert_eq!(inflate(&bomb), Err(InflateError::TooLarge { limit }));
        let (mut count, mut packed) = (0, Vec::new());
        // Stored blocks pad the packed form until the ratio is met exactly.
        for noise in 1..2_000_usize {
            let noise: Vec<u8> = (0..noise).map(|at| ((at * at * 31) >> 3) as u8).collect();
            let plain = [noise, vec![0; 100_000]].concat();
            packed = deflate(&plain);
            count = plain.len();
            if count <= packed.len() * limits::INFLATE_RATIO {
                break;
            }
        }
        assert_eq!(inflate(&packed).map(|plain| plain.len()), Ok(count));
    }

    #[test]
    fn what_ends_early_or_goes_on_is_damaged() {
        let packed = deflate(b"one two one two one two");
        for end in 0..packed.len() {
            assert_eq!(inflate(&packed[..end]), Err(InflateError::Damaged), "{end}");
        }
        let longer = [packed.as_slice(), b"x"].concat();
        assert_eq!(inflate(&longer), Err(InflateError::Damaged));
    }
}
