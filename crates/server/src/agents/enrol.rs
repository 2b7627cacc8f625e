//! Enrolment: a host with a token, or one that was told that it is a copy, gets an identity. Token, host, key and the first
//! link are written in one transaction, so that a token is spent exactly when somebody was let in with it.

mod machine;

use super::refusal::Refusal;
use super::registry::{Entry, Lookup, RevokedBecause, chain_row, refresh_host};
use super::{Begun, Peer, check_time, seal_body, version};
use crate::app::change::{self, Mark, Record};
use crate::app::permission::{Noun, Verb};
use crate::authority::{HOST_LIFE, x509};
use crate::clock::draw;
use crate::context::{Context, Work};
use crate::start::millis;
use domain::id::{HostId, RequestId, SiteId};
use domain::identity::chain::{Chain, Request};
use jiff::Timestamp;
use machine::{Recognised, recognise};
use protocol::envelope::{Body, Unopened};
use protocol::key::VerifyingKey;
use protocol::message::enrol::{Credential, Enrol, Enrolled, Standing, copy_claim, introducing as with_card};
use protocol::message::refused::RefusalKind;
use protocol::message::{Kind, Message};
use protocol::token::EnrolmentToken;
use store::enrolment_token::{Admits, Spent};
use store::host::{Host, HostMode, HostState, NewHost};
use store::tenant::TenantState;
use store::{Scope, Tx, Whole, agent_chain, agent_key, enrolment_token, host, site, tenant};

/// The longest host name that is taken, in bytes (RFC 1035, section 2.3.4).
const NAME_BYTES: usize = 253;
/// How many copies of one host may ask for an identity of their own between two restarts.
const COPIES: u32 = 16;

/// The body of an answer that introduces the server.
pub(super) fn introducing(context: &Context, message: &impl Message) -> Body {
    with_card(message, &context.agents.card().card)
}

pub(super) async fn answer(context: &Context, unopened: &Unopened<'_>, peer: Peer) -> Result<Begun, Refusal> {
    let opened = unopened
        .open_enrolment()
        .map_err(|error| Refusal::of_open(&error))?;
    let header = opened.header();
    version::check_protocol(header.protocol)?;
    check_time(header.sent_at, context.clock.now())?;
    let message: Enrol = opened.message()?;
    version::check_agent(&message.agent_version)?;
    if message.hostname.is_empty() || message.hostname.len() > NAME_BYTES {
        let detail = "A host name has 1 to 253 bytes: set one with `hostnamectl hostname NAME`.";
        return Err(Refusal::with(RefusalKind::Malformed, detail));
    }
    let key = VerifyingKey::from_bytes(message.public_key);
    let admitted = match context.agents.find(context, key.id()).await? {
        Lookup::Found(entry) => again(context, &entry).await?,
        Lookup::Unknown => admit(context, message, header.sent_as()).await?,
    };
    let Admitted { host, state, site } = &admitted;
    tracing::info!(
        %host, ?state, site, address = %peer.address,
        "Host {host} was enrolled from {}.", peer.address
    );
    let enrolled = certify(context, key, admitted)?;
    let body = introducing(context, &enrolled);
    Ok(Begun::Answered(seal_body(
        context,
        opened.asked().answer(Kind::ENROLLED, context.clock.now()),
        &body,
    )))
}

/// A host that was let in.
#[derive(Clone, Debug)]
struct Admitted {
    host: HostId,
    state: HostState,
    site: String,
}

/// The same request again, because its answer was lost: nothing is spent, nobody is added.
async fn again(context: &Context, entry: &Entry) -> Result<Admitted, Refusal> {
    if let Some(because) = entry.revoked() {
        return Err(Refusal::of(because));
    }
    let host = entry.host();
    if !host.is_last_link(1) {
        let detail = "This key is enrolled and has checked in: a new enrolment needs a new key.";
        return Err(Refusal::with(RefusalKind::Malformed, detail));
    }
    let (scope, site) = (host.scope(), host.site());
    let site = context.db.read(move |view| site::get(view, &scope, site)).await?;
    Ok(Admitted {
        host: host.id(),
        state: host.state(),
        site: site.map(|site| site.name).unwrap_or_default(),
    })
}

/// What ends an enrolment's transaction without a trace of it.
#[derive(Debug)]
enum NotAdmitted {
    Refused(RefusalKind),
    Store(store::Error),
}

impl From<store::Error> for NotAdmitted {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(error: NotAdmitted) -> Self {
        match error {
            NotAdmitted::Refused(kind) => Self::of(kind),
            NotAdmitted::Store(error) => error.into(),
        }
    }
}

