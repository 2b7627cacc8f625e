//! The release file of a source: fetched, verified before it is parsed, and judged by its dates.

use super::state::{Form, SourceState};
use super::{Context, SourceRequest, SyncError};
use crate::apt::MAX_RELEASE_BYTES;
use crate::apt::fetch::{Small, Validators};
use crate::apt::freshness::{Freshness, freshness};
use crate::apt::openpgp::{self, GoodSignature, Verified};
use crate::apt::release::Release;
use content::Expected;
use domain::catalog::release::ReleaseFacts;
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use std::sync::Arc;

/// What the archive offers.
pub(super) enum Offered {
    /// What is known already.
    Unchanged { validators: Validators },
    /// Another release file.
    New(Box<NewRelease>),
}

/// A verified release file that was just fetched.
pub(super) struct NewRelease {
    pub(super) release: Release,
    pub(super) signatures: Vec<GoodSignature>,
    pub(super) digest: Sha256Digest,
    pub(super) form: Form,
    pub(super) validators: Validators,
}

/// Whether validators may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Only for a change.
    IfChanged,
    /// For the file in any case.
    Always,
}

/// The bytes of a release file and its signature.
struct Fetched {
    bytes: Vec<u8>,
    signature: Option<Vec<u8>>,
    validators: Validators,
}

/// Asks the archive for its release file: InRelease, or where there is none, Release and Release.gpg. An InRelease that
/// is there and bad is the end of it.
pub(super) fn offered(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    base: &str,
    prior: Option<&SourceState>,
    ask: Ask,
) -> Result<Offered, SyncError> {
    let known = |form_is: fn(&Form) -> bool| {
        let prior = prior.filter(|prior| ask == Ask::IfChanged && form_is(&prior.form))?;
        (prior.validators != Validators::default()).then_some(&prior.validators)
    };
    let unchanged = |prior: &SourceState| Offered::Unchanged {
        validators: prior.validators.clone(),
    };
    let inline = known(|form| *form == Form::Inline);
    let fetched = match context
        .fetcher
        .small(&format!("{base}InRelease"), inline, MAX_RELEASE_BYTES)?
    {
        Small::Body(bytes, validators) => Fetched {
            bytes,
            signature: None,
            validators,
        },
        Small::Unchanged => return Ok(unchanged(prior.expect("validators come from what is known"))),
        Small::Missing => {
            let detached = known(|form| *form != Form::Inline);
            match context
                .fetcher
                .small(&format!("{base}Release"), detached, MAX_RELEASE_BYTES)?
            {
                Small::Unchanged => return Ok(unchanged(prior.expect("validators come from what is known"))),
                Small::Missing => return Err(SyncError::NoRelease { uri: base.to_owned() }),
                Small::Body(bytes, validators) => {
                    let limit_bytes = openpgp::MAX_SIGNATURE_BYTES as u64;
                    let signature =
                        context
                            .fetcher
                            .small(&format!("{base}Release.gpg"), None, limit_bytes)?;
                    let Small::Body(signature, _) = signature else {
                        return Err(SyncError::NotSigned { uri: base.to_owned() });
                    };
                    Fetched {
                        bytes,
                        signature: Some(signature),
                        validators,
                    }
                }
            }
        }
    };
    let digest = content::sha256(&fetched.bytes);
    if ask == Ask::IfChanged && prior.is_some_and(|prior| prior.release == digest) {
        return Ok(Offered::Unchanged {
            validators: fetched.validators,
        });
    }
    verify(context, request, fetched, digest).map(|release| Offered::New(Box::new(release)))
}

/// What the release file of a source says of itself, once it was verified and judged.
pub(super) fn look(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
) -> Result<Arc<ReleaseFacts>, SyncError> {
    let base = request.source.release_uri();
    match offered(context, request, &base, None, Ask::Always)? {
        Offered::New(new) => {
            judge(context, request, &new, None)?;
            Ok(Arc::clone(new.release.facts()))
        }
        Offered::Unchanged { .. } => Err(SyncError::Vanished),
    }
}

fn verify(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    fetched: Fetched,
    digest: Sha256Digest,
) -> Result<NewRelease, SyncError> {
    let verified = verified(&fetched.bytes, fetched.signature.as_deref(), request, context.now)?;
    let release = Release::parse(&verified)?;
    let keep = |bytes: &[u8]| {
        context.store.insert(
            bytes,
            Expected::AtMost {
                size_bytes: MAX_RELEASE_BYTES,
            },
        )
    };
    keep(&fetched.bytes)?;
    let form = match &fetched.signature {
        None => Form::Inline,
        Some(signature) => Form::Detached {
            signature: keep(signature)?.0,
        },
    };
    let signatures = verified.signatures().to_vec();
    Ok(NewRelease {
        release,
        signatures,
        digest,
        form,
        validators: fetched.validators,
    })
}

fn verified(
    bytes: &[u8],
    signature: Option<&[u8]>,
    request: &SourceRequest<'_>,
    now: Timestamp,
) -> Result<Verified, SyncError> {
    Ok(match signature {
        None => openpgp::verify_inrelease(bytes, request.keyring, now)?,
        Some(signature) => openpgp::verify_detached(bytes, signature, request.keyring, now)?,
    })
}

/// Judges a new release: never older than the one in force, never from the future. Past its date is not refused here.
pub(super) fn judge(
    context: &Context<'_>,
    request: &SourceRequest<'_>,
    new: &NewRelease,
    prior: Option<&SourceState>,
) -> Result<Freshness, SyncError> {
    if let Some(have) = prior.and_then(|prior| prior.date) {
        match new.release.facts().date {
            None => return Err(SyncError::Undated { have }),
            Some(got) if got < have => return Err(SyncError::Older { have, got }),
            Some(_) => {}
        }
    }
    match freshness(new.release.facts(), &context.rules(&request.source), context.now) {
        Freshness::FromTheFuture { until } => Err(SyncError::FromTheFuture { until }),
        in_time_or_late => Ok(in_time_or_late),
    }
}
