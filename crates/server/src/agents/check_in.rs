//! Check-ins: the chain of links, what the host has that the server does not, and holding the answer until something is new.

use super::refusal::Refusal;
use super::registry::{AgentHost, Entry, Named, Sign, Step, mode_of};
use super::{Begun, Peer, carry, documents, orders, renew, seal, version};
use crate::clock::draw_below;
use crate::context::{Context, Held};
use crate::operations::metrics::Metric;
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::envelope::{Asked, Header, Opened};
use protocol::link::Link;
use protocol::message::check_in::{CardBytes, CheckIn, CheckedIn, Measures, Wanted};
use protocol::message::refused::RefusalKind;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::Whole;
use store::host::{HostState, Observed};

/// By how much the time between check-ins is spread, as a part of it: 1/10.
const SPREAD: u32 = 10;
/// How many check-ins a host may miss before it counts as silent.
const MISSED: u32 = 2;

/// A check-in for which there is nothing new yet.
#[derive(Debug)]
pub struct HeldCheckIn {
    held: Held,
    for_at_most: SignedDuration,
    entry: Entry,
    request: Header,
    asked: Asked,
    link: Link,
    card: domain::digest::Sha256Digest,
    reported: orders::Reported,
}

impl HeldCheckIn {
    /// Waits until something for the host exists or the time is over, and answers.
    pub async fn finish(mut self, context: &Context) -> Vec<u8> {
        tokio::select! {
            () = self.held.woken() => {}
            () = context.clock.wait(self.for_at_most) => {}
        }
        // What was decided meanwhile counts.
        if let Err(refusal) = super::permit(&self.entry, &self.request_now(context), context.clock.now()) {
            return super::refuse(context, Some(&self.asked), refusal);
        }
        let wanted = match wanted_now(context, self.entry.host(), Vec::new()).await {
            Ok(wanted) => wanted,
            Err(refusal) => return super::refuse(context, Some(&self.asked), refusal),
        };
        let mut answer = checked_in(context, self.link, self.card, wanted);
        match context.agents.to_carry.of(context, self.entry.host()).await {
            Ok(asked) => answer.carry.clone_from(&asked),
            Err(refusal) => return super::refuse(context, Some(&self.asked), refusal),
        }
        match orders::news(context, self.entry.host(), &self.reported).await {
            Ok(news) => news.put_into(&mut answer),
            Err(refusal) => return super::refuse(context, Some(&self.asked), refusal),
        }
        context.metrics.count(Metric::CheckIns);
        seal(context, &self.asked, &answer)
    }

    /// The request as if it had been sent now: holding it made it old.
    fn request_now(&self, context: &Context) -> Header {
        Header {
            sent_at: context.clock.now(),
            ..self.request
        }
    }
}

pub(super) async fn answer(
    context: &Context,
    entry: &Entry,
    opened: &Opened<'_>,
    peer: Peer,
) -> Result<Begun, Refusal> {
    let message: CheckIn = opened.message()?;
    let host = entry.host();
    note_sign(context, host, &message, peer);
    version::check_agent(&message.agent_version)?;
    if host.state() == HostState::Pending {
        return Err(Refusal::of(RefusalKind::Pending));
    }
    let named = named_of(&message, context.clock.now())?;
    // From here on wake-ups are heard: what comes to be after the host was looked at ends the hold.
    let hold_seconds = message.hold_seconds.min(context.settings.file.hold_seconds);
    let held = (hold_seconds > 0).then(|| context.wake_ups.hold(host.id()));
    let (count, is_new) = advance(context, entry, opened.header(), &message)?;
    if is_new {
        renew::stop_older_keys(context, entry).await?;
        raise_order_floor(context, message.highest_order).await?;
    }
    let differing = host.differing(&named);
    let lacking = match differing.is_empty() {
        true => Vec::new(),
        false => documents::take_over_known(context, host, &differing).await?,
    };
    host.set_named(lacking.clone());
    let asked = context.agents.to_carry.of(context, host).await?;
    carry::heard(context, host, &message.carried, &asked).await?;
    let wanted = wanted_now(context, host, lacking).await?;
    let of_orders = orders::exchange(context, host, &message).await?;
    let link = context.authority.link_key().issue(host.id(), count);
    let card = context.agents.card().digest;
    match held {
        Some(held) if is_new && wanted.is_empty() && message.card == card && of_orders.is_quiet() => {
            Ok(Begun::Held(HeldCheckIn {
                held,
                for_at_most: SignedDuration::from_secs(i64::from(hold_seconds)),
                entry: entry.clone(),
                request: opened.header(),
                asked: opened.asked(),
                link,
                card,
                reported: orders::Reported::of(&message),
            }))
        }
        _ => {
            let mut answer = checked_in(context, link, message.card, wanted);
            answer.carry.clone_from(&asked);
            of_orders.put_into(&mut answer);
            Ok(Begun::Answered(seal(context, &opened.asked(), &answer)))
        }
    }
}

