//! The server of the simulation: the real one, on a database in a folder, that can be killed, backed up and restored, and the
//! person who looks after it.

pub mod orders;

use anyhow::{Context as _, Result, ensure};
use domain::digest::Sha256Digest;
use domain::id::{DeploymentId, EnrolmentTokenId, EpochId, HostId, SiteId, TenantId};
use jiff::{SignedDuration, Timestamp};
use protocol::address::ServerAddress;
use protocol::token::EnrolmentToken;
use server::agents::{self, Begun, Peer};
use server::clock::{Clock as _, ManualClock, SeededChance};
use server::start::{Ports, Server};
use server::{Context, Settings};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::enrolment_token::{Admits, NewEnrolmentToken};
use store::host::{Host, HostState};
use store::{Scope, Whole};

/// The tenant of the simulation.
pub const TENANT: TenantId = TenantId([1; 16]);
const SITE: SiteId = SiteId([2; 16]);
const SITE_NAME: &str = "main";

/// A server's folder as every run begins with it: made once, because keys and tables are the same for all.
#[derive(Debug)]
pub struct Template {
    folder: tempfile::TempDir,
}

impl Template {
    /// Sets a server up that has one tenant and one site.
    pub async fn new(now: Timestamp) -> Result<Self> {
        let folder = folder()?;
        let clock = Arc::new(ManualClock::at(now));
        let context = open(&folder.path().join("data"), &clock, 0, 0).await?;
        let added = context.db.write(move |tx| {
            store::tenant::create(tx, &Whole::server(), TENANT, SITE_NAME, now)?;
            store::site::create(tx, &Scope::of_tenant(TENANT), SITE, SITE_NAME, now)
        });
        added.await.context("add the tenant")?;
        context.db.close().await;
        Ok(Self { folder })
    }
}

/// A folder in memory where the system has one: a simulated power cut needs no real disk.
fn folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.context("make a temporary folder")
}

/// The server, and the folder that outlives it.
#[derive(Debug)]
pub struct Site {
    folder: tempfile::TempDir,
    /// The machine's clock.
    pub clock: Arc<ManualClock>,
    /// None only while the server is down.
    context: Option<Context>,
    seed: u64,
    hold_seconds: u32,
    starts: u64,
    tokens: u64,
    backups: u64,
    epochs: u8,
    /// All that were ever made.
    deployments: Vec<DeploymentId>,
}

impl Site {
    /// A server that starts in a copy of the template.
    pub async fn new(template: &Template, seed: u64, hold_seconds: u32, now: Timestamp) -> Result<Self> {
        let folder = folder()?;
        copy_folder(&template.folder.path().join("data"), &folder.path().join("data"))?;
        let clock = Arc::new(ManualClock::at(now));
        let context = open(&folder.path().join("data"), &clock, seed, hold_seconds).await?;
        Ok(Self {
            folder,
            clock,
            context: Some(context),
            seed,
            hold_seconds,
            starts: 0,
            tokens: 0,
            backups: 0,
            epochs: 0,
            deployments: Vec::new(),
        })
    }

    /// What the server's functions share.
    pub fn context(&self) -> &Context {
        self.context
            .as_ref()
            .expect("the server is up between two events")
    }

    /// Answers a request, or holds it.
    pub async fn begin(&self, request: &[u8]) -> Begun {
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        agents::begin(self.context(), request, peer).await
    }

    /// Writes what is only in memory.
    pub async fn flush(&self) -> Result<()> {
        agents::flush(self.context()).await.context("flush")
    }

    /// Kills the server and starts it again: what was only in memory is gone.
    pub async fn crash(&mut self) -> Result<()> {
        self.go_down().await;
        self.start().await
    }

    /// Ends the server at once; it lets go of its folder.
    async fn go_down(&mut self) {
        if let Some(context) = self.context.take() {
            context.db.close().await;
        }
    }

