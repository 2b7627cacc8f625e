//! Documents: checked to the last byte, stored once a tenant, noted in the host's history, and acknowledged when the commit
//! that holds them is durable.

mod changes;
mod read;

use super::check_in::check_link;
use super::refusal::Refusal;
use super::registry::{AgentHost, Entry, Named};
use super::{Begun, carry, seal};
use crate::context::{Context, Work};
use crate::operations::metrics::Metric;
use domain::digest::Sha256Digest;
use jiff::{SignedDuration, Timestamp};
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::{Document as _, DocumentKind};
use protocol::envelope::Opened;
use protocol::message::check_in::Wanted;
use protocol::message::documents::{
    Documents, DocumentsError, DocumentsTaken, Part, RefusedDocument, WhyRefused,
};
use protocol::message::refused::RefusalKind;
use read::{Checked, check, decode};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::document::{self, Document};
use store::host::HostState;
use store::host_change::{self, HostChange};
use store::host_document::{self, HostDocument};
use store::{Error, Scope, Tx, View};

pub(super) async fn answer(context: &Context, entry: &Entry, opened: &Opened<'_>) -> Result<Begun, Refusal> {
    let (message, bytes) = Documents::read(opened).map_err(refusal_of)?;
    let host = entry.host();
    if host.state() == HostState::Pending {
        return Err(Refusal::of(RefusalKind::Pending));
    }
    check_link(context, host, &message.link)?;
    if !host.is_last_link(message.link.count) {
        return Err(Refusal::check_in_first());
    }
    let (mut taken, mut refused, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for (part, bytes) in message.documents.iter().zip(bytes) {
        let sent = bytes.len() as u64;
        // Taken before, and the answer was lost.
        if host.current(part.kind) == Some(part.digest) {
            digests.push(part.digest);
            continue;
        }
        if part.kind == DocumentKind::IndexFile {
            match carry::take_piece(context, host, part, bytes) {
                Ok(is_whole) => {
                    context.metrics.add(Metric::DocumentBytes, sent);
                    digests.extend(is_whole.then_some(part.digest));
                }
                Err(unfit) => refused.push(unfit.refused(part.digest)),
            }
            continue;
        }
        match judge(context, host, part, bytes).await? {
            Ok(checked) => {
                context.metrics.add(Metric::DocumentBytes, sent);
                taken.push(checked);
            }
            Err(document) => refused.push(document),
        }
    }
    digests.extend(taken.iter().map(|checked| checked.document.digest));
    store_all(context, host, taken).await?;
    failpoint::reach(failpoint::Point::DocumentsKept);
    context.metrics.add(Metric::Documents, digests.len() as u64);
    let missing = missing_key_files(context, host).await?;
    let mut wanted: Vec<Wanted> = missing.into_iter().map(wanted_key_file).collect();
    carry::hand_over(context, host).await?;
    wanted.extend(carry::lacking(context, host));
    wanted.truncate(protocol::limits::DOCUMENTS_PER_MESSAGE);
    let answer = DocumentsTaken {
        taken: digests,
        refused,
        wanted,
    };
    Ok(Begun::Answered(seal(context, &opened.asked(), &answer)))
}

fn refusal_of(error: DocumentsError) -> Refusal {
    match error {
        DocumentsError::Message(error) => Refusal::of_message(&error),
        DocumentsError::Unfit(unfit) => Refusal::with(RefusalKind::Malformed, format!("{unfit}.")),
    }
}

/// A key file, as something wanted.
pub(super) fn wanted_key_file(digest: Sha256Digest) -> Wanted {
    Wanted {
        kind: DocumentKind::KeyFile,
        digest,
        base: None,
        offset: 0,
    }
}

/// Whether a document may be stored: it was asked for, and is what it says.
async fn judge(
    context: &Context,
    host: &AgentHost,
    part: &Part,
    bytes: &[u8],
) -> Result<Result<Checked, RefusedDocument>, Refusal> {
    let refused = |why, sentence: &str| RefusedDocument {
        digest: part.digest,
        why,
        sentence: sentence.to_owned(),
    };
    let observed_at = match part.kind {
        DocumentKind::KeyFile => {
            let missing = missing_key_files(context, host).await?;
            missing.contains(&part.digest).then(|| context.clock.now())
        }
        DocumentKind::Output => host.awaits_output(part.digest).then(|| context.clock.now()),
        kind => host.named(kind, part.digest).map(|named| named.observed_at),
    };
    let Some(observed_at) = observed_at else {
        let sentence = "Nobody asked for this document: name it in a check-in first.";
        return Ok(Err(refused(WhyRefused::Unasked, sentence)));
    };
    let base = match &part.form {
        protocol::message::documents::Form::Delta { base } => {
            let (scope, base) = (host.scope(), *base);
            let found = context
                .db
                .read(move |view| document::get(view, &scope, base))
                .await?;
            found.as_ref().map(decode).transpose()?
        }
        _ => None,
    };
    Ok(check(part, bytes, base.as_deref(), observed_at)
        .map_err(|fault| refused(fault.why(), &format!("{fault}."))))
}

/// Stores what was checked, and tells the assessor. Returns when it is durable.
async fn store_all(context: &Context, host: &AgentHost, taken: Vec<Checked>) -> Result<(), Refusal> {
    if taken.is_empty() {
        return Ok(());
    }
    let now = context.clock.now();
    let (scope, id) = (host.scope(), host.id());
    let config = host.current(DocumentKind::ChannelConfig);
    let taken = Arc::new(taken);
    let writing = Arc::clone(&taken);
    let facts = taken
        .iter()
        .filter(|checked| checked.kind == DocumentKind::Facts)
        .map(|checked| &checked.document);
    let changes = changes_in(context, facts)?;
    context
        .db
        .write(move |tx| {
            host_change::note(tx, &scope, id, &changes)?;
            for checked in writing.iter() {
                document::put(tx, &scope, &checked.document, now)?;
                note(
                    tx,
                    &scope,
                    (id, checked.document.kind, checked.document.digest),
                    checked.observed_at,
                    now,
                )?;
                if let (DocumentKind::KeyFile, Some(config)) = (checked.kind, config) {
                    host_document::note_uses(tx, &scope, config, &[checked.document.digest])?;
                }
            }
            Ok(())
        })
        .await?;
    for checked in taken.iter() {
        host.note_current(&Named {
            kind: checked.kind,
            digest: checked.document.digest,
            observed_at: checked.observed_at,
        });
        if let (DocumentKind::KeyFile, Some(config)) = (checked.kind, config) {
            let mut missing = host.missing_keys().unwrap_or_default();
            missing.retain(|digest| *digest != checked.document.digest);
            host.set_missing_keys(config, missing);
        }
    }
    context.fleets.note_news(scope.tenant(), id);
    context.wake_ups.nudge(Work::Assess);
    Ok(())
}

/// What these facts say was changed on their host, as far as that is kept.
fn changes_in<'a>(
    context: &Context,
    facts: impl Iterator<Item = &'a Document>,
) -> Result<Vec<HostChange>, Error> {
    let now = context.clock.now();
    let kept_for = SignedDuration::from_hours(24 * i64::from(context.settings.file.retention.document_days));
    let oldest = now.checked_sub(kept_for).unwrap_or(Timestamp::MIN);
    let mut found = Vec::new();
    for document in facts {
        found.extend(changes::of_facts(&decode(document)?, oldest, now));
    }
    Ok(found)
}

