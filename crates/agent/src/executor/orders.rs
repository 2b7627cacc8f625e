//! What the network process asks of the executor, as files in a folder that it owns. The executor judges each file itself: who
//! wrote it, how large it is, what it says; the other process may have been taken over by somebody. An order is taken once.

use crate::service::Account;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Orders that are looked at in one round; the rest waits.
const AT_ONCE: usize = 16;
/// The largest order, in bytes.
const LARGEST_BYTES: u64 = 64 << 10;
/// The longest name of an order's file.
const LONGEST_NAME: usize = 64;

/// What the executor can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order", deny_unknown_fields)]
pub enum Order {
    /// Read the host again, if it changed. A shape of no fields, for serde lets a word alone have any.
    Collect {},
}

/// An order that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRefused {
    /// The name of its file.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Takes the orders out of their folder. `account` is who may have written them; absent: the caller.
pub fn take(folder: &Path, account: Option<Account>) -> Vec<Result<Order, OrderRefused>> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY;
    let Ok(at) = rustix::fs::open(folder, flags, Mode::empty()) else {
        return Vec::new();
    };
    let writer = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let mut taken = Vec::new();
    for name in names(&at) {
        let judged = judge(&at, &name, writer).map_err(|why| OrderRefused {
            name: crate::shown::harmless(&String::from_utf8_lossy(&name), LONGEST_NAME),
            why,
        });
        // Whatever it was, it is not looked at again; a folder in its place is left.
        let _ = rustix::fs::unlinkat(&at, name.as_slice(), AtFlags::empty());
        taken.push(judged);
    }
    taken
}

/// Names of orders, first by name; those still being written begin with a dot.
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

fn judge(at: &OwnedFd, name: &[u8], writer: u32) -> Result<Order, String> {
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

/// Leaves an order, as the network process does.
pub fn leave(folder: &Path, name: &str, order: Order) -> std::io::Result<()> {
    let next = folder.join(format!(".{name}"));
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(&order)?)?;
    std::fs::rename(&next, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn an_order_is_taken_once() {
        let folder = world();
        leave(folder.path(), "collect", Order::Collect {}).expect("the folder is ours");
        assert_eq!(take(folder.path(), None), [Ok(Order::Collect {})]);
        assert_eq!(take(folder.path(), None), []);
    }

    #[test]
    fn what_is_not_an_order_of_the_network_process_is_refused_and_removed() {
        let folder = world();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a-script"), r#"{"order":"run","script":"true"}"#).expect("a file");
        std::fs::write(at("b-more"), r#"{"order":"collect","as":"root"}"#).expect("a file");
        std::fs::write(at("c-large"), vec![b' '; (64 << 10) + 1]).expect("a file");
        std::os::unix::fs::symlink("/etc/shadow", at("d-link")).expect("a link");
        std::fs::write(at("e\u{1b}[2J"), r#"{"order":"collect"}"#).expect("a file");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("f-pipe"), Mode::RUSR).expect("a pipe");
        let refused = take(folder.path(), None);
        let whys: Vec<_> = refused
            .into_iter()
            .map(|one| one.expect_err("nothing of it is an order"))
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
        assert!(why("c-large").contains("65536 bytes"), "{whys:?}");
        assert!(why("d-link").contains("cannot be opened"), "{whys:?}");
        assert!(why("e\\u{1b}").contains("name"), "{whys:?}");
        assert!(why("f-pipe").contains("not a file"), "{whys:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn an_order_of_another_user_is_refused() {
        let folder = world();
        leave(folder.path(), "collect", Order::Collect {}).expect("the folder is ours");
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