    async fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let seed = self.seed.wrapping_add(self.starts << 32);
        self.context = Some(open(&self.data(), &self.clock, seed, self.hold_seconds).await?);
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn backup_folder(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("backup-{number}"))
    }

    /// Copies the folder as it is at this moment, as after a power cut; gives the backup's number.
    pub async fn back_up(&mut self) -> Result<u64> {
        self.flush().await?;
        self.go_down().await;
        self.backups += 1;
        copy_folder(&self.data(), &self.backup_folder(self.backups))?;
        self.start().await?;
        Ok(self.backups)
    }

    /// Destroys the server and restores a backup, which begins a new epoch.
    pub async fn restore(&mut self, backup: u64) -> Result<()> {
        self.go_down().await;
        let data = self.data();
        fs::remove_dir_all(&data).context("destroy the server")?;
        copy_folder(&self.backup_folder(backup), &data)?;
        let now = self.clock.now();
        let url: store::Url = data.join("patchyard.db").as_path().into();
        let db = store::Db::open(&url, now).await.context("open the backup")?;
        self.epochs += 1;
        let id = EpochId([self.epochs; 16]);
        let begun = db.write(move |tx| store::epoch::begin(tx, &Whole::server(), id, "restored", now));
        begun.await.context("begin an epoch")?;
        db.close().await;
        self.start().await
    }

    /// A new enrolment token.
    pub async fn token(&mut self, admits: Admits) -> Result<EnrolmentToken> {
        self.tokens += 1;
        let mut secret = [0x70; 16];
        secret[..8].copy_from_slice(&self.tokens.to_be_bytes());
        secret[8] = self.epochs;
        let expires_at = self.clock.now() + SignedDuration::from_hours(24);
        let new = NewEnrolmentToken {
            id: EnrolmentTokenId(secret),
            secret_hash: EnrolmentToken::secret_digest(&secret).0,
            site: SITE,
            name: "simulated".to_owned(),
            admits,
            uses: 1,
            made_by: None,
            expires_at,
        };
        let now = self.clock.now();
        let scope = Scope::of_tenant(TENANT);
        let made = self
            .context()
            .db
            .write(move |tx| store::enrolment_token::create(tx, &scope, &new, now));
        made.await.context("make a token")?;
        let address: ServerAddress = "patchyard.example:8443".parse().context("an address")?;
        Ok(EnrolmentToken {
            addresses: vec![address],
            authority: self.context().authority.root_digest(),
            secret,
            site: SITE_NAME.to_owned(),
            package: None,
            expires: expires_at,
        })
    }

    /// All hosts that the server knows.
    pub async fn hosts(&self) -> Result<Vec<Host>> {
        let scope = Scope::of_tenant(TENANT);
        let filter = store::host::HostFilter::default();
        let page = self
            .context()
            .db
            .read(move |view| store::host::page(view, &scope, &filter, None, 1_000));
        Ok(page.await.context("list the hosts")?.rows)
    }

    /// Sets a host's state, as an operator does.
    pub async fn set_state(&self, host: &Host, state: HostState) -> Result<()> {
        let (scope, now, id, version) = (Scope::of_tenant(TENANT), self.clock.now(), host.id, host.version);
        let set = self
            .context()
            .db
            .write(move |tx| store::host::set_state(tx, &scope, id, version, state, now));
        ensure!(
            set.await.context("set a host's state")?.is_changed(),
            "nobody else changes hosts"
        );
        agents::refresh(self.context(), TENANT, id)
            .await
            .context("read the host again")
    }

    /// A host, if the server knows it.
    pub async fn host(&self, id: HostId) -> Result<Option<Host>> {
        let scope = Scope::of_tenant(TENANT);
        let read = self
            .context()
            .db
            .read(move |view| store::host::get(view, &scope, id));
        read.await.context("read a host")
    }

    /// The bytes of a document, if the server has it.
    pub async fn document(&self, digest: Sha256Digest) -> Result<Option<Vec<u8>>> {
        let scope = Scope::of_tenant(TENANT);
        let read = self
            .context()
            .db
            .read(move |view| store::document::get(view, &scope, digest));
        let Some(document) = read.await.context("read a document")? else {
            return Ok(None);
        };
        agents::stored_bytes(&document)
            .map(Some)
            .context("unpack a document")
    }
}

async fn open(data: &Path, clock: &Arc<ManualClock>, seed: u64, hold_seconds: u32) -> Result<Context> {
    let ports = Ports {
        clock: Arc::clone(clock) as _,
        chance: Arc::new(SeededChance::new(seed)),
    };
    let mut settings = Settings::defaults_in(data);
    settings.file.hold_seconds = hold_seconds;
    Server::open(settings, ports).await.context("open the server")
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copy to {}", target.display()))?;
        }
    }
    Ok(())
}
