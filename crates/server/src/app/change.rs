//! The one door through which intent changes: in one transaction the change itself, its audit record, and for a request
//! with an idempotency key the answer, so that its repetition is answered and not done.

use domain::id::{AuditId, HostId};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use store::audit::{self, ActorKind, NewRecord, Personal};
use store::idempotency_key::{self, Answer, RequestName};
use store::{Owner, Scope, Tx, Whole};

use super::caller::{Caller, Who};
use super::permission::{Noun, Verb};
use super::refusal::Refusal;
use crate::Context;
use crate::clock::draw;
use crate::context::Work;

/// For how long a repetition is answered with the first answer.
pub const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// What sealed answers are sealed for.
const ANSWER: &str = "answers to repeated requests";

/// Which request this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The key that the client chose.
    pub key: String,
    /// HMAC-SHA-256 over method, address and body, under a key of the server's.
    pub request: [u8; 32],
}

/// How an answer is kept for repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As it is.
    Plain,
    /// Sealed, because there is a secret in it.
    Sealed,
}

/// What was made, or done at a person's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// 201 for something new.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// The version of what was made.
    pub version: Option<i64>,
    /// It was done before; this is the answer of then.
    pub is_repeated: bool,
}

/// What an audit record says besides who and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    verb: Verb,
    noun: Noun,
    subject: String,
    facts: Map<String, Value>,
    personal: Map<String, Value>,
}

impl Record {
    /// Something was done to this.
    pub fn of(verb: Verb, noun: Noun, subject: impl std::fmt::Display) -> Self {
        Self {
            verb,
            noun,
            subject: subject.to_string(),
            facts: Map::new(),
            personal: Map::new(),
        }
    }

    /// A fact about it; never a secret, and nothing about a person but ids.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// A fact about a person, which can be erased later.
    #[must_use]
    pub fn with_personal(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.personal.insert(name.to_owned(), value.into());
        self
    }
}

/// The outcome of work inside the transaction.
#[derive(Clone, Debug)]
pub struct Done<T> {
    value: T,
    record: Record,
    status: u16,
    version: Option<i64>,
    owner: Option<Owner>,
    also: Option<(Owner, Record)>,
}

impl<T> Done<T> {
    /// Something was made.
    pub const fn new(value: T, record: Record) -> Self {
        Self {
            value,
            record,
            status: 201,
            version: None,
            owner: None,
            also: None,
        }
    }

    /// The record belongs to another chain than the request's: whose is known only inside the transaction.
    #[must_use]
    pub const fn recorded_for(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Another owner is concerned too, and has a record of its own.
    #[must_use]
    pub fn and_for(mut self, owner: Owner, record: Record) -> Self {
        self.also = Some((owner, record));
        self
    }

    /// Nothing is new: something was done.
    #[must_use]
    pub const fn only_done(mut self) -> Self {
        self.status = 200;
        self
    }

    /// One more fact for the record.
    pub fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.record.facts.insert(name.to_owned(), value.into());
    }

    /// The version of what there is now.
    #[must_use]
    pub const fn version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }
}

/// A new id.
pub fn draw_id<I>(ctx: &Context, new: impl FnOnce(u64, [u8; 10]) -> I) -> I {
    let millis = u64::try_from(ctx.clock.now().as_millisecond()).unwrap_or(0);
    new(millis, draw(ctx.chance.as_ref()))
}

/// What a record takes from outside its transaction, drawn before it, because that may run more than once.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    id: AuditId,
    salt: [u8; 16],
    now: Timestamp,
}

impl Mark {
    /// Of this moment.
    pub fn draw(ctx: &Context) -> Self {
        Self {
            id: draw_id(ctx, AuditId::new),
            salt: draw(ctx.chance.as_ref()),
            now: ctx.clock.now(),
        }
    }
}

/// Who did it, and when: what the records of one request share.
#[derive(Clone)]
struct Stamp {
    owner: Owner,
    actor: (ActorKind, Option<[u8; 16]>),
    mark: Mark,
    second: Mark,
}

impl Stamp {
    fn of(ctx: &Context, caller: &Caller, owner: Owner) -> Self {
        Self {
            owner,
            actor: match caller.who {
                Who::User(user) => (ActorKind::User, Some(user.0)),
                Who::Token(token) => (ActorKind::Token, Some(token.0)),
                Who::Local => (ActorKind::Server, None),
            },
            mark: Mark::draw(ctx),
            second: Mark::draw(ctx),
        }
    }

    fn write<T>(&self, tx: &mut Tx, done: &Done<T>) -> Result<(), store::Error> {
        let owner = done.owner.unwrap_or(self.owner);
        write_record(tx, (owner, self.actor), &self.mark, &done.record)?;
        match &done.also {
            None => Ok(()),
            Some((owner, record)) => write_record(tx, (*owner, self.actor), &self.second, record),
        }
    }
}

/// Writes what a host's agent caused, in the transaction that does it. Nudge [`Work::SealAudit`] after the commit.
///
/// # Errors
/// Of the database.
pub fn record_of_agent(
    tx: &mut Tx,
    mark: &Mark,
    scope: &Scope,
    host: HostId,
    record: &Record,
) -> Result<(), store::Error> {
    let actor = (ActorKind::Agent, Some(host.0));
    write_record(tx, (scope.owner(), actor), mark, record)
}

/// Writes what the server did by itself of what people decided, in the transaction that does it. Nudge [`Work::SealAudit`]
/// after the commit.
///
/// # Errors
/// Of the database.
pub fn record_of_server(
    tx: &mut Tx,
    mark: &Mark,
    scope: &Scope,
    record: &Record,
) -> Result<(), store::Error> {
    write_record(tx, (scope.owner(), (ActorKind::Server, None)), mark, record)
}

