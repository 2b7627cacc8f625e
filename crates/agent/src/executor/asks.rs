//! What the network process asks of the executor, as files in a folder that it owns. The executor judges each file itself: who
//! wrote it, how large it is, what it says; the other process may have been taken over by somebody. An ask is taken once, and
//! large bytes are never in it: they lie in a folder of files, under their digest.

use crate::service::Account;
use domain::digest::Sha256Digest;
use protocol::message::check_in::CardBytes;
use protocol::message::orders::GoBytes;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Asks that are looked at in one round; the rest waits.
const AT_ONCE: usize = 64;
/// The largest ask, in bytes.
const LARGEST_BYTES: u64 = 128 << 10;
/// The longest name of an ask's file.
const LONGEST_NAME: usize = 80;

/// What the executor can be asked for. None of it is believed: bundles and goes are signed, cards are vouched for, and the rest
/// can only make less happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Ask {
    /// Read the host again, if it changed. A shape of no fields, for serde lets a word alone have any.
    Collect {},
    /// Take an order, whose bundle lies among the files.
    Order {
        /// SHA-256 of the bundle.
        #[serde(with = "crate::text::one")]
        bundle: Sha256Digest,
    },
    /// Begin what this permits.
    Go {
        /// The statement, as the server signed it.
        statement: GoBytes,
    },
    /// Do not begin an order.
    Withdraw {
        /// The digest of its statement.
        #[serde(with = "crate::text::one")]
        order: Sha256Digest,
    },
    /// Say nothing more of an order: the server has kept its end.
    Heard {
        /// The digest of its statement, as it was reported.
        #[serde(with = "crate::text::one")]
        order: Sha256Digest,
    },
    /// Go by another card of the server.
    Card {
        /// Its bytes.
        card: CardBytes,
    },
}

impl Ask {
    /// The name of its file: two asks for the same thing are one.
    pub fn name(&self) -> String {
        match self {
            Self::Collect {} => "collect".to_owned(),
            Self::Order { bundle } => format!("order-{bundle}"),
            Self::Go { statement } => format!("go-{}", protocol::sha256(&statement.0)),
            Self::Withdraw { order } => format!("withdraw-{order}"),
            Self::Heard { order } => format!("heard-{order}"),
            Self::Card { card } => format!("card-{}", protocol::sha256(&card.0)),
        }
    }
}

/// An ask that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskRefused {
    /// The name of its file.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Takes the asks out of their folder, by name. `account` is who may have written them; absent: the caller.
pub fn take(folder: &Path, account: Option<Account>) -> Vec<Result<Ask, AskRefused>> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY;
    let Ok(at) = rustix::fs::open(folder, flags, Mode::empty()) else {
        return Vec::new();
    };
    let writer = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let mut taken = Vec::new();
    for name in names(&at) {
        let judged = judge(&at, &name, writer).map_err(|why| AskRefused {
            name: crate::shown::harmless(&String::from_utf8_lossy(&name), LONGEST_NAME),
            why,
        });
        // Whatever it was, it is not looked at again; a folder in its place is left.
        let _ = rustix::fs::unlinkat(&at, name.as_slice(), AtFlags::empty());
        taken.push(judged);
    }
    taken
}

/// Names of asks, first by name; those still being written begin with a dot.
fn names(at: &OwnedFd) -> Vec<Vec<u8>> {
    let Ok(folder) = Dir::read_from(at) else {
        return Vec::new();
    };
    let names = folder
        .flatten()
        .map(|entry| entry.file_name().to_bytes().to_vec());
    let mut names: Vec<_> = names
        .filter(|name| !name.starts_with(b"."))
        .take(AT_ONCE)
        .collect();
    names.sort();
    names
}

