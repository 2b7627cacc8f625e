//! A server in a temporary folder under a manual clock and seeded chance, and agents that speak to it without sockets.

mod catalog;

pub use catalog::NODE;

use domain::digest::Sha256Digest;
use domain::id::{EnrolmentTokenId, HostId, SiteId, TenantId};
use domain::identity::Nonce;
use jiff::{SignedDuration, Timestamp};
use protocol::card::{ServerCard, Trust};
use protocol::document::Document as _;
use protocol::document::DocumentKind;
use protocol::document::inventory::InventoryDocument;
use protocol::envelope::{Body, Envelope, Header, Unopened};
use protocol::key::SigningKey;
use protocol::link::Link;
use protocol::message::check_in::{Bearer, CheckIn, CheckedIn, DocumentName, Measures, Mode};
use protocol::message::documents::{Documents, DocumentsTaken, Form, Part};
use protocol::message::enrol::{Credential, Enrol, Enrolled};
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::renew::{Renew, Renewed};
use protocol::message::{Kind, Message};
use server::agents::{self, Peer};
use server::clock::{ManualClock, SeededChance};
use server::start::{DataDirError, Ports, Server, StartError};
use server::{Context, Settings};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::enrolment_token::{Admits, NewEnrolmentToken};
use store::{Scope, Whole};

/// The time at which every world begins.
pub const START: i64 = 1_790_000_000;

/// A server and what it stands on.
pub struct World {
    pub folder: Folder,
    pub clock: Arc<ManualClock>,
    pub context: Context,
    pub tenant: TenantId,
    pub site: SiteId,
    /// The address of its PostgreSQL database; SQLite in the folder where there is none.
    database: Option<String>,
    tokens: AtomicU64,
}

/// Where a world keeps its files: a folder that goes with it, or one that somebody else looks after.
pub struct Folder {
    path: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl Folder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn temporary() -> Self {
        let own = tempfile::tempdir().expect("a temporary folder");
        Self {
            path: own.path().to_owned(),
            _own: Some(own),
        }
    }

    fn of_others(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _own: None,
        }
    }
}

impl World {
    /// A fresh server with one tenant and its site `main`, on the engine of this run.
    pub async fn new() -> Self {
        Self::begin(Folder::temporary(), testkit::postgres::of_this_run()).await
    }

    /// The same on this PostgreSQL database.
    pub async fn on(database: String) -> Self {
        Self::begin(Folder::temporary(), Some(database)).await
    }

    /// The same on SQLite, in a folder that is not removed.
    pub async fn in_folder(path: &Path) -> Self {
        Self::begin(Folder::of_others(path), None).await
    }

    async fn begin(folder: Folder, database: Option<String>) -> Self {
        let world = Self::open(folder, database, START, 1).await;
        add_tenant(&world.context, world.tenant, world.site, "main").await;
        world
    }

    /// What a process that was killed left in this folder, hours later.
    pub async fn left_in(path: &Path) -> Self {
        Self::open(Folder::of_others(path), None, START + 3 * 60 * 60, 2).await
    }