/// The count of the next link, and whether the request is heard for the first time.
fn advance(
    context: &Context,
    entry: &Entry,
    header: Header,
    message: &CheckIn,
) -> Result<(u64, bool), Refusal> {
    let host = entry.host();
    check_link(context, host, &message.link)?;
    match host.step(message.link.count, header.sent_as(), message.bearer.into()) {
        Step::Next(count) => Ok((count, true)),
        Step::Again(count) => Ok((count, false)),
        Step::Replay => Err(Refusal::of(RefusalKind::Answered)),
        Step::Copy => Err(Refusal::of(RefusalKind::Superseded)),
    }
}

/// Whether this server, in this life or an earlier one, issued the link to this host.
pub(super) fn check_link(context: &Context, host: &AgentHost, link: &Link) -> Result<(), Refusal> {
    match context.authority.link_key().is_ours(host.id(), link) {
        true => Ok(()),
        false => Err(Refusal::with(
            RefusalKind::Malformed,
            "The message carries a link that this server did not issue to this host.",
        )),
    }
}

/// The documents that a check-in names, at most one of each kind. What it saw in the future it saw now.
fn named_of(message: &CheckIn, now: Timestamp) -> Result<Vec<Named>, Refusal> {
    let mut named: Vec<Named> = Vec::with_capacity(message.documents.len());
    for name in &message.documents {
        match name.kind {
            DocumentKind::Inventory | DocumentKind::ChannelConfig | DocumentKind::Facts => {}
            DocumentKind::KeyFile
            | DocumentKind::IndexFile
            | DocumentKind::Output
            | DocumentKind::Unrecognised => continue,
        }
        if named.iter().any(|other| other.kind == name.kind) {
            let detail = format!(
                "The check-in names two documents of the kind {}.",
                name.kind.name()
            );
            return Err(Refusal::with(RefusalKind::Malformed, detail));
        }
        named.push(Named {
            kind: name.kind,
            digest: name.digest,
            observed_at: name.observed_at.min(now),
        });
    }
    Ok(named)
}

/// What is wanted of the host: what it named and the server lacks, and key files of its channel config.
async fn wanted_now(
    context: &Context,
    host: &AgentHost,
    lacking: Vec<Named>,
) -> Result<Vec<Wanted>, Refusal> {
    let base = host.current(DocumentKind::Inventory);
    let mut wanted: Vec<Wanted> = lacking
        .into_iter()
        .map(|name| Wanted {
            kind: name.kind,
            digest: name.digest,
            base: base.filter(|_| name.kind == DocumentKind::Inventory),
            offset: 0,
        })
        .collect();
    let keys = documents::missing_key_files(context, host).await?;
    wanted.extend(keys.into_iter().map(documents::wanted_key_file));
    wanted.extend(carry::lacking(context, host));
    wanted.truncate(protocol::limits::DOCUMENTS_PER_MESSAGE);
    Ok(wanted)
}

fn checked_in(
    context: &Context,
    link: Link,
    known_card: domain::digest::Sha256Digest,
    wanted: Vec<Wanted>,
) -> CheckedIn {
    let card = context.agents.card();
    let settings = &context.settings.file;
    let spread = draw_below(
        &*context.chance,
        u64::from(settings.check_in_seconds / SPREAD) + 1,
    );
    CheckedIn {
        wanted,
        next_check_in_seconds: settings.check_in_seconds + u32::try_from(spread).unwrap_or(0),
        hold_seconds: settings.hold_seconds,
        card: (card.digest != known_card).then(|| CardBytes(card.bytes.clone())),
        ..CheckedIn::of(link)
    }
}

/// What is kept of a check-in beside its documents.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    measures: &'a Measures,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    troubles: &'a [String],
}

fn note_sign(context: &Context, host: &Arc<AgentHost>, message: &CheckIn, peer: Peer) {
    let now = context.clock.now();
    let kept = Kept {
        measures: &message.measures,
        troubles: &message.troubles,
    };
    let due = SignedDuration::from_secs(i64::from(context.settings.file.check_in_seconds * (MISSED + 1)));
    let sign = Sign {
        seen_at: now,
        next_expected_at: now.checked_add(due).unwrap_or(now),
        address: peer.address,
        boot: message.bearer.boot,
        measures: serde_json::to_string(&kept).expect("measures are text and whole numbers"),
        observed: Observed {
            mode: mode_of(message.mode),
            agent_version: message.agent_version.clone(),
        },
    };
    if host.note_sign(sign) {
        context.agents.note_dirty(Arc::clone(host));
    }
}

/// A restored server goes on from the highest order number that any agent has seen.
async fn raise_order_floor(context: &Context, highest: u64) -> Result<(), Refusal> {
    if highest <= context.agents.highest_order.load(Ordering::Relaxed) {
        return Ok(());
    }
    let Ok(seen) = i64::try_from(highest) else {
        return Err(Refusal::with(
            RefusalKind::Malformed,
            "There is no such order number.",
        ));
    };
    context
        .db
        .write(move |tx| store::epoch::raise_order_floor(tx, &Whole::server(), seen))
        .await?;
    context.agents.highest_order.fetch_max(highest, Ordering::Relaxed);
    Ok(())
}