/// Everything that the transaction writes, drawn before it, because it may run more than once.
struct Admission {
    message: Enrol,
    key: VerifyingKey,
    new_id: HostId,
    chain: Chain,
    now: Timestamp,
    mark: Mark,
}

async fn admit(context: &Context, message: Enrol, request: Request) -> Result<Admitted, Refusal> {
    let now = context.clock.now();
    let admission = Admission {
        key: VerifyingKey::from_bytes(message.public_key),
        new_id: HostId::new(millis(now), draw(&*context.chance)),
        chain: Chain::begin(request, message.bearer.into()),
        message,
        now,
        mark: Mark::draw(context),
    };
    let (key, chain) = (admission.key.id(), admission.chain.clone());
    let admitted = match admission.message.credential.clone() {
        Credential::Token { secret, site } => {
            let secret = EnrolmentToken::secret_digest(&secret).0;
            let work = move |tx: &mut Tx| admission.by_token(tx, secret, &site);
            context.db.attempt::<_, NotAdmitted, _>(work).await?
        }
        Credential::Copy { of, key, signature } => {
            let original = original_of(context, of, key, &signature, &admission).await?;
            let (scope, site) = (original.host().scope(), original.host().site());
            let work = move |tx: &mut Tx| admission.as_copy(tx, &scope, of, site);
            context.db.attempt::<_, NotAdmitted, _>(work).await?
        }
    };
    failpoint::reach(failpoint::Point::HostEnrolled);
    context.wake_ups.nudge(Work::SealAudit);
    let (tenant, admitted) = admitted;
    context.agents.note_key(key);
    let known = context.agents.hosts().get(&admitted.host).cloned();
    if let Some(known) = known {
        known.begin_chain(chain);
        refresh_host(context, tenant, admitted.host).await?;
    }
    Ok(admitted)
}

impl Admission {
    fn by_token(
        &self,
        tx: &mut Tx,
        secret: [u8; 32],
        site_name: &str,
    ) -> Result<(domain::id::TenantId, Admitted), NotAdmitted> {
        let refused = |kind| Err(NotAdmitted::Refused(kind));
        let Some(token) = enrolment_token::find(tx, &Whole::server(), secret)? else {
            return refused(RefusalKind::SpentToken);
        };
        let scope = Scope::of_tenant(token.tenant);
        if tenant::get(tx, &scope)?.is_none_or(|tenant| tenant.state != TenantState::Active) {
            return refused(RefusalKind::SpentToken);
        }
        let site = site::get(tx, &scope, token.site)?;
        let Some(site) = site.filter(|site| site.name == site_name) else {
            return refused(RefusalKind::WrongSite);
        };
        let state = match token.admits {
            Admits::Active => HostState::Active,
            Admits::Pending => HostState::Pending,
        };
        let bearer = self.message.bearer.into();
        let (host, record) = match recognise(tx, &scope, self.machine(), bearer, self.now)? {
            Recognised::Same(known) => {
                let host = self.readmit(tx, &scope, &known, token.site, state)?;
                let record = Record::of(Verb::Change, Noun::Host, host.id).with("enrolled", "again");
                (host, record)
            }
            Recognised::CopyOf(original) => {
                self.create(tx, &scope, token.site, HostState::Pending, Some(original))?
            }
            Recognised::New => self.create(tx, &scope, token.site, state, None)?,
        };
        let record = record.with("token", token.id.to_string());
        let request = RequestId(self.key.id().0);
        match enrolment_token::spend(tx, &scope, token.id, request, host.id, self.now)? {
            Spent::Now => {}
            Spent::Before(_) | Spent::Refused => return refused(RefusalKind::SpentToken),
        }
        self.give_identity(tx, &scope, host.id)?;
        self.record(tx, &scope, &host, record)?;
        let admitted = Admitted {
            host: host.id,
            state: host.state,
            site: site.name,
        };
        Ok((token.tenant, admitted))
    }

    /// A copy becomes a host of its own, which waits for a person.
    fn as_copy(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        of: HostId,
        site: SiteId,
    ) -> Result<(domain::id::TenantId, Admitted), NotAdmitted> {
        let (host, record) = self.create(tx, scope, site, HostState::Pending, Some(of))?;
        self.give_identity(tx, scope, host.id)?;
        self.record(tx, scope, &host, record)?;
        let site = site::get(tx, scope, site)?;
        let admitted = Admitted {
            host: host.id,
            state: host.state,
            site: site.map(|site| site.name).unwrap_or_default(),
        };
        Ok((scope.tenant(), admitted))
    }