    async fn open(folder: Folder, database: Option<String>, seconds: i64, seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(seconds).expect("a time")));
        let context = open(settings_in(folder.path(), database.as_deref()), &clock, seed).await;
        Self {
            folder,
            clock,
            context,
            tenant: TenantId([1; 16]),
            site: SiteId([2; 16]),
            database,
            tokens: AtomicU64::new(0),
        }
    }

    /// The same server after it was killed: what was only in memory is gone.
    pub async fn killed_and_started(self) -> Self {
        let Self {
            folder,
            clock,
            context,
            tenant,
            site,
            database,
            tokens,
        } = self;
        context.db.close().await;
        drop(context);
        let seed = 100 + tokens.load(Ordering::Relaxed);
        let context = open(settings_in(folder.path(), database.as_deref()), &clock, seed).await;
        Self {
            folder,
            clock,
            context,
            tenant,
            site,
            database,
            tokens,
        }
    }

    pub fn scope(&self) -> Scope {
        Scope::of_tenant(self.tenant)
    }

    pub fn now(&self) -> Timestamp {
        server::clock::Clock::now(&*self.clock)
    }

    pub fn pass(&self, span: SignedDuration) {
        self.clock.advance(span);
    }

    /// The secret of a new enrolment token of the site `main`, good for a day.
    pub async fn token(&self, uses: u32, admits: Admits) -> [u8; 16] {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&number.to_be_bytes());
        let new = NewEnrolmentToken {
            id: EnrolmentTokenId(secret),
            secret_hash: protocol::token::EnrolmentToken::secret_digest(&secret).0,
            site: self.site,
            name: "test".to_owned(),
            admits,
            uses,
            made_by: None,
            expires_at: self.now() + SignedDuration::from_hours(24),
        };
        let (scope, now) = (self.scope(), self.now());
        let made = self
            .context
            .db
            .write(move |tx| store::enrolment_token::create(tx, &scope, &new, now));
        made.await.expect("the token is made");
        secret
    }

    /// An agent that is enrolled and active.
    pub async fn agent(&self, seed: u8) -> Agent {
        let mut agent = Agent::new(seed);
        let secret = self.token(1, Admits::Active).await;
        agent.enrol(self, secret).await.expect("it is let in");
        agent
    }

    /// The answer to these bytes.
    pub async fn exchange(&self, request: &[u8]) -> Vec<u8> {
        agents::exchange(&self.context, request, peer()).await
    }

    /// The host as it stands in the database.
    pub async fn host(&self, id: HostId) -> store::host::Host {
        let scope = self.scope();
        let read = self
            .context
            .db
            .read(move |view| store::host::get(view, &scope, id));
        read.await
            .expect("the database answers")
            .expect("the host is there")
    }

    /// Sets a host's state, as an operator does.
    pub async fn set_state(&self, id: HostId, state: store::host::HostState) {
        let (scope, now, version) = (self.scope(), self.now(), self.host(id).await.version);
        let set = self
            .context
            .db
            .write(move |tx| store::host::set_state(tx, &scope, id, version, state, now));
        assert!(set.await.expect("the database answers").is_changed());
        agents::refresh(&self.context, self.tenant, id)
            .await
            .expect("it is read again");
    }

    /// The documents of a kind that a host had, the newest first.
    pub async fn history(&self, id: HostId, kind: store::document::DocumentKind) -> Vec<Sha256Digest> {
        let scope = self.scope();
        let read = self
            .context
            .db
            .read(move |view| store::host_document::history(view, &scope, id, kind, None, 100));
        let found = read.await.expect("the database answers");
        found.into_iter().map(|document| document.digest).collect()
    }
}

/// The settings of a server in this folder, on the engine of this run.
pub fn settings(folder: &Path) -> Settings {
    settings_in(folder, testkit::postgres::of_this_run().as_deref())
}

fn settings_in(folder: &Path, database: Option<&str>) -> Settings {
    let mut settings = Settings::defaults_in(&folder.join("data"));
    settings.file.database = database.map(str::to_owned);
    settings
}

async fn open(settings: Settings, clock: &Arc<ManualClock>, seed: u64) -> Context {
    let ports = Ports {
        clock: Arc::clone(clock) as _,
        chance: Arc::new(SeededChance::new(seed)),
    };
    for _ in 0..MOST_TRIES {
        match Server::open(settings.clone(), ports.clone()).await {
            // Work that the one before handed to a thread ends by itself, and has the directory until then.
            Err(StartError::DataDir(DataDirError::InUse { .. })) => tokio::task::yield_now().await,
            opened => return opened.expect("the server opens"),
        }
    }
    panic!("the server before never ends");
}

/// More than any work that is left takes.
const MOST_TRIES: u32 = 1_000_000;

/// Adds a tenant with one site.
pub async fn add_tenant(context: &Context, tenant: TenantId, site: SiteId, name: &'static str) {
    let now = context.clock.now();
    let added = context.db.write(move |tx| {
        store::tenant::create(tx, &Whole::server(), tenant, name, now)?;
        store::site::create(tx, &Scope::of_tenant(tenant), site, name, now)
    });
    added.await.expect("the tenant is new");
}

