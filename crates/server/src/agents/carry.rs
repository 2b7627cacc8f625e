//! Index files that agents carry from sources which only they reach: which sources, which files are lacking, and taking
//! them in pieces. What a file is worth is decided by `catalog`, which verifies it as if it had been fetched.

use super::refusal::Refusal;
use super::registry::AgentHost;
use crate::catalog::carry;
use crate::context::{Context, Work};
use domain::digest::Sha256Digest;
use domain::id::TenantId;
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::message::check_in::{CarriedFile, CarriedSource, Wanted};
use protocol::message::documents::{Form, Part, RefusedDocument, WhyRefused};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long the list of a tenant's sources is believed.
const BELIEVED: SignedDuration = SignedDuration::from_secs(60);

/// Why a piece is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Nobody asked for the file.
    Unasked,
    /// It is not what the check-in named.
    Malformed,
    /// It does not go on where the server is, or another agent carries the file at this moment.
    NotNow,
    /// The whole file does not have its digest.
    Digest,
}

impl Unfit {
    /// How the agent is told.
    pub(super) fn refused(self, digest: Sha256Digest) -> RefusedDocument {
        let (why, sentence) = match self {
            Self::Unasked => (
                WhyRefused::Unasked,
                "Nobody asked for this file: name it in a check-in first.",
            ),
            Self::Malformed => (
                WhyRefused::Malformed,
                "The piece is not of the file that was named.",
            ),
            Self::NotNow => (
                WhyRefused::Unasked,
                "Not this piece now: the next check-in is told where to go on.",
            ),
            Self::Digest => (
                WhyRefused::Digest,
                "The file does not have its digest: it is asked for again.",
            ),
        };
        RefusedDocument {
            digest,
            why,
            sentence: sentence.to_owned(),
        }
    }
}

/// Which sources agents of each tenant are to carry, as read a moment ago.
#[derive(Debug, Default)]
pub(super) struct ToCarry(Mutex<Known>);

/// When the sources of each tenant were read, and which they were.
type Known = HashMap<TenantId, (Timestamp, Arc<Vec<CarriedSource>>)>;

impl ToCarry {
    /// The sources that this host's tenant wants to be carried.
    pub(super) async fn of(
        &self,
        context: &Context,
        host: &AgentHost,
    ) -> Result<Arc<Vec<CarriedSource>>, Refusal> {
        let now = context.clock.now();
        let known = self.known().get(&host.tenant()).cloned();
        if let Some((read_at, sources)) = &known
            && now.duration_since(*read_at).abs() < BELIEVED
        {
            return Ok(Arc::clone(sources));
        }
        let sources = match carry::to_carry(context, host.scope()).await {
            Ok(sources) => Arc::new(sources),
            // A list of a moment ago will do while the database does not answer.
            Err(error) => {
                return known
                    .map(|(_, sources)| sources)
                    .ok_or_else(|| Refusal::of_store(&error));
            }
        };
        self.known().insert(host.tenant(), (now, Arc::clone(&sources)));
        Ok(sources)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps which files of asked sources a check-in names; those that are all here are handed to the catalog.
pub(super) async fn heard(
    context: &Context,
    host: &AgentHost,
    files: &[CarriedFile],
    asked: &[CarriedSource],
) -> Result<(), Refusal> {
    let files: Vec<CarriedFile> = files
        .iter()
        .filter(|file| asked.contains(&file.source))
        .cloned()
        .collect();
    if host.carried() != files {
        host.set_carried(files);
        hand_over(context, host).await?;
    }
    Ok(())
}

/// Files that the host carries and the server lacks, each from where it ended.
pub(super) fn lacking(context: &Context, host: &AgentHost) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for file in host.carried() {
        if context.content.contains(&file.digest) || wanted.iter().any(|other| other.digest == file.digest) {
            continue;
        }
        let partial = context.content.partial(file.digest, file.size_bytes);
        // Where it cannot be opened, or another agent carries it at this moment, it is asked for the next time.
        if let Ok(Some(partial)) = partial {
            wanted.push(Wanted {
                kind: DocumentKind::IndexFile,
                digest: file.digest,
                base: None,
                offset: partial.size_bytes(),
            });
        }
    }
    wanted
}

/// Takes a piece of a file that the host carries. Whether the file is whole now.
pub(super) fn take_piece(
    context: &Context,
    host: &AgentHost,
    part: &Part,
    bytes: &[u8],
) -> Result<bool, Unfit> {
    let carried = host.carried();
    let file = carried.iter().find(|file| file.digest == part.digest);
    let file = file.ok_or(Unfit::Unasked)?;
    let (offset, total_bytes) = match part.form {
        Form::Piece { offset, total_bytes } => (offset, total_bytes),
        Form::Whole => (0, bytes.len() as u64),
        Form::Delta { .. } => return Err(Unfit::Malformed),
    };
    if total_bytes != file.size_bytes {
        return Err(Unfit::Malformed);
    }
    if context.content.contains(&file.digest) {
        return Ok(true);
    }
    let partial = context.content.partial(file.digest, total_bytes);
    let mut partial = partial.ok().flatten().ok_or(Unfit::NotNow)?;
    if partial.size_bytes() != offset {
        return Err(Unfit::NotNow);
    }
    partial.write(bytes).map_err(|_too_long_or_disk| Unfit::NotNow)?;
    match partial.size_bytes() == total_bytes {
        true => partial.finish().map(|()| true).map_err(|_wrong| Unfit::Digest),
        false => Ok(false),
    }
}

/// Tells the catalog of the files, once all of them are here.
pub(super) async fn hand_over(context: &Context, host: &AgentHost) -> Result<(), Refusal> {
    let files = host.carried();
    let is_here = |digest: &Sha256Digest| context.content.contains(digest);
    if !files.is_empty() && files.iter().all(|file| is_here(&file.digest)) {
        carry::take(context, host.scope(), &files).await?;
        context.wake_ups.nudge(Work::Sync);
    }
    Ok(())
}