    fn create(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        site: SiteId,
        state: HostState,
        copy_of: Option<HostId>,
    ) -> Result<(Host, Record), store::Error> {
        let new = NewHost {
            id: self.new_id,
            name: self.message.hostname.clone(),
            site,
            state,
            mode: HostMode::Monitor,
            agent_version: self.message.agent_version.clone(),
            machine: self.machine(),
            moved_from: None,
            copy_of,
        };
        let host = host::create(tx, scope, &new, self.now)?;
        let record = Record::of(Verb::Create, Noun::Host, host.id);
        let record = match copy_of {
            None => record.with("enrolled", "new"),
            Some(original) => record
                .with("enrolled", "copy")
                .with("copy_of", original.to_string()),
        };
        Ok((host, record))
    }

    /// Says in the audit who was let in, and how.
    fn record(&self, tx: &mut Tx, scope: &Scope, host: &Host, record: Record) -> Result<(), store::Error> {
        let record = record
            .with("name", &*host.name)
            .with("site", host.site.to_string())
            .with("state", host.state.as_str());
        change::record_of_agent(tx, &self.mark, scope, host.id, &record)
    }

    /// The same machine again: it keeps its host, its history and its name; older keys stop. Who was quarantined stays so.
    fn readmit(
        &self,
        tx: &mut Tx,
        scope: &Scope,
        known: &Host,
        site: SiteId,
        state: HostState,
    ) -> Result<Host, store::Error> {
        agent_key::revoke_all(
            tx,
            scope,
            known.id,
            RevokedBecause::EnrolledAgain.word(),
            self.now,
        )?;
        agent_chain::forget(tx, scope, known.id)?;
        let mut known = known.clone();
        if known.site != site {
            let edit = host::HostEdit {
                name: known.name.clone(),
                site,
            };
            let edited = host::edit(tx, scope, known.id, known.version, &edit)?;
            known = edited.changed().unwrap_or(known);
        }
        if known.state != state && known.state != HostState::Quarantined {
            let set = host::set_state(tx, scope, known.id, known.version, state, self.now)?;
            known = set.changed().unwrap_or(known);
        }
        Ok(known)
    }

    fn give_identity(&self, tx: &mut Tx, scope: &Scope, host: HostId) -> Result<(), store::Error> {
        let certificate = agent_key::Validity {
            issued_at: self.now,
            not_after: x509::Validity::starting(self.now, HOST_LIFE).until,
        };
        agent_key::add(tx, scope, host, self.key.id(), self.key.to_bytes(), certificate)?;
        let chain = chain_row(host, &self.chain, self.now);
        agent_chain::advance(tx, &Whole::server(), &[(scope.tenant(), chain)])
    }

    /// What the machine is recognised by, as the database keeps it.
    fn machine(&self) -> Option<domain::digest::Sha256Digest> {
        self.message.machine.map(|machine| content::sha256(&machine))
    }
}

/// The host that a copy was, if it proves that it has that host's key.
async fn original_of(
    context: &Context,
    of: HostId,
    key: domain::id::KeyId,
    signature: &[u8; 64],
    admission: &Admission,
) -> Result<Entry, Refusal> {
    let Lookup::Found(entry) = context.agents.find(context, key).await? else {
        return Err(Refusal::of(RefusalKind::Unknown));
    };
    let claim = copy_claim(of, &admission.key.to_bytes());
    if entry.host().id() != of || entry.key().verify(&claim, signature).is_err() {
        let detail = "The claim to be a copy is not signed by the key of that host.";
        return Err(Refusal::with(RefusalKind::Malformed, detail));
    }
    if entry.host().state() == HostState::Retired {
        return Err(Refusal::of(RefusalKind::Retired));
    }
    if entry.host().count_copy() > COPIES {
        let detail = "Too many copies of one host ask to be enrolled: approve or remove those that wait.";
        return Err(Refusal::with(RefusalKind::Busy, detail));
    }
    Ok(entry)
}

fn certify(context: &Context, key: VerifyingKey, admitted: Admitted) -> Result<Enrolled, Refusal> {
    let now = context.clock.now();
    let made = context
        .authority
        .certify_host(admitted.host, &key.to_bytes(), now, &*context.chance)
        .map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "A host's certificate could not be made."
            );
            Refusal::of(RefusalKind::Busy)
        })?;
    Ok(Enrolled {
        host: admitted.host,
        standing: match admitted.state {
            HostState::Active => Standing::Active,
            HostState::Pending | HostState::Quarantined | HostState::Retired => Standing::Pending,
        },
        site: admitted.site,
        certificates: made
            .chain
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect(),
        link: context.authority.link_key().issue(admitted.host, 1),
    })
}
