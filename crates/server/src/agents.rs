//! What agents can do, without sockets: enrol, check in, hand over documents, renew. One function takes the bytes of an
//! envelope and gives the bytes of the answer. Rules of identity are in `domain::identity`, bytes in `protocol`.

mod card;
mod carry;
mod check_in;
pub mod content;
pub mod content_ticket;
mod documents;
mod enrol;
mod flush;
mod orders;
mod refusal;
mod registry;
mod renew;
mod version;

pub use card::{Card, addresses, announce_addresses};
pub use check_in::HeldCheckIn;
pub use documents::stored_bytes;
pub use flush::{flush, spawn};
pub use registry::{Agents, forget_tenant, refresh, wipe};

use crate::context::Context;
use crate::operations::metrics::Metric;
use jiff::{SignedDuration, Timestamp};
use protocol::envelope::{Asked, Body, Envelope, Header, Unopened};
use protocol::limits::CLOCK_SKEW_SECONDS;
use protocol::message::refused::RefusalKind;
use protocol::message::{Kind, Message};
use refusal::Refusal;
use registry::{Entry, Lookup};
use std::net::IpAddr;
use store::host::HostState;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address at the other end of the connection: the agent's, or that of a relay or proxy.
    pub address: IpAddr,
}

/// What became of a request so far.
#[derive(Debug)]
pub enum Begun {
    /// The answer, an envelope.
    Answered(Vec<u8>),
    /// A check-in for which there is nothing new yet.
    Held(HeldCheckIn),
}

/// Answers one request; a check-in that asks to be held is held. The answer is always an envelope.
pub async fn exchange(context: &Context, request: &[u8], peer: Peer) -> Vec<u8> {
    match begin(context, request, peer).await {
        Begun::Answered(answer) => answer,
        Begun::Held(held) => held.finish(context).await,
    }
}

/// The same up to where a check-in would be held, so that the caller can let go of what a request at work takes.
pub async fn begin(context: &Context, request: &[u8], peer: Peer) -> Begun {
    let unopened = match Unopened::parse(request) {
        Ok(unopened) => unopened,
        Err(error) => {
            return Begun::Answered(refuse(context, None, Refusal::of_parse(&error)));
        }
    };
    let judged = match unopened.kind() {
        Kind::ENROL => enrol::answer(context, &unopened, peer).await,
        _ => known_agent(context, &unopened, peer).await,
    };
    match judged {
        Ok(begun) => {
            match (&begun, unopened.kind()) {
                (Begun::Answered(_), Kind::CHECK_IN) => context.metrics.count(Metric::CheckIns),
                (Begun::Answered(_), Kind::ENROL) => context.metrics.count(Metric::Enrolments),
                _ => {}
            }
            begun
        }
        Err(refusal) => Begun::Answered(refuse(context, Some(&unopened.asked()), refusal)),
    }
}

/// A request of a host that has an identity already.
async fn known_agent(context: &Context, unopened: &Unopened<'_>, peer: Peer) -> Result<Begun, Refusal> {
    let entry = match context.agents.find(context, unopened.key_id()).await? {
        Lookup::Found(entry) => entry,
        Lookup::Unknown => return Err(Refusal::of(RefusalKind::Unknown)),
    };
    let opened = unopened
        .open(entry.key())
        .map_err(|error| Refusal::of_open(&error))?;
    let now = context.clock.now();
    let header = opened.header();
    permit(&entry, &header, now)?;
    match header.kind {
        Kind::CHECK_IN => check_in::answer(context, &entry, &opened, peer).await,
        Kind::DOCUMENTS => documents::answer(context, &entry, &opened).await,
        Kind::RENEW => renew::answer(context, &entry, &opened).await,
        _ => Err(Refusal::of(RefusalKind::Malformed)),
    }
    .inspect_err(|refusal| refusal.log(&entry))
}

/// Whether a request that its key did sign is heard: version, time, and the standing of host and certificate, in the order
/// in which the agent can do something about them.
fn permit(entry: &Entry, header: &Header, now: Timestamp) -> Result<(), Refusal> {
    version::check_protocol(header.protocol)?;
    check_time(header.sent_at, now)?;
    if let Some(because) = entry.revoked() {
        return Err(Refusal::of(because));
    }
    match entry.host().state() {
        HostState::Retired => return Err(Refusal::of(RefusalKind::Retired)),
        HostState::Quarantined => return Err(Refusal::of(RefusalKind::Quarantined)),
        HostState::Pending | HostState::Active => {}
    }
    let overdue = now.duration_since(entry.not_after());
    if overdue > crate::authority::HOST_RENEWABLE {
        return Err(Refusal::of(RefusalKind::Unknown));
    }
    if overdue.is_positive() && header.kind != Kind::RENEW {
        return Err(Refusal::of(RefusalKind::Expired));
    }
    Ok(())
}

/// Whether a request was sent about now. Who is refused takes the server's time from the answer and asks again.
fn check_time(sent_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    let skew = sent_at.duration_since(now).abs();
    match skew > SignedDuration::from_secs(CLOCK_SKEW_SECONDS) {
        true => Err(Refusal::of(RefusalKind::Clock)),
        false => Ok(()),
    }
}

/// An answer in its envelope.
fn seal<M: Message>(context: &Context, asked: &Asked, message: &M) -> Vec<u8> {
    seal_body(
        context,
        asked.answer(M::KIND, context.clock.now()),
        &message.to_body(),
    )
}

fn seal_body(context: &Context, header: Header, body: &Body) -> Vec<u8> {
    Envelope::seal(context.authority.answers_key(), header, body)
        .expect("an answer is far smaller than the largest body")
}

/// A refusal in its envelope; to bytes that are no request it answers nothing. One of an enrolment introduces the server, so
/// that the agent can tell who refuses.
fn refuse(context: &Context, asked: Option<&Asked>, refusal: Refusal) -> Vec<u8> {
    context.metrics.count(Metric::Refusals);
    let (message, now) = (refusal.into_message(context), context.clock.now());
    let header = match asked {
        Some(asked) => asked.answer(Kind::REFUSED, now),
        None => Header::unasked(Kind::REFUSED, now),
    };
    let body = match asked.map(Asked::kind) {
        Some(Kind::ENROL) => enrol::introducing(context, &message),
        _ => message.to_body(),
    };
    seal_body(context, header, &body)
}
