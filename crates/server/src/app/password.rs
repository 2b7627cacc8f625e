//! Passwords: argon2id, a bounded number at work at a time, and the same cost whether the user exists or not.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::clock::{Chance, draw};

/// Fewest characters of a password (NIST SP 800-63B asks for 8 beside a second factor, 15 without one).
pub const SHORTEST_PASSWORD: usize = 12;
/// Most bytes of a password, so that hashing a long one costs nothing extra.
pub const LONGEST_PASSWORD_BYTES: usize = 256;

/// Hashes of passwords at work at the same time: each takes 19 MiB.
const AT_WORK: usize = 4;

/// Why a password may not be one.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadPassword {
    /// Too few characters.
    #[error("a password has at least {SHORTEST_PASSWORD} characters")]
    TooShort,
    /// Too many bytes.
    #[error("a password has at most {LONGEST_PASSWORD_BYTES} bytes")]
    TooLong,
    /// The name, or one character again and again.
    #[error("this password would be guessed at once")]
    TooPlain,
}

/// Is it good enough to be somebody's password?
///
/// # Errors
/// [`BadPassword`] says what to change.
pub fn check(password: &str, name: &str) -> Result<(), BadPassword> {
    let mut letters: Vec<char> = password.chars().collect();
    if letters.len() < SHORTEST_PASSWORD {
        return Err(BadPassword::TooShort);
    }
    if password.len() > LONGEST_PASSWORD_BYTES {
        return Err(BadPassword::TooLong);
    }
    letters.sort_unstable();
    letters.dedup();
    let is_name = !name.is_empty() && password.to_lowercase().replace(&name.to_lowercase(), "").len() < 6;
    if letters.len() < 5 || is_name {
        Err(BadPassword::TooPlain)
    } else {
        Ok(())
    }
}

/// Hashes and checks passwords, a few at a time.
#[derive(Clone, Debug)]
pub struct Passwords {
    turn: Arc<Semaphore>,
    cost: Cost,
}

/// What a hash costs.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    /// 19 MiB, two passes, one lane: the first choice of OWASP's password storage sheet.
    Full,
    /// As little as argon2 takes, for tests that are not about passwords.
    Least,
}

impl Passwords {
    /// A room for hashing.
    pub fn new(cost: Cost) -> Self {
        Self {
            turn: Arc::new(Semaphore::new(AT_WORK)),
            cost,
        }
    }

    fn hasher(cost: Cost) -> Argon2<'static> {
        let params = match cost {
            Cost::Full => Params::new(19 * 1024, 2, 1, None),
            Cost::Least => Params::new(8, 1, 1, None),
        };
        Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            params.expect("constants within argon2's limits"),
        )
    }

    /// The PHC text to keep.
    pub async fn hash(&self, password: String, chance: &dyn Chance) -> String {
        let salt = SaltString::encode_b64(&draw::<16>(chance)).expect("16 bytes are a salt");
        self.work(move |cost| {
            let hash = Self::hasher(cost).hash_password(password.as_bytes(), &salt);
            hash.expect("the password's length and the salt are within argon2's limits")
                .to_string()
        })
        .await
    }

    /// Does the password fit what is kept? Without anything kept it takes as long, and does not fit.
    pub async fn fits(&self, password: String, kept: Option<String>) -> bool {
        self.work(move |cost| {
            if password.len() > LONGEST_PASSWORD_BYTES {
                return false;
            }
            let nobody = || {
                let salt = SaltString::from_b64("bm9ib2R5J3Mgc2FsdA").expect("a constant salt");
                let hash = Self::hasher(cost).hash_password(password.as_bytes(), &salt);
                drop(hash);
                false
            };
            let Some(kept) = kept else { return nobody() };
            PasswordHash::new(&kept).is_ok_and(|hash| {
                Self::hasher(cost)
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, job: impl FnOnce(Cost) -> T + Send + 'static) -> T {
        let turn = Arc::clone(&self.turn)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let cost = self.cost;
        let done = tokio::task::spawn_blocking(move || {
            let result = job(cost);
            drop(turn);
            result
        });
        done.await
            .expect("hashing does not panic, and the runtime outlives its requests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;

    #[test]
    fn a_password_is_long_and_not_the_name() {
        assert_eq!(check("short", "ada"), Err(BadPassword::TooShort));
        assert_eq!(
            check("äöüäöüäöüäö", "ada"),
            Err(BadPassword::TooShort),
            "characters count, not bytes"
        );
        assert_eq!(check(&"ab1!c".repeat(60), "ada"), Err(BadPassword::TooLong));
        assert_eq!(check("aaaaaaaaaaaaaaaa", "ada"), Err(BadPassword::TooPlain));
        assert_eq!(check("Lovelace-1815", "lovelace"), Err(BadPassword::TooPlain));
        assert_eq!(check("four words by chance", "lovelace"), Ok(()));
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::new(Cost::Least);
        let chance = SeededChance::new(3);
        let kept = passwords.hash("four words by chance".to_owned(), &chance).await;
        assert!(kept.starts_with("$argon2id$v=19$"), "{kept}");
        assert_ne!(
            kept,
            passwords.hash("four words by chance".to_owned(), &chance).await,
            "the salt differs"
        );
        assert!(
            passwords
                .fits("four words by chance".to_owned(), Some(kept.clone()))
                .await
        );
        assert!(!passwords.fits("four words by chanc".to_owned(), Some(kept)).await);
        assert!(!passwords.fits("four words by chance".to_owned(), None).await);
        assert!(
            !passwords
                .fits("four words by chance".to_owned(), Some("not a hash".to_owned()))
                .await
        );
    }

    #[tokio::test]
    async fn the_hash_of_the_reference_implementation_fits() {
        // From the test vectors of the argon2 reference implementation (test.c, argon2id, m=65536, t=2, p=1).
        let kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let passwords = Passwords::new(Cost::Full);
        assert!(passwords.fits("password".to_owned(), Some(kept.to_owned())).await);
        assert!(
            !passwords
                .fits("differentpassword".to_owned(), Some(kept.to_owned()))
                .await
        );
    }
}
