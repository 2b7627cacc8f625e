//! What the person at this machine uses instead of a log-in: the token in the data directory, which only the server's
//! user can read, and one-time links for a browser. The server keeps their hashes, in memory.

use crate::clock::{Chance, draw};
use crate::private_file::write_durably;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use zeroize::Zeroizing;

/// The name of the token's file in the data directory.
pub const TOKEN_FILE: &str = "local-token";
/// How long a one-time link lasts.
pub const LINK_LIFE: SignedDuration = SignedDuration::from_mins(30);
/// What the text of a local token begins with.
const TOKEN_PREFIX: &str = "pyl-";
/// The most one-time links at a time; a further one replaces the oldest.
const MOST_LINKS: usize = 16;

/// What lets the person at this machine in.
pub struct Local {
    token_hash: [u8; 32],
    links: Mutex<Vec<Link>>,
}

struct Link {
    hash: [u8; 32],
    until: Timestamp,
    is_spent: bool,
}

/// The token's file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("use the local token {}", path.display())]
pub struct LocalError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// What became of a one-time link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkUse {
    /// It was good, and is spent now.
    Good,
    /// It was used before.
    Spent,
    /// Its 30 minutes are over.
    Expired,
    /// This server gave out none like it, or it was restarted since.
    Unknown,
}

impl Local {
    /// Reads the token of this data directory, or makes one (mode 0600).
    pub fn open(data: &Path, chance: &dyn Chance) -> Result<Self, LocalError> {
        let path = data.join(TOKEN_FILE);
        let failed = |cause| LocalError {
            path: path.clone(),
            cause,
        };
        let token = match std::fs::read_to_string(&path) {
            Ok(text) if is_token(text.trim_end()) => Zeroizing::new(text.trim_end().to_owned()),
            Ok(_damaged) => make_token(&path, chance).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_token(&path, chance).map_err(failed)?
            }
            Err(cause) => return Err(failed(cause)),
        };
        Ok(Self {
            token_hash: hash(&token),
            links: Mutex::default(),
        })
    }

    /// Whether this is the token of the data directory. Hashes are compared: how long that takes tells nothing of the token.
    pub fn is_token(&self, presented: &str) -> bool {
        hash(presented) == self.token_hash
    }

    /// Makes the secret of a one-time link; it lasts 30 minutes.
    pub fn new_link(&self, now: Timestamp, chance: &dyn Chance) -> Zeroizing<String> {
        let secret = secret(chance);
        let mut links = self.links.lock().expect("nobody panics while holding it");
        if links.len() == MOST_LINKS {
            links.remove(0);
        }
        links.push(Link {
            hash: hash(&secret),
            until: now.checked_add(LINK_LIFE).unwrap_or(now),
            is_spent: false,
        });
        secret
    }

    /// Whether the secret of a one-time link is good, without spending it: for showing the page behind it.
    pub fn look_at_link(&self, secret: &str, now: Timestamp) -> LinkUse {
        self.judge_link(secret, now, false)
    }

    /// Spends a one-time link: [`LinkUse::Good`] comes once.
    pub fn spend_link(&self, secret: &str, now: Timestamp) -> LinkUse {
        self.judge_link(secret, now, true)
    }

    fn judge_link(&self, secret: &str, now: Timestamp, spend: bool) -> LinkUse {
        let presented = hash(secret);
        let mut links = self.links.lock().expect("nobody panics while holding it");
        let Some(link) = links.iter_mut().find(|link| link.hash == presented) else {
            return LinkUse::Unknown;
        };
        if link.is_spent {
            return LinkUse::Spent;
        }
        if now > link.until {
            return LinkUse::Expired;
        }
        link.is_spent = spend;
        LinkUse::Good
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local(secret)")
    }
}

fn hash(text: &str) -> [u8; 32] {
    content::sha256(text.as_bytes()).0
}

fn secret(chance: &dyn Chance) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(draw::<32>(chance)))
}

fn is_token(text: &str) -> bool {
    text.strip_prefix(TOKEN_PREFIX).is_some_and(|rest| {
        rest.len() == 43
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

fn make_token(path: &Path, chance: &dyn Chance) -> io::Result<Zeroizing<String>> {
    let token = Zeroizing::new(format!("{TOKEN_PREFIX}{}", *secret(chance)));
    write_durably(path, format!("{}\n", *token).as_bytes())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_token_is_for_its_owner_only_and_the_same_after_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let chance = SeededChance::new(1);
        let local = Local::open(folder.path(), &chance).expect("it is made");
        let path = folder.path().join(TOKEN_FILE);
        let mode = std::fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("it is text");
        assert!(local.is_token(text.trim_end()));
        assert!(!local.is_token("") && !local.is_token(&text));
        let again = Local::open(folder.path(), &chance).expect("it is read");
        assert!(again.is_token(text.trim_end()));
        std::fs::write(&path, "").expect("an emptied file");
        let other = Local::open(folder.path(), &chance).expect("a new one is made");
        assert!(!other.is_token(text.trim_end()) && !other.is_token(""));
    }

    #[test]
    fn a_link_is_good_once_and_for_thirty_minutes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let chance = SeededChance::new(1);
        let local = Local::open(folder.path(), &chance).expect("it is made");
        let now = Timestamp::UNIX_EPOCH;
        let (first, second) = (local.new_link(now, &chance), local.new_link(now, &chance));
        assert_eq!(local.look_at_link(&first, now), LinkUse::Good);
        assert_eq!(local.spend_link(&first, now + LINK_LIFE), LinkUse::Good);
        assert_eq!(local.spend_link(&first, now), LinkUse::Spent);
        let late = now + LINK_LIFE + SignedDuration::from_secs(1);
        assert_eq!(local.spend_link(&second, late), LinkUse::Expired);
        assert_eq!(local.spend_link("", now), LinkUse::Unknown);
    }
}
