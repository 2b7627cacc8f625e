//! Renewal of a host's certificate, perhaps with a new key: the only thing that an expired one may do.

use super::check_in::check_link;
use super::refusal::Refusal;
use super::registry::{Entry, RevokedBecause, refresh_host};
use super::{Begun, seal, version};
use crate::app::change::{self, Mark, Record};
use crate::app::permission::{Noun, Verb};
use crate::context::{Context, Work};
use protocol::envelope::Opened;
use protocol::key::VerifyingKey;
use protocol::message::refused::RefusalKind;
use protocol::message::renew::{Renew, Renewed};
use store::agent_key::{self, Validity};

pub(super) async fn answer(context: &Context, entry: &Entry, opened: &Opened<'_>) -> Result<Begun, Refusal> {
    let message: Renew = opened.message()?;
    let host = entry.host();
    version::check_agent(&message.agent_version)?;
    if message.host != host.id() {
        return Err(Refusal::with(
            RefusalKind::Malformed,
            "The message speaks of another host than the key that signed it.",
        ));
    }
    check_link(context, host, &message.link)?;
    // Only a check-in decides who the copy is: the host that was here before may come with a used link. A certificate for
    // the key that both have gives neither of them anything; another key counts only with a check-in, but would be heard
    // beside the present one. The link before the last one is good too: the answer with the last one may have been lost.
    if message.next_key.is_some() && !host.is_late_link(message.link.count) {
        return Err(Refusal::check_in_first());
    }
    let key = match &message.next_key {
        None => *entry.key(),
        Some(next) => next.verify(host.id()).map_err(|bad| {
            Refusal::with(
                RefusalKind::Malformed,
                format!("The new key does not sign for itself: {bad}."),
            )
        })?,
    };
    let renewed = certify(context, entry, key).await?;
    Ok(Begun::Answered(seal(context, &opened.asked(), &renewed)))
}

/// Makes the certificate and notes it; a new key is noted beside the present one, which stays good until the new one is used,
/// because this answer may be lost.
async fn certify(context: &Context, entry: &Entry, key: VerifyingKey) -> Result<Renewed, Refusal> {
    let host = entry.host();
    let now = context.clock.now();
    let made = context
        .authority
        .certify_host(host.id(), &key.to_bytes(), now, &*context.chance)
        .map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "A host's certificate could not be made."
            );
            Refusal::of(RefusalKind::Busy)
        })?;
    let validity = Validity {
        issued_at: now,
        not_after: made.validity.until,
    };
    let (scope, id, present) = (host.scope(), host.id(), entry.key().id());
    let mark = Mark::draw(context);
    let is_noted = context
        .db
        .write(move |tx| {
            if key.id() == present {
                return agent_key::renew(tx, &scope, present, validity);
            }
            let others = agent_key::of_host(tx, &scope, id)?;
            if others.iter().any(|other| other.key_id == key.id()) {
                return agent_key::renew(tx, &scope, key.id(), validity);
            }
            agent_key::add(tx, &scope, id, key.id(), key.to_bytes(), validity)?;
            let record = Record::of(Verb::Change, Noun::Host, id).with("new_key", key.id().to_string());
            change::record_of_agent(tx, &mark, &scope, id, &record)?;
            Ok(true)
        })
        .await?;
    if !is_noted {
        return Err(Refusal::of(RefusalKind::Superseded));
    }
    context.wake_ups.nudge(Work::SealAudit);
    context.agents.note_key(key.id());
    refresh_host(context, host.tenant(), host.id()).await?;
    Ok(Renewed {
        certificates: made
            .chain
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect(),
        not_after: made.validity.until,
    })
}

/// With the first check-in by a new key the older ones of the host stop.
pub(super) async fn stop_older_keys(context: &Context, entry: &Entry) -> Result<(), Refusal> {
    if !entry.status().replaces_others {
        return Ok(());
    }
    let host = entry.host();
    let (scope, id, present, now) = (host.scope(), host.id(), entry.key().id(), context.clock.now());
    let mark = Mark::draw(context);
    context
        .db
        .write(move |tx| {
            let mut stopped = 0_u64;
            for other in agent_key::of_host(tx, &scope, id)? {
                if other.key_id != present && other.revoked_at.is_none() {
                    agent_key::revoke(tx, &scope, other.key_id, RevokedBecause::Replaced.word(), now)?;
                    stopped += 1;
                }
            }
            if stopped == 0 {
                return Ok(());
            }
            let record = Record::of(Verb::Change, Noun::Host, id)
                .with("key", present.to_string())
                .with("older_keys_stopped", stopped);
            change::record_of_agent(tx, &mark, &scope, id, &record)
        })
        .await?;
    context.wake_ups.nudge(Work::SealAudit);
    entry.status().replaces_others = false;
    refresh_host(context, host.tenant(), host.id()).await?;
    Ok(())
}