pub fn peer() -> Peer {
    Peer {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// An agent as the protocol lets it be.
#[derive(Debug)]
pub struct Agent {
    pub key: SigningKey,
    pub host: HostId,
    pub link: Link,
    pub bearer: Bearer,
    pub machine: Option<[u8; 16]>,
    pub card: Sha256Digest,
    pub trust: Option<Trust>,
    pub version: String,
    pub sequence: u64,
    /// How far the agent's clock is from the server's.
    pub clock_off: SignedDuration,
}

impl Agent {
    pub fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_seed(&[seed; 32]),
            host: HostId([0; 16]),
            link: Link {
                count: 0,
                mac: [0; 16],
            },
            bearer: Bearer {
                boot: [seed; 16],
                hardware: Some([seed; 16]),
            },
            machine: Some([seed; 16]),
            card: Sha256Digest([0; 32]),
            trust: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sequence: 0,
            clock_off: SignedDuration::ZERO,
        }
    }

    /// A copy of the agent's disk, as a cloned machine has it, in a boot and on hardware of its own.
    pub fn cloned(&self, seed: u8) -> Self {
        Self {
            key: SigningKey::from_seed(self.key.seed()),
            bearer: Bearer {
                boot: [seed; 16],
                hardware: Some([seed; 16]),
            },
            trust: self.trust.clone(),
            version: self.version.clone(),
            ..*self
        }
    }

    /// A request in its envelope, under a new nonce.
    pub fn seal(&mut self, world: &World, kind: Kind, body: &Body) -> Vec<u8> {
        self.seal_at(world.now(), kind, body)
    }

    /// The same at this time.
    pub fn seal_at(&mut self, now: Timestamp, kind: Kind, body: &Body) -> Vec<u8> {
        self.sequence += 1;
        let mut nonce = self.key.id().0;
        nonce[..8].copy_from_slice(&self.sequence.to_be_bytes());
        nonce[8..].copy_from_slice(&self.bearer.boot[8..]);
        let sent_at = now + self.clock_off;
        let header = Header::request(kind, self.sequence, Nonce(nonce), sent_at);
        Envelope::seal(&self.key, header, body).expect("within the limits")
    }

    /// Reads an answer: signed by the server, to this request, of this kind or a refusal.
    pub fn read<M: Message>(&self, world: &World, request: &[u8], answer: &[u8]) -> Result<M, Refused> {
        self.read_by(&world.context, request, answer)
    }

    /// The same of this server.
    pub fn read_by<M: Message>(&self, by: &Context, request: &[u8], answer: &[u8]) -> Result<M, Refused> {
        let asked = Unopened::parse(request).expect("our own envelope").asked();
        let unopened = Unopened::parse(answer).expect("the answer is an envelope");
        let key = by.authority.answers_key().verifying();
        let opened = unopened.open(&key).expect("signed by the server");
        assert!(opened.answers(&asked), "an answer to another request");
        match unopened.kind() {
            Kind::REFUSED => Err(opened.message().expect("a refusal")),
            _ => Ok(opened.message().expect("the answer that belongs to the request")),
        }
    }

    pub fn enrolment(&self, credential: Credential) -> Enrol {
        Enrol {
            public_key: self.key.verifying().to_bytes(),
            credential,
            hostname: "host.example".to_owned(),
            agent_version: self.version.clone(),
            bearer: self.bearer,
            machine: self.machine,
            formerly: None,
        }
    }

    pub async fn enrol(&mut self, world: &World, secret: [u8; 16]) -> Result<Enrolled, Refused> {
        let site = "main".to_owned();
        self.enrol_with(world, Credential::Token { secret, site }).await
    }

    /// Enrols, and believes the server only by the pinned root, as an agent does.
    pub async fn enrol_with(&mut self, world: &World, credential: Credential) -> Result<Enrolled, Refused> {
        let request = self.seal(world, Kind::ENROL, &self.enrolment(credential).to_body());
        let answer = world.exchange(&request).await;
        let unopened = Unopened::parse(&answer).expect("an envelope");
        let card: ServerCard = unopened.introduction().expect("the server introduces itself");
        let trust = card
            .verify(&[world.context.authority.root_digest()])
            .expect("the pinned root vouches for it");
        assert!(
            trust
                .answers_key(unopened.key_id(), unopened.header().sent_at)
                .is_some()
        );
        let enrolled: Enrolled = self.read(world, &request, &answer)?;
        self.host = enrolled.host;
        self.link = enrolled.link;
        self.card = card.digest();
        self.trust = Some(trust);
        Ok(enrolled)
    }

    /// A check-in that names these documents.
    pub fn check_in(&self, world: &World, documents: &[(DocumentKind, Sha256Digest)]) -> CheckIn {
        self.check_in_at(world.now(), documents)
    }

    /// The same at this time.
    pub fn check_in_at(&self, now: Timestamp, documents: &[(DocumentKind, Sha256Digest)]) -> CheckIn {
        CheckIn {
            link: self.link,
            bearer: self.bearer,
            agent_version: self.version.clone(),
            mode: Mode::Monitor,
            documents: documents
                .iter()
                .map(|&(kind, digest)| DocumentName {
                    kind,
                    digest,
                    observed_at: now,
                })
                .collect(),
            measures: Measures::default(),
            hold_seconds: 0,
            card: self.card,
            highest_order: 0,
            troubles: Vec::new(),
            carried: Vec::new(),
            orders: Vec::new(),
        }
    }

    pub async fn checks_in(
        &mut self,
        world: &World,
        documents: &[(DocumentKind, Sha256Digest)],
    ) -> Result<CheckedIn, Refused> {
        let message = self.check_in(world, documents);
        self.sends(world, &message).await
    }

    /// Sends a check-in and goes on with the link that comes back.
    pub async fn sends(&mut self, world: &World, message: &CheckIn) -> Result<CheckedIn, Refused> {
        let request = self.seal(world, Kind::CHECK_IN, &message.to_body());
        let answer = world.exchange(&request).await;
        let checked: CheckedIn = self.read(world, &request, &answer)?;
        self.link = checked.link;
        Ok(checked)
    }

    /// Hands over documents.
    pub async fn hands_over(
        &mut self,
        world: &World,
        documents: &[(Part, Vec<u8>)],
    ) -> Result<DocumentsTaken, Refused> {
        let message = Documents {
            link: self.link,
            documents: documents.iter().map(|(part, _)| part.clone()).collect(),
        };
        let bytes = documents.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let request = self.seal(world, Kind::DOCUMENTS, &message.with_bytes(bytes));
        let answer = world.exchange(&request).await;
        self.read(world, &request, &answer)
    }

    pub async fn renews(&mut self, world: &World) -> Result<Renewed, Refused> {
        let message = Renew {
            host: self.host,
            link: self.link,
            agent_version: self.version.clone(),
            next_key: None,
        };
        let request = self.seal(world, Kind::RENEW, &message.to_body());
        let answer = world.exchange(&request).await;
        self.read(world, &request, &answer)
    }
}

/// A whole document as a part of a message.
pub fn whole(kind: DocumentKind, bytes: Vec<u8>) -> (Part, Vec<u8>) {
    let part = Part {
        kind,
        digest: protocol::sha256(&bytes),
        size_bytes: bytes.len() as u64,
        form: Form::Whole,
    };
    (part, bytes)
}

/// An inventory of so many packages, and its bytes.
pub fn inventory(packages: usize) -> (InventoryDocument, Vec<u8>) {
    let package = |number: usize| {
        let text =
            format!(r#"{{"name":"package-{number:05}","architecture":"amd64","version":"1.{number}-1"}}"#);
        serde_json::from_str(&text).expect("the shortest package")
    };
    let document = InventoryDocument {
        packages: (0..packages).map(package).collect(),
    };
    let bytes = document.to_bytes();
    (document, bytes)
}

/// Why something was refused.
pub fn kind<T: std::fmt::Debug>(outcome: Result<T, Refused>) -> RefusalKind {
    outcome.expect_err("it is refused").kind
}