/// Changes something that is there.
///
/// # Errors
/// What the work refuses; then nothing is changed and nothing recorded.
pub async fn change<T, F>(ctx: &Context, caller: &Caller, owner: Owner, work: F) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: Fn(&mut Tx) -> Result<Done<T>, Refusal> + Send + 'static,
{
    let stamp = Stamp::of(ctx, caller, owner);
    let done = ctx.db.attempt(move |tx| {
        let done = work(tx)?;
        stamp.write(tx, &done)?;
        Ok::<_, Refusal>(done.value)
    });
    let value = done.await?;
    ctx.wake_ups.nudge(Work::SealAudit);
    Ok(value)
}

/// Makes something, or does something once: a repetition of the same request by the same caller gets the first answer.
///
/// # Errors
/// What the work refuses, and a key that came with another request.
pub async fn make<T, F>(
    ctx: &Context,
    caller: &Caller,
    owner: Owner,
    once: Once,
    keep: Keep,
    work: F,
) -> Result<Made, Refusal>
where
    T: Serialize,
    F: Fn(&mut Tx) -> Result<Done<T>, Refusal> + Send + 'static,
{
    let stamp = Stamp::of(ctx, caller, owner);
    let request = RequestName {
        owner,
        principal: caller.principal(),
        name: once.key,
    };
    let digest = once.request;
    let room = ctx.clone();
    let made = ctx.db.attempt(move |tx| {
        let now = stamp.mark.now;
        let oldest = now.checked_sub(REMEMBERED_FOR).unwrap_or(Timestamp::MIN);
        idempotency_key::forget_before(tx, &Whole::server(), oldest)?;
        if let Some(answer) = idempotency_key::find(tx, &Whole::server(), &request)? {
            return repeat(&room, answer, digest);
        }
        let done = work(tx)?;
        stamp.write(tx, &done)?;
        let made = Made {
            status: done.status,
            body: serde_json::to_vec(&done.value).expect("views are made of texts, numbers and lists"),
            version: done.version,
            is_repeated: false,
        };
        let answer = Answer {
            request_digest: digest,
            status: made.status,
            body: pack(&room, keep, &made),
        };
        match idempotency_key::keep(tx, &Whole::server(), &request, &answer, now)? {
            None => Ok(made),
            // Another was faster, in a transaction beside this one: this one ends without a trace.
            Some(_) => Err(Refusal::KeyInUse),
        }
    });
    let made = made.await?;
    if !made.is_repeated {
        ctx.wake_ups.nudge(Work::SealAudit);
    }
    Ok(made)
}

/// The answer that this very request got before; none where it is new. For work that no transaction can hold: it looks here
/// first, does it, and keeps the answer by [`make`].
///
/// # Errors
/// A key that came with another request.
pub async fn answered(
    ctx: &Context,
    caller: &Caller,
    owner: Owner,
    once: &Once,
) -> Result<Option<Made>, Refusal> {
    let request = RequestName {
        owner,
        principal: caller.principal(),
        name: once.key.clone(),
    };
    let found = ctx
        .db
        .read(move |view| idempotency_key::find(view, &Whole::server(), &request))
        .await?;
    found.map(|answer| repeat(ctx, answer, once.request)).transpose()
}

fn repeat(ctx: &Context, answer: Answer, request: [u8; 32]) -> Result<Made, Refusal> {
    if answer.request_digest != request {
        return Err(Refusal::KeyReused);
    }
    let (version, body) = unpack(ctx, &answer.body).ok_or(Refusal::Fault("a kept answer cannot be read"))?;
    Ok(Made {
        status: answer.status,
        body,
        version,
        is_repeated: true,
    })
}

/// An answer as it is kept: whether it is sealed, the version, the body.
fn pack(ctx: &Context, keep: Keep, made: &Made) -> Vec<u8> {
    let version = made.version.unwrap_or(-1).to_be_bytes();
    match keep {
        Keep::Plain => [&[0], version.as_slice(), &made.body].concat(),
        Keep::Sealed => {
            let sealed = ctx
                .authority
                .sealer()
                .seal(ANSWER, &made.body, ctx.chance.as_ref());
            [&[1], version.as_slice(), &sealed].concat()
        }
    }
}

fn unpack(ctx: &Context, kept: &[u8]) -> Option<(Option<i64>, Vec<u8>)> {
    let (form, rest) = kept.split_first()?;
    let (version, body) = rest.split_first_chunk::<8>()?;
    let body = match form {
        0 => body.to_vec(),
        1 => ctx.authority.sealer().unseal(ANSWER, body).ok()?.to_vec(),
        _ => return None,
    };
    let version = i64::from_be_bytes(*version);
    Some(((version >= 0).then_some(version), body))
}

fn write_record(
    tx: &mut Tx,
    (owner, (actor_kind, actor)): (Owner, (ActorKind, Option<[u8; 16]>)),
    mark: &Mark,
    record: &Record,
) -> Result<(), store::Error> {
    let to_json = |facts: &Map<String, Value>| serde_json::to_string(facts).expect("facts are JSON already");
    let personal = (!record.personal.is_empty()).then(|| Personal {
        salt: mark.salt,
        data: to_json(&record.personal),
    });
    let new = NewRecord {
        id: mark.id,
        actor_kind,
        actor,
        action: record.verb.text().to_owned(),
        noun: record.noun.text().to_owned(),
        noun_id: AuditId::parse(&record.subject).ok().map(|id| id.0),
        body: to_json(&record.facts),
        personal,
    };
    match owner {
        Owner::Shared => audit::write_shared(tx, &Whole::server(), &new, mark.now),
        Owner::Tenant(tenant) => audit::write(tx, &Scope::of_tenant(tenant), &new, mark.now),
    }
}
