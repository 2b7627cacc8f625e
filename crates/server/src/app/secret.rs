//! Secrets that people and programs show us: made from chance, kept as their SHA-256 alone. They hold 256 bits, so that
//! the hash needs no salt and looking it up tells nobody anything.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use zeroize::Zeroize;

use crate::clock::{Chance, draw};

/// What a secret opens. Each kind has a prefix of its own, so that one is never taken for another and scanners of
/// leaked files recognise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token of a program.
    Token,
    /// A log-in of a person.
    Session,
    /// A one-time link by which an invited person chooses a password.
    Link,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Token => "pyt_",
            Self::Session => "pys_",
            Self::Link => "pyi_",
        }
    }
}

/// Bytes of chance in a secret.
const SECRET_BYTES: usize = 32;

/// What is kept of a secret.
pub type SecretHash = [u8; 32];

/// A secret in the clear, for as long as it is being shown or checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    kind: Kind,
    bytes: [u8; SECRET_BYTES],
}

impl Secret {
    /// A new one.
    pub fn draw(kind: Kind, chance: &dyn Chance) -> Self {
        Self {
            kind,
            bytes: draw(chance),
        }
    }

    /// Reads the text of a secret of this kind; none for any other text.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        let encoded = text
            .strip_prefix(kind.prefix())
            .filter(|encoded| encoded.len() == 43)?;
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).ok()?;
        (length == SECRET_BYTES).then_some(Self { kind, bytes })
    }

    /// What is shown, once.
    pub fn reveal(&self) -> String {
        format!("{}{}", self.kind.prefix(), URL_SAFE_NO_PAD.encode(self.bytes))
    }

    /// What is kept.
    pub fn hash(&self) -> SecretHash {
        let text = [self.kind.prefix().as_bytes(), &self.bytes].concat();
        digest(&SHA256, &text)
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 bytes")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({}…)", self.kind.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;

    #[test]
    fn a_secret_reads_back_its_own_text_and_no_other() {
        let secret = Secret::draw(Kind::Token, &SeededChance::new(1));
        let text = secret.reveal();
        assert_eq!(Secret::parse(Kind::Token, &text), Some(secret.clone()));
        assert_eq!(Secret::parse(Kind::Session, &text), None);
        let as_session = text.replacen("pyt_", "pys_", 1);
        let session = Secret::parse(Kind::Session, &as_session).expect("of a session's shape");
        assert_ne!(
            session.hash(),
            secret.hash(),
            "a kind's secret never opens another kind"
        );
        for wrong in [
            "",
            "pyt_",
            &text[..46],
            &format!("{text}A"),
            &format!("{text}="),
            &text.replacen('_', "", 1),
        ] {
            assert_eq!(Secret::parse(Kind::Token, wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::draw(Kind::Token, &SeededChance::new(1));
        assert!(!format!("{secret:?}").contains(&secret.reveal()[4..10]));
    }
}