fn note(
    tx: &mut Tx,
    scope: &Scope,
    (host, kind, digest): (domain::id::HostId, document::DocumentKind, Sha256Digest),
    observed_at: Timestamp,
    received_at: Timestamp,
) -> Result<bool, Error> {
    let document = HostDocument {
        host,
        kind,
        digest,
        observed_at,
        received_at,
    };
    host_document::note(tx, scope, &document)
}

/// Notes those documents that the tenant has already, from another host or from before, as this host's; gives the others.
pub(super) async fn take_over_known(
    context: &Context,
    host: &AgentHost,
    named: &[Named],
) -> Result<Vec<Named>, Refusal> {
    let (scope, id, now) = (host.scope(), host.id(), context.clock.now());
    let asked: Vec<Sha256Digest> = named.iter().map(|name| name.digest).collect();
    let known = context
        .db
        .read(move |view| known_of(view, &scope, &asked))
        .await?;
    // A digest that the tenant knows as another kind of document is none of this kind.
    let is_known = |name: &Named| {
        let is_it =
            |document: &&Document| (document.digest, document.kind) == (name.digest, stored_kind(name.kind));
        known.iter().any(|document| is_it(&document))
    };
    let facts = known
        .iter()
        .filter(|document| document.kind == document::DocumentKind::Facts);
    let changes = changes_in(context, facts)?;
    let (known, lacking): (Vec<Named>, Vec<Named>) = named.iter().copied().partition(is_known);
    if known.is_empty() {
        return Ok(lacking);
    }
    let noting = known.clone();
    context
        .db
        .write(move |tx| {
            host_change::note(tx, &scope, id, &changes)?;
            for name in &noting {
                note(
                    tx,
                    &scope,
                    (id, stored_kind(name.kind), name.digest),
                    name.observed_at,
                    now,
                )?;
            }
            Ok(())
        })
        .await?;
    known.iter().for_each(|name| host.note_current(name));
    context.fleets.note_news(scope.tenant(), id);
    context.wake_ups.nudge(Work::Assess);
    Ok(lacking)
}

