//! One source from its lock to its snapshot.

use super::release::{Ask, NewRelease, Offered, judge, offered};
use super::state::{self, SourceState, Standing};
use super::{Context, Note, Outcome, SourceRequest, SyncError, SyncOutcome, current, index, lock};
use crate::apt::answer::ReadableIndex;
use crate::apt::fetch::Validators;
use crate::apt::fetch::address::shown;
use crate::apt::freshness::{Freshness, freshness};
use crate::apt::index::COMPILED;
use crate::apt::snapshot::Snapshot;
use crate::apt::targets::{Merged, merged_targets, unlisted};
use content::store::Lock;
use domain::digest::Sha256Digest;
use domain::host::channels::Trust;
use jiff::Timestamp;

/// Syncs one source.
pub(super) fn sync_source(context: &Context<'_>, request: &SourceRequest<'_>) -> SyncOutcome {
    let mut notes = Vec::new();
    let outcome = try_sync(context, request, &mut notes).unwrap_or_else(Outcome::Failed);
    let stanza = request.source.stanzas[0];
    SyncOutcome {
        uri: shown(&stanza.uri),
        suite: stanza.suite.clone(),
        outcome,
        notes,
    }
}

fn try_sync(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    notes: &mut Vec<Note>,
) -> Result<Outcome, SyncError> {
    check_config(&request.source)?;
    let _lock = lock(context, &request.source)?;
    let prior = SourceState::load(context.store, &request.source, Standing::Adopted)?
        .filter(|prior| is_vouched(context, request, prior));
    let base = request.source.release_uri();
    let is_whole = |prior: &SourceState| is_usable(context, request, prior);
    let ask = match prior.as_ref().is_some_and(is_whole) {
        true => Ask::IfChanged,
        false => Ask::Always,
    };
    let first = match offered(context, request, &base, prior.as_ref(), ask)? {
        Offered::Unchanged { validators } => {
            let prior = prior.expect("only what is known can be unchanged");
            return unchanged(context, request, prior, validators);
        }
        Offered::New(new) => take(context, request, &base, *new, prior.as_ref(), notes),
    };
    match first {
        Err(error) if error.may_be_mid_update() => {
            notes.clear();
            match offered(context, request, &base, prior.as_ref(), Ask::Always)? {
                Offered::New(new) => take(context, request, &base, *new, prior.as_ref(), notes),
                Offered::Unchanged { .. } => Err(error),
            }
        }
        first => first,
    }
}

/// What apt, or the host's administrator, refuses before anything is fetched.
fn check_config(source: &Merged<'_>) -> Result<(), SyncError> {
    let first = source.stanzas[0];
    if source.stanzas.iter().any(|stanza| stanza.trust == Trust::Never) {
        return Err(SyncError::DistrustedByHost);
    }
    match source
        .stanzas
        .iter()
        .all(|stanza| stanza.signed_by == first.signed_by)
    {
        true => Ok(()),
        false => Err(SyncError::ConflictingKeys),
    }
}

/// Waits for the source's lock.
fn lock(context: &Context<'_>, source: &Merged<'_>) -> Result<Lock, SyncError> {
    let name = format!("apt-{}", state::key(source));
    lock::patiently(|| context.store.try_lock(&name))?.ok_or(SyncError::Busy)
}

/// Whether today's keys still vouch for what is known. Another root may have adopted something under the same address
/// with keys of its own: that is nothing to compare with, or it could make every release of the real vendor look old.
fn is_vouched(context: &Context<'_>, request: &SourceRequest<'_>, prior: &SourceState) -> bool {
    prior.keys == request.keyring.digest()
        || !matches!(
            current::current(context.store, &request.source, request.keyring, context.now),
            Err(SyncError::Refused(_))
        )
}

/// Whether nothing but a new release file would make a sync necessary: same keys, same choice, all files here. Those stay
/// here, although nobody may refer to them at this moment: a source that comes back after a long time can be unchanged.
fn is_usable(context: &Context<'_>, request: &SourceRequest<'_>, prior: &SourceState) -> bool {
    let store = context.store;
    let is_here = |digest: &Sha256Digest| store.holds(digest).unwrap_or(false);
    prior.keys == request.keyring.digest()
        && prior.wanted == state::wanted(&request.source)
        && is_here(&prior.release)
        && prior.form.signature().is_none_or(|signature| is_here(&signature))
        && prior.indexes.iter().all(|index| {
            store.claim_derived(COMPILED, &index.digest).unwrap_or(false)
                && ReadableIndex::open(store, index.digest).is_ok_and(|readable| readable.is_some())
                && index
                    .published
                    .as_ref()
                    .is_none_or(|published| is_here(&published.digest))
        })
}

fn unchanged(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    prior: SourceState,
    validators: Validators,
) -> Result<Outcome, SyncError> {
    let release_digest = prior.release;
    let dates = prior.dates();
    if prior.validators != validators {
        SourceState { validators, ..prior }.save(context.store, &request.source, Standing::Adopted)?;
    }
    match freshness(&dates, &context.rules(&request.source), context.now) {
        Freshness::Fresh { .. } => Ok(Outcome::Unchanged { release_digest }),
        Freshness::FromTheFuture { until } => Err(SyncError::FromTheFuture { until }),
        Freshness::Expired { since } => {
            let known = current::current(context.store, &request.source, request.keyring, context.now)?;
            let snapshot = known.ok_or(SyncError::Vanished)?;
            Ok(Outcome::Expired { since, snapshot })
        }
    }
}

/// Takes a new release: judges it, makes its indexes ready, and records it.
fn take(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    base: &str,
    new: NewRelease,
    prior: Option<&SourceState>,
    notes: &mut Vec<Note>,
) -> Result<Outcome, SyncError> {
    let freshness = judge(context, request, &new, prior)?;
    let (source, facts) = (&request.source, new.release.facts());
    let is_listed = |path: &str| new.release.file(path).is_some();
    let unlisted = unlisted(source, facts, is_listed);
    notes.extend(unlisted.iter().cloned().map(Note::Unlisted));
    notes.extend(
        source
            .other_suite(new.release.facts())
            .map(|is| Note::OtherSuite { is }),
    );
    let indexes = merged_targets(source, facts, is_listed)
        .into_iter()
        .map(|target| index::ready(context, request, base, &new, target, notes))
        .collect::<Result<Vec<_>, _>>()?;
    let state = SourceState {
        form: new.form,
        release: new.digest,
        validators: new.validators,
        date: facts.date,
        valid_until: facts.valid_until,
        keys: request.keyring.digest(),
        wanted: state::wanted(source),
        adopted: whole_seconds(context.now),
        indexes: indexes.clone(),
    };
    let snapshot = Snapshot {
        release_digest: new.digest,
        signature_digest: new.form.signature(),
        signatures: new.signatures,
        release: new.release,
        indexes,
        missing: Vec::new(),
        unlisted,
    };
    match freshness {
        Freshness::Expired { since } => {
            if prior.is_none() {
                state.save(context.store, source, Standing::Stale)?;
            }
            Ok(Outcome::Expired { since, snapshot })
        }
        Freshness::Fresh { .. } | Freshness::FromTheFuture { .. } => {
            state.save(context.store, source, Standing::Adopted)?;
            Ok(Outcome::Adopted(snapshot))
        }
    }
}

fn whole_seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).expect("a moment's own second is in range")
}