fn judge(at: &OwnedFd, name: &[u8], writer: u32) -> Result<Ask, String> {
    let is_plain = name
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
    if !is_plain || name.len() > LONGEST_NAME {
        return Err("its name is not one that the agent gives".to_owned());
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::openat(at, name, flags, Mode::empty())
        .map_err(|errno| format!("it cannot be opened ({errno})"))?;
    let file = File::from(file);
    let facts = file.metadata().map_err(|error| error.to_string())?;
    if !facts.is_file() || facts.nlink() != 1 {
        return Err("it is not a file of its own".to_owned());
    }
    if facts.uid() != writer {
        return Err(format!("user {} wrote it, not the network process", facts.uid()));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST_BYTES {
        return Err(format!("it is larger than {LARGEST_BYTES} bytes"));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("it is not understood: {error}"))
}

/// Leaves an ask, as the network process does.
///
/// # Errors
/// Whatever the operating system says.
pub fn leave(folder: &Path, ask: &Ask) -> std::io::Result<()> {
    let name = ask.name();
    let next = folder.join(format!(".{name}"));
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(ask)?)?;
    std::fs::rename(&next, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn an_ask_is_taken_once() {
        let folder = world();
        leave(folder.path(), &Ask::Collect {}).expect("the folder is ours");
        assert_eq!(take(folder.path(), None), [Ok(Ask::Collect {})]);
        assert_eq!(take(folder.path(), None), []);
    }

    #[test]
    fn an_ask_of_each_kind_is_taken_as_it_was_left_and_the_same_twice_is_one() {
        let folder = world();
        let digest = protocol::sha256(b"it");
        let asks = [
            Ask::Card {
                card: CardBytes(vec![7; 64 << 10]),
            },
            Ask::Collect {},
            Ask::Go {
                statement: GoBytes(vec![1, 2, 3]),
            },
            Ask::Heard { order: digest },
            Ask::Order { bundle: digest },
            Ask::Withdraw { order: digest },
        ];
        for ask in asks.iter().chain(&asks) {
            leave(folder.path(), ask).expect("the folder is ours");
        }
        let taken: Vec<Ask> = take(folder.path(), None)
            .into_iter()
            .map(|ask| ask.expect("it is one"))
            .collect();
        assert_eq!(taken, asks);
    }

    #[test]
    fn what_is_not_an_ask_of_the_network_process_is_refused_and_removed() {
        let folder = world();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a-script"), r#"{"ask":"run","script":"true"}"#).expect("a file");
        std::fs::write(at("b-more"), r#"{"ask":"collect","as":"root"}"#).expect("a file");
        std::fs::write(at("c-large"), vec![b' '; (128 << 10) + 1]).expect("a file");
        std::os::unix::fs::symlink("/etc/shadow", at("d-link")).expect("a link");
        std::fs::write(at("e\u{1b}[2J"), r#"{"ask":"collect"}"#).expect("a file");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("f-pipe"), Mode::RUSR).expect("a pipe");
        let refused = take(folder.path(), None);
        let whys: Vec<_> = refused
            .into_iter()
            .map(|one| one.expect_err("nothing of it is an ask"))
            .collect();
        let why = |name: &str| {
            let found = whys.iter().find(|one| one.name.starts_with(name));
            found.map(|one| one.why.clone()).expect("each is named")
        };
        assert!(why("a-script").contains("unknown variant"), "{whys:?}");
        assert!(
            why("b-more").contains("unknown field") || why("b-more").contains("not understood"),
            "{whys:?}"
        );
        assert!(why("c-large").contains("131072 bytes"), "{whys:?}");
        assert!(why("d-link").contains("cannot be opened"), "{whys:?}");
        assert!(why("e\\u{1b}").contains("name"), "{whys:?}");
        assert!(why("f-pipe").contains("not a file"), "{whys:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn an_ask_of_another_user_is_refused() {
        let folder = world();
        leave(folder.path(), &Ask::Collect {}).expect("the folder is ours");
        let stranger = Account {
            uid: 54_321,
            gid: 54_321,
        };
        let taken = take(folder.path(), Some(stranger));
        assert!(
            matches!(&taken[..], [Err(refused)] if refused.why.contains("not the network process")),
            "{taken:?}"
        );
    }
}
