//! Files that hosts need, made ready to be served: fetched from their sources once however many want them, held against what
//! was signed, scanned, and noted with where they came from. Doing it again does only what is left.

pub mod clamd;
mod fetch;

use crate::Context;
use crate::catalog::resolve::NeededFile;
use crate::catalog::row::{self, IdentityJson, ReleaseJson};
use crate::catalog::space::{DiskOf, Space};
use crate::reconcile::chain;
use clamd::{Clamd, Said};
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::acquisition::{self, Acquisition, Scan, ScanState};
use store::lease::{self, Fence};
use store::source::{self, Source};
use store::{Whole, snapshot};

/// Files whose records one transaction writes.
const RECORDS_A_TIME: usize = 500;

/// What became of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acquired {
    /// They are here, and may be served.
    pub done: Vec<Sha256Digest>,
    /// They may not, and why, in words.
    pub failed: Vec<(Sha256Digest, String)>,
}

/// Makes files ready. They are kept, and served, by what was granted to the change that needs them, which is the caller's
/// to grant before.
pub async fn acquire(context: &Context, fence: &Fence, files: &[NeededFile]) -> Acquired {
    let disk = DiskOf(context.content.folder().to_owned());
    acquire_on(context, fence, files, Arc::new(disk)).await
}

/// The same on a disk of the caller's.
pub async fn acquire_on(
    context: &Context,
    fence: &Fence,
    files: &[NeededFile],
    disk: Arc<dyn Space>,
) -> Acquired {
    let mut acquired = Acquired::default();
    let mut by_source: BTreeMap<SourceId, BTreeSet<&NeededFile>> = BTreeMap::new();
    for file in files {
        by_source.entry(file.source).or_default().insert(file);
    }
    for (id, files) in by_source {
        let files: Vec<NeededFile> = files.into_iter().cloned().collect();
        match of_source(context, fence, id, &files, &disk).await {
            Ok(of_source) => {
                acquired.done.extend(of_source.done);
                acquired.failed.extend(of_source.failed);
            }
            Err(error) => {
                let why = chain(&*error);
                acquired
                    .failed
                    .extend(files.iter().map(|file| (file.sha256, why.clone())));
            }
        }
    }
    acquired.done.sort_unstable();
    acquired.done.dedup();
    // What two sources publish is here if one of them gave it.
    acquired
        .failed
        .retain(|(digest, _)| acquired.done.binary_search(digest).is_err());
    acquired
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

async fn of_source(
    context: &Context,
    fence: &Fence,
    id: SourceId,
    files: &[NeededFile],
    disk: &Arc<dyn Space>,
) -> Result<Acquired, Trouble> {
    let found = context
        .db
        .read(move |view| source::find(view, &Whole::server(), id))
        .await?;
    let Some(source) = found else {
        return Err("its source was removed".into());
    };
    let (fetched, failed) = fetch::fetch(context, &source, files, disk).await?;
    let mut acquired = Acquired {
        done: Vec::new(),
        failed,
    };
    let (scans, refused) = scan(context, &source, &fetched).await?;
    for file in &fetched {
        match refused.get(&file.sha256) {
            None => acquired.done.push(file.sha256),
            Some(why) => acquired.failed.push((file.sha256, why.clone())),
        }
    }
    note(context, fence, &source, fetched, scans).await?;
    Ok(acquired)
}

/// What scans of these files said, and which of them may not be served, and why. Release files and indexes are not scanned:
/// nothing runs them.
async fn scan(
    context: &Context,
    source: &Source,
    files: &[NeededFile],
) -> Result<(Vec<Scan>, BTreeMap<Sha256Digest, String>), Trouble> {
    let (mut scans, mut refused) = (Vec::new(), BTreeMap::new());
    let clamd = context
        .settings
        .file
        .scan
        .as_ref()
        .map(|scan| Clamd::at(&scan.clamd));
    for file in files.iter().filter(|file| file.is_package()) {
        let digest = file.sha256;
        let known = context
            .db
            .read(move |view| acquisition::scan(view, &Whole::server(), digest))
            .await?;
        let scanned = match (known, &clamd) {
            (Some(known), _) if known.state != ScanState::NotScanned => Some(known),
            (known, None) => known.filter(|known| known.state == ScanState::Infected),
            (_, Some(clamd)) => {
                let scan = ask(context, clamd.clone(), digest).await?;
                scans.push(scan.clone());
                Some(scan)
            }
        };
        if let Some(why) = scanned.and_then(|scan| refusal(context, source, &scan)) {
            refused.insert(digest, why);
        }
    }
    Ok((scans, refused))
}

/// Has a file of the content store scanned.
async fn ask(context: &Context, clamd: Clamd, digest: Sha256Digest) -> Result<Scan, Trouble> {
    let mapped = context.content.map(&digest)?.ok_or("the file is gone again")?;
    let asking = tokio::task::spawn_blocking(move || clamd.scan(&mapped));
    let Said {
        state,
        detail,
        engine,
    } = asking.await.expect("asking does not panic");
    if state == ScanState::Infected {
        tracing::error!(%digest, %engine, "The file {digest} is served to nobody: {engine} found {detail}.");
    }
    Ok(Scan {
        digest,
        state,
        detail,
        engine,
        scanned_at: context.clock.now(),
    })
}

/// Why a file may not be served after this scan. One that could not be scanned may be where the source's policy says so.
fn refusal(context: &Context, source: &Source, scan: &Scan) -> Option<String> {
    let policy = context.settings.file.scan.as_ref();
    let serves_unscanned = policy.is_some_and(|scan| scan.serves_unscanned(source.id));
    match scan.state {
        ScanState::Clean => None,
        ScanState::Infected => Some(format!("the scanner found {} in it", scan.detail)),
        ScanState::NotScanned if serves_unscanned => None,
        ScanState::NotScanned => Some(format!("it could not be scanned: {}", scan.detail)),
    }
}

/// Writes the records of files.
async fn note(
    context: &Context,
    fence: &Fence,
    source: &Source,
    files: Vec<NeededFile>,
    scans: Vec<Scan>,
) -> Result<(), Trouble> {
    let (now, id) = (context.clock.now(), source.id);
    let releases: BTreeSet<Sha256Digest> = files.iter().map(|file| file.release).collect();
    let rows = context.db.read(move |view| {
        let rows = releases.into_iter().map(|release| {
            let row = snapshot::by_digest(view, &Whole::server(), id, release)?;
            Ok((release, row.map(|row| row.release)))
        });
        rows.collect::<Result<BTreeMap<_, _>, store::Error>>()
    });
    let rows = rows.await?;
    let identity: IdentityJson = row::parse("the identity", &source.identity)?;
    let signed_by = |release: &Sha256Digest| match rows.get(release).cloned().flatten() {
        Some(text) => {
            let release: ReleaseJson = row::parse("the release", &text)?;
            Ok::<_, row::BadRow>(row::json(&release.signed_by))
        }
        // The snapshot was forgotten meanwhile; those who may sign the source did.
        None => Ok(row::json(&identity.keys)),
    };
    let mut records = Vec::with_capacity(files.len());
    for file in files {
        records.push(Acquisition {
            owner: source.owner,
            source: id,
            digest: file.sha256,
            size_bytes: file.size_bytes,
            signed_by: signed_by(&file.release)?,
            release: file.release,
            place: file.path,
            acquired_at: now,
        });
    }
    for records in records.chunks(RECORDS_A_TIME).map(<[_]>::to_vec) {
        let fence = fence.clone();
        let noted = context.db.write(move |tx| {
            lease::hold(tx, &Whole::server(), &fence, now)?;
            acquisition::note(tx, &Whole::server(), &records)
        });
        noted.await?;
    }
    if scans.is_empty() {
        return Ok(());
    }
    let fence = fence.clone();
    let noted = context.db.write(move |tx| {
        lease::hold(tx, &Whole::server(), &fence, now)?;
        let mut scans = scans.iter();
        scans.try_for_each(|scan| acquisition::note_scan(tx, &Whole::server(), scan))
    });
    Ok(noted.await?)
}
