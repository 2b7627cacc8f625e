//! The second factor: six digits that change every 30 seconds (TOTP, RFC 6238, with HMAC-SHA-1 because every
//! authenticator app takes that). A code counts once.

use ring::hmac;
use zeroize::Zeroize;

use crate::clock::{Chance, draw};
use jiff::Timestamp;

/// Seconds that a code stands for.
const STEP_SECONDS: i64 = 30;
/// Steps before and after the present one whose code is taken too (RFC 6238, section 5.2 recommends one).
const STEPS_ASIDE: i64 = 1;
/// Digits of a code.
const DIGITS: usize = 6;
/// Bytes of a secret (RFC 4226, section 4 recommends 160 bits).
pub const SECRET_BYTES: usize = 20;

/// What a person's authenticator and the server share.
#[derive(Clone)]
pub struct TotpSecret([u8; SECRET_BYTES]);

impl TotpSecret {
    /// A new one.
    pub fn draw(chance: &dyn Chance) -> Self {
        Self(draw(chance))
    }

    /// One that was kept.
    pub const fn of(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// What is kept, sealed.
    pub const fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// What a person types into an authenticator: base32 (RFC 4648, section 6).
    pub fn text(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let five_bits = |at: usize| {
            let pair = u16::from_be_bytes([self.0[at / 8], self.0.get(at / 8 + 1).copied().unwrap_or(0)]);
            usize::from((pair >> (11 - at % 8)) & 31)
        };
        (0..SECRET_BYTES * 8)
            .step_by(5)
            .map(|at| char::from(ALPHABET[five_bits(at)]))
            .collect()
    }

    /// The address that authenticators read as a QR code (the Key URI format of Google Authenticator).
    pub fn address(&self, user: &str) -> String {
        let user: String = user
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        format!(
            "otpauth://totp/Patchyard:{user}?secret={}&issuer=Patchyard",
            self.text()
        )
    }

    /// The code of a step (RFC 4226, section 5.3).
    fn code(&self, step: u64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[tag.len() - 1] & 15);
        let word = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
        word % 10_u32.pow(DIGITS as u32)
    }

    /// Is this a code of now that was not used yet? `last_step` is the step of the last code that was taken. Gives the
    /// step to keep as the last one: that code and those before it are spent.
    pub fn accept(&self, code: &str, now: Timestamp, last_step: Option<u64>) -> Option<u64> {
        if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let code: u32 = code.parse().ok()?;
        let present = now.as_second().div_euclid(STEP_SECONDS);
        // All steps are looked at, whichever fits, and codes are compared as numbers: time tells nothing.
        let mut fitting = None;
        for step in present - STEPS_ASIDE..=present + STEPS_ASIDE {
            let Ok(step) = u64::try_from(step) else { continue };
            let fits = (self.code(step) ^ code) == 0;
            if fits && last_step.is_none_or(|last| step > last) {
                fitting = Some(step);
            }
        }
        fitting
    }
}

impl Drop for TotpSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn secret() -> TotpSecret {
        TotpSecret::of(*b"12345678901234567890")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a second of the calendar")
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, SHA-1; the last six of its eight digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert!(
                secret().accept(code, at(second), None).is_some(),
                "{code} at {second}"
            );
        }
    }

    #[test]
    fn a_code_counts_once_and_only_near_its_time() {
        let step = secret()
            .accept("005924", at(1_234_567_890), None)
            .expect("a code of now");
        assert_eq!(
            secret().accept("005924", at(1_234_567_890), Some(step)),
            None,
            "spent"
        );
        assert!(
            secret()
                .accept("005924", at(1_234_567_890), Some(step - 1))
                .is_some()
        );
        // 1234567890 stands exactly at the beginning of its step.
        assert!(secret().accept("005924", at(1_234_567_890 - 30), None).is_some());
        assert!(secret().accept("005924", at(1_234_567_890 - 31), None).is_none());
        assert!(secret().accept("005924", at(1_234_567_890 + 59), None).is_some());
        assert!(secret().accept("005924", at(1_234_567_890 + 60), None).is_none());
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for wrong in ["", "5924", "0005924", "00592４", "+05924", " 05924", "005925"] {
            assert_eq!(secret().accept(wrong, at(1_234_567_890), None), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_text_is_the_base32_of_the_rfc() {
        // What `printf 12345678901234567890 | base32` prints.
        assert_eq!(secret().text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            secret().address("ada & co"),
            "otpauth://totp/Patchyard:ada%20%26%20co?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Patchyard"
        );
        assert_eq!(TotpSecret::of([0xff; 20]).text(), "7".repeat(32));
    }
}
