//! The digest by which content is named. Computing one from bytes is the `content` crate's work.

use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest (FIPS 180-4), shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a SHA-256 digest is 64 hexadecimal digits")]
pub struct NotADigest;

impl Sha256Digest {
    /// Reads 64 hexadecimal digits in either case.
    pub fn parse(text: &[u8]) -> Result<Self, NotADigest> {
        let digits: &[u8; 64] = text.try_into().map_err(|_| NotADigest)?;
        let mut bytes = [0; 32];
        let mut seen = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| HEX[usize::from(digit)]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        if seen & NO_HEX != 0 {
            return Err(NotADigest);
        }
        Ok(Self(bytes))
    }
}

const NO_HEX: u8 = 0x80;

/// The value of each hexadecimal digit; [`NO_HEX`] for what is none.
static HEX: [u8; 256] = {
    let mut table = [NO_HEX; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl FromStr for Sha256Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_shows() {
        let digest = Sha256Digest([0xa5; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("a5".repeat(31).parse::<Sha256Digest>(), Err(NotADigest));
        assert_eq!("g5".repeat(32).parse::<Sha256Digest>(), Err(NotADigest));
        assert_eq!("A5".repeat(32).parse(), Ok(digest));
    }

    #[test]
    fn hexadecimal_digits_are_those_that_the_standard_library_knows() {
        for byte in 0..=255_u8 {
            let mut text = [b'0'; 64];
            text[33] = byte;
            let value = char::from(byte).to_digit(16).map(|value| value as u8);
            assert_eq!(
                Sha256Digest::parse(&text).ok().map(|digest| digest.0[16]),
                value,
                "{byte:#x}"
            );
        }
    }
}