fn known_of(view: &mut View, scope: &Scope, digests: &[Sha256Digest]) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for digest in document::known(view, scope, digests)? {
        documents.extend(document::get(view, scope, digest)?);
    }
    Ok(documents)
}

/// Key files that the host's channel config names and the tenant does not have.
pub(super) async fn missing_key_files(
    context: &Context,
    host: &AgentHost,
) -> Result<Vec<Sha256Digest>, Refusal> {
    if let Some(missing) = host.missing_keys() {
        return Ok(missing);
    }
    let Some(config) = host.current(DocumentKind::ChannelConfig) else {
        return Ok(Vec::new());
    };
    let scope = host.scope();
    let missing = context
        .db
        .read(move |view| missing_of(view, &scope, config))
        .await?;
    host.set_missing_keys(config, missing.clone());
    Ok(missing)
}

fn missing_of(view: &mut View, scope: &Scope, config: Sha256Digest) -> Result<Vec<Sha256Digest>, Error> {
    let damaged = || Error::Decode {
        what: "channel config",
    };
    let Some(stored) = document::get(view, scope, config)? else {
        return Ok(Vec::new());
    };
    let config = ChannelConfigDocument::parse_kept(&decode(&stored)?).map_err(|_malformed| damaged())?;
    let (_config, evidence) = config.into_domain();
    let keys: BTreeSet<Sha256Digest> = evidence.into_iter().flat_map(|stanza| stanza.keys).collect();
    let keys: Vec<Sha256Digest> = keys.into_iter().collect();
    let known: BTreeSet<Sha256Digest> = document::known(view, scope, &keys)?.into_iter().collect();
    Ok(keys.into_iter().filter(|key| !known.contains(key)).collect())
}

/// How a kind of document is called in the database.
fn stored_kind(kind: DocumentKind) -> document::DocumentKind {
    match kind {
        DocumentKind::Inventory => document::DocumentKind::Inventory,
        DocumentKind::ChannelConfig => document::DocumentKind::ChannelConfig,
        DocumentKind::Facts => document::DocumentKind::Facts,
        DocumentKind::KeyFile => document::DocumentKind::KeyFile,
        DocumentKind::Output => document::DocumentKind::Output,
        DocumentKind::IndexFile | DocumentKind::Unrecognised => document::DocumentKind::IndexFile,
    }
}

/// The bytes of a stored document as they came, inflated: for the rooms that read documents.
pub fn stored_bytes(document: &Document) -> Result<Vec<u8>, Error> {
    decode(document)
}
