//! The package indexes of a release: fetched by digest, verified packed and unpacked, compiled.

use super::release::NewRelease;
use super::{Context, Note, SourceRequest, SyncError, fetch_file};
use crate::apt::decompress::{self, Compression, OutputLimits};
use crate::apt::fetch::Presence;
use crate::apt::index::{COMPILED, Index, IndexBuilder};
use crate::apt::release::FileEntry;
use crate::apt::snapshot::{Published, SnapshotIndex};
use crate::apt::targets::Target;
use content::{Hasher, Mapped, Store};
use domain::digest::Sha256Digest;
use domain::host::channels::ByHash;
use std::io::Read;
use std::sync::PoisonError;

/// Extensions of index files, best first; what the release does not list is passed over.
const EXTENSIONS: [&str; 4] = [".xz", ".zst", ".gz", ""];
/// Bytes that are unpacked, hashed and parsed at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Makes one index of a release ready: its published file and its compiled form are in the store afterwards.
pub(super) fn ready(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    base: &str,
    new: &NewRelease,
    target: Target,
    notes: &mut Vec<Note>,
) -> Result<SnapshotIndex, SyncError> {
    let entry = new
        .release
        .file(&target.path)
        .expect("targets are what the release lists");
    check_size(&target.path, entry, OutputLimits::INDEX.max_bytes)?;
    let index = |published| SnapshotIndex {
        component: target.component.clone(),
        architecture: target.architecture.clone(),
        digest: entry.sha256,
        size_bytes: entry.size_bytes,
        published,
    };
    if entry.size_bytes == 0 {
        compile(context, &target.path, entry, Compression::Plain, &[])?;
        return Ok(index(None));
    }
    for extension in EXTENSIONS {
        let path = format!("{}{extension}", target.path);
        let Some(listed) = new.release.file(&path) else {
            continue;
        };
        check_size(&path, listed, OutputLimits::INDEX.max_bytes)?;
        if !fetch(context, request, base, new, &path, listed)? {
            continue;
        }
        let compiled = match compiled(context.store, entry.sha256)? {
            Some(known) => known,
            None => {
                let kind = Compression::from_name(&path);
                let packed = context.store.map(&listed.sha256)?.ok_or(SyncError::Vanished)?;
                compile(context, &path, entry, kind, &packed)?;
                self::compiled(context.store, entry.sha256)?.ok_or(SyncError::Vanished)?
            }
        };
        let count = compiled.skipped_total();
        notes.extend((count > 0).then(|| Note::Skipped {
            path: path.clone(),
            count,
        }));
        let published = Published {
            path,
            digest: listed.sha256,
            size_bytes: listed.size_bytes,
        };
        return Ok(index(Some(published)));
    }
    Err(SyncError::Incomplete { path: target.path })
}

fn check_size(path: &str, entry: FileEntry, limit_bytes: u64) -> Result<(), SyncError> {
    match entry.size_bytes > limit_bytes {
        true => Err(SyncError::TooLarge {
            path: path.to_owned(),
            size_bytes: entry.size_bytes,
            limit_bytes,
        }),
        false => Ok(()),
    }
}

/// The compiled form, if it is here and sound. A sweep leaves it alone as if it were new.
fn compiled(store: &Store, digest: Sha256Digest) -> Result<Option<Index<Mapped>>, SyncError> {
    store.claim_derived(COMPILED, &digest)?;
    let mapped = store.map_derived(COMPILED, &digest)?;
    let index = mapped.and_then(|mapped| Index::open(mapped).ok());
    Ok(index.filter(|index| index.packages_digest() == digest))
}

/// Fetches one file into the store, unless it is there: by digest where the archive offers that, then by name.
/// `false` if the archive has it under neither.
fn fetch(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    base: &str,
    new: &NewRelease,
    path: &str,
    listed: FileEntry,
) -> Result<bool, SyncError> {
    if context.store.holds(&listed.sha256)? {
        return Ok(true);
    }
    let by_hash = match request.source.stanzas[0].by_hash {
        Some(ByHash::Force) => true,
        Some(ByHash::No) => false,
        Some(ByHash::Yes) | None => new.release.facts().acquire_by_hash,
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let slash = if folder.is_empty() { "" } else { "/" };
    let named_by_digest = format!("{base}{folder}{slash}by-hash/SHA256/{}", listed.sha256);
    let places = by_hash
        .then_some(named_by_digest)
        .into_iter()
        .chain([format!("{base}{path}")]);
    for uri in places {
        match fetch_file(
            &context.fetcher,
            context.store,
            &uri,
            listed.sha256,
            listed.size_bytes,
        )? {
            Presence::Fetched => return Ok(true),
            Presence::Missing => {}
        }
    }
    Ok(false)
}

/// Unpacks, hashes and compiles in one pass; what does not have the listed digest and size is thrown away.
fn compile(
    context: &Context<'_>,
    path: &str,
    entry: FileEntry,
    kind: Compression,
    packed: &[u8],
) -> Result<(), SyncError> {
    let _one_at_a_time = context.compiling.lock().unwrap_or_else(PoisonError::into_inner);
    let unpack = |cause| SyncError::Unpack {
        path: path.to_owned(),
        cause,
    };
    let build = |cause| SyncError::Build {
        path: path.to_owned(),
        cause,
    };
    let limits = OutputLimits {
        max_bytes: entry.size_bytes,
        ..OutputLimits::INDEX
    };
    let mut reader =
        decompress::reader(kind, packed, limits).map_err(|cause| unpack(std::io::Error::from(cause)))?;
    let mut builder = IndexBuilder::new();
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk).map_err(unpack)? {
            0 => break,
            count => {
                hasher.update(&chunk[..count]);
                builder.push(&chunk[..count]).map_err(build)?;
            }
        }
    }
    if hasher.finish() != (entry.sha256, entry.size_bytes) {
        return Err(SyncError::WrongPackages {
            path: path.to_owned(),
        });
    }
    let compiled = builder.finish(entry.sha256).map_err(build)?;
    context
        .store
        .insert_derived(COMPILED, &entry.sha256, &compiled.bytes)?;
    Ok(())
}
