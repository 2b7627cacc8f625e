//! Files of orders, taken over from where the network process left them into root's own folder: each is hashed while it is copied,
//! and only what has its digest then gets its name. What lies there afterwards was written by nobody else.

use super::spool::Wish;
use crate::service::Places;
use domain::digest::Sha256Digest;
use domain::order::Order;
use domain::rollout::deployment::Failure;
use ring::digest::{Context, SHA256};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

/// The largest release file, and signature of one, in bytes: an order does not say their sizes.
const RELEASE_BYTES: u64 = 1 << 20;
/// Bytes that are copied at once.
const AT_ONCE: usize = 128 << 10;

/// How far the files of an order are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Bytes that were copied just now.
    pub bytes: u64,
    /// What is still to come.
    pub missing: Vec<Wish>,
}

/// Why files cannot be taken over, whatever comes.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}", path.display())]
pub struct NotTakenOver {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    cause: std::io::Error,
}

impl NotTakenOver {
    /// What kind of failure of an order it is.
    pub fn kind(&self) -> Failure {
        match self.cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Failure::DiskFull,
            _ => Failure::Content,
        }
    }
}

/// The files that an order needs, each once.
pub fn needed(order: &Order) -> Vec<Wish> {
    let mut sizes: BTreeMap<Sha256Digest, u64> = BTreeMap::new();
    for snapshot in &order.snapshots {
        sizes.insert(snapshot.release, RELEASE_BYTES);
        sizes.extend(snapshot.signature.map(|signature| (signature, RELEASE_BYTES)));
        sizes.extend(
            snapshot
                .indexes
                .iter()
                .map(|index| (index.sha256, index.size_bytes)),
        );
    }
    let packages = order.packages.iter();
    sizes.extend(packages.map(|package| (package.sha256, package.size_bytes)));
    let wishes = sizes.into_iter();
    wishes
        .map(|(digest, size_bytes)| Wish { digest, size_bytes })
        .collect()
}

/// Root's own folder of files.
pub fn store(places: &Places) -> PathBuf {
    places.work().join("files")
}

/// Takes over what has come of these files. What came and is something else is removed, and missing still.
///
/// # Errors
/// [`NotTakenOver`] if this host cannot keep them.
pub fn take_over(places: &Places, needed: &[Wish]) -> Result<TakenOver, NotTakenOver> {
    let store = store(places);
    let failed = |attempt| {
        let path = store.clone();
        move |cause| NotTakenOver { attempt, path, cause }
    };
    make(&store).map_err(failed("make"))?;
    let own = open_folder(&store).map_err(|errno| failed("open")(errno.into()))?;
    let mut taken = TakenOver::default();
    // Without the other process's folder nothing has come.
    let foreign = open_folder(&places.files()).ok();
    for wish in needed {
        if rustix::fs::statat(&own, wish.digest.to_string(), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            continue;
        }
        let source = foreign.as_ref().and_then(|folder| open_file(folder, wish));
        let copied = match (source, &foreign) {
            (Some(source), Some(folder)) => {
                let is_it = copy(source, &own, wish).map_err(failed("keep a file in"))?;
                // Whichever it was, it is of no more use there.
                let _ = rustix::fs::unlinkat(folder, wish.digest.to_string(), AtFlags::empty());
                is_it
            }
            _ => None,
        };
        match copied {
            Some(bytes) => taken.bytes += bytes,
            None => taken.missing.push(*wish),
        }
    }
    rustix::fs::fsync(&own).map_err(|errno| failed("flush")(errno.into()))?;
    Ok(taken)
}

/// Removes all files that none of these orders needs.
///
/// # Errors
/// Whatever the operating system says.
pub fn sweep(places: &Places, kept: &[Wish]) -> std::io::Result<()> {
    for entry in std::fs::read_dir(store(places))? {
        let entry = entry?;
        let digest = entry.file_name().to_string_lossy().parse::<Sha256Digest>();
        let is_kept = digest.is_ok_and(|digest| kept.iter().any(|wish| wish.digest == digest));
        if !is_kept {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The bytes of a file that the network process left, if they have this digest and are no more than `limit`.
///
/// # Errors
/// A sentence without its subject.
pub fn read_left(places: &Places, digest: Sha256Digest, limit: u64) -> Result<Vec<u8>, String> {
    let wish = Wish {
        digest,
        size_bytes: limit,
    };
    let folder = open_folder(&places.files()).map_err(|errno| format!("cannot be opened ({errno})"))?;
    let file = open_file(&folder, &wish).ok_or("is not there, or is no file that it could be")?;
    let mut bytes = Vec::new();
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read ({error})"))?;
    if protocol::sha256(&bytes) != digest {
        return Err("has other bytes than its name says".to_owned());
    }
    Ok(bytes)
}

fn make(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn open_folder(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::RDONLY;
    rustix::fs::open(path, flags, Mode::empty())
}

/// A file that another user may have put there; nothing but a plain file of no more than its size.
fn open_file(folder: &OwnedFd, wish: &Wish) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::openat(folder, wish.digest.to_string(), flags, Mode::empty()).ok()?;
    let file = File::from(file);
    let facts = file.metadata().ok()?;
    (facts.is_file() && facts.len() <= wish.size_bytes).then_some(file)
}

/// Copies a file into the folder `own`; gives its size, or nothing if it is another file than its name says.
fn copy(source: File, own: &OwnedFd, wish: &Wish) -> std::io::Result<Option<u64>> {
    let name = wish.digest.to_string();
    let part = format!("{name}.part");
    match rustix::fs::unlinkat(own, part.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let target = rustix::fs::openat(own, part.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
    let mut target = File::from(target);
    let copied = copy_hashing(source.take(wish.size_bytes + 1), &mut target);
    let outcome = match copied {
        Ok((bytes, digest)) if digest == wish.digest => {
            target.sync_all()?;
            rustix::fs::renameat(own, part.as_str(), own, name.as_str())?;
            return Ok(Some(bytes));
        }
        Ok(_) => Ok(None),
        Err(error) => Err(error),
    };
    rustix::fs::unlinkat(own, part.as_str(), AtFlags::empty())?;
    outcome
}

fn copy_hashing(mut source: impl Read, target: &mut File) -> std::io::Result<(u64, Sha256Digest)> {
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; AT_ONCE];
    let mut bytes = 0;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..count]);
        target.write_all(&buffer[..count])?;
        bytes += count as u64;
    }
    let digest = hash.finish();
    let digest = Sha256Digest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"));
    Ok((bytes, digest))
}
