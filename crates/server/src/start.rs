//! Opening the data directory and running everything that a server is, until it is told to stop.

mod data;

pub use data::{DataDir, DataDirError};

use crate::agents::{self, Agents};
use crate::authority::{self, Authority, AuthorityError};
use crate::clock::{Chance, Clock, SystemChance, SystemClock, draw};
use crate::context::Context;
use crate::http::{self, listen::Bound};
use crate::local::{Local, LocalError};
use crate::operations::upgrade::{self, Opening, UpgradeError};
use crate::reconcile;
use crate::settings::{Settings, SettingsError};
use domain::id::EpochId;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use store::{Db, Tuning, Whole};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Starts servers.
#[derive(Debug)]
pub enum Server {}

/// A server that runs. Dropping it ends it at once; [`Running::stop`] ends it cleanly.
#[derive(Debug)]
pub struct Running {
    context: Context,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<Result<(), rustls::Error>>,
    background: JoinSet<()>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The keys.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The local token.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The files by digest.
    #[error("open the files of the data directory")]
    Content(#[from] content::StoreError),
    /// The setting `database`.
    #[error("understand the setting `database`")]
    DatabaseUrl(#[from] store::NotAUrl),
    /// The database, or bringing it up to date.
    #[error(transparent)]
    Database(#[from] UpgradeError),
    /// A query at the start.
    #[error("read the database")]
    Query(#[from] store::Error),
    /// The address to listen on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// What a server takes from its machine: the real ones, or those that a test or the simulation leads.
#[derive(Clone, Debug)]
pub struct Ports {
    /// What time it is, and waiting.
    pub clock: Arc<dyn Clock>,
    /// Ids, nonces, jitter, keys.
    pub chance: Arc<dyn Chance>,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance::default()),
        }
    }
}

impl Server {
    /// Opens the data directory without listening: for the server itself, for commands that work while none runs, and
    /// for tests. One at a time has a data directory open.
    pub async fn open(settings: Settings, ports: Ports) -> Result<Context, StartError> {
        settings.file.check()?;
        let data = DataDir::open(&settings.data)?;
        let Ports { clock, chance } = ports;
        let now = clock.now();
        let local = Local::open(data.path(), &*chance)?;
        let content = content::Store::open(&data.path().join("content"))?;
        let url = match &settings.file.database {
            Some(url) => store::Url::parse(url)?,
            None => data.path().join("patchyard.db").as_path().into(),
        };
        let opening = Opening {
            url: &url,
            data: data.path(),
            content: &content,
        };
        let db = upgrade::open(opening, Tuning::default(), now, &*chance).await?;
        let epoch = first_epoch(&db, &*clock, &*chance).await?;
        let authority = Authority::open(
            &data.path().join("keys"),
            &listener_names(&settings),
            settings.file.certificate.as_ref(),
            u64::try_from(epoch.number).unwrap_or(1),
            now,
            &*chance,
        )?;
        let agents = Agents::open(&db, &authority, &settings).await?;
        let context = Context {
            db,
            content,
            authority: Arc::new(authority),
            agents: Arc::new(agents),
            open_orders: Arc::default(),
            fleets: Arc::default(),
            board: Arc::default(),
            metrics: Arc::default(),
            one_backup: Arc::default(),
            local: Arc::new(local),
            epoch: Arc::new(epoch),
            clock,
            chance,
            settings: Arc::new(settings),
            wake_ups: Arc::default(),
            data: Arc::new(data),
        };
        crate::app::role::install(&context).await?;
        context.open_orders.load(&context.db, now).await?;
        Ok(context)
    }

    /// Opens the data directory, listens, and begins the background work.
    pub async fn start(settings: Settings) -> Result<Running, StartError> {
        Self::start_with(settings, Ports::default()).await
    }

    /// The same with other ports.
    pub async fn start_with(mut settings: Settings, ports: Ports) -> Result<Running, StartError> {
        let address = settings.file.listen;
        let listen_failed = |cause| StartError::Listen { address, cause };
        let bound = Bound::new(address).map_err(listen_failed)?;
        // Where port 0 was asked for, agents must be told the one that was taken.
        settings.file.listen = bound.address();
        raise_open_files(settings.file.limits.connections);
        let context = Self::open(settings, ports).await?;
        let (stop, stopped) = watch::channel(false);
        let mut background = JoinSet::new();
        authority::upkeep::spawn(&context, &mut background, &stopped);
        agents::spawn(&context, &mut background, &stopped);
        reconcile::spawn(&context, &mut background, &stopped);
        let router = http::router(&context);
        let address = bound.address();
        let listener = tokio::spawn(bound.serve(context.clone(), router, stopped));
        tracing::info!(%address, "The server listens on {address}.");
        Ok(Running {
            context,
            address,
            stop,
            listener,
            background,
        })
    }
}

impl Running {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its functions share.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Ends it: answers what is at work (at most 10 seconds), writes what is only in memory, closes the database.
    pub async fn stop(mut self) -> Result<(), store::Error> {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.listener).await {
            tracing::warn!(%error, "The listener ended badly.");
        }
        while self.background.join_next().await.is_some() {}
        let flushed = agents::flush(&self.context).await;
        self.context.db.close().await;
        tracing::info!("The server has stopped.");
        flushed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// What the listener is reached by: this machine's names, the address to listen on, and the configured addresses.
pub fn listener_names(settings: &Settings) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy().to_ascii_lowercase();
    let mut add = |name: &str| {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if is_name(name) && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    add(&machine);
    let listen = settings.file.listen.ip();
    if !listen.is_unspecified() {
        add(&listen.to_string());
    }
    for address in &settings.file.addresses {
        add(address.rsplit_once(':').map_or(address, |(host, _port)| host));
    }
    names
}

/// Whether a certificate can name it: an address, or labels of letters, digits and hyphens (RFC 1123, section 2.1).
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && name.split('.').all(is_label))
}

/// File descriptors for all that is no connection.
const OTHER_FILES: u64 = 1_024;

/// Begins a new life of the server, after its data was restored from a backup: order numbers go on, links of the older life
/// are recognised, and from the next start on agents are told the new epoch. To be called while no server runs.
pub async fn begin_epoch(db: &Db, ports: &Ports, reason: &str) -> Result<store::epoch::Epoch, store::Error> {
    let now = ports.clock.now();
    let id = EpochId::new(millis(now), draw(&*ports.chance));
    let reason = reason.to_owned();
    db.write(move |tx| store::epoch::begin(tx, &Whole::server(), id, &reason, now))
        .await
}

/// Reads the epoch that the server is in; the first start begins the first one.
async fn first_epoch(
    db: &Db,
    clock: &dyn Clock,
    chance: &dyn Chance,
) -> Result<store::epoch::Epoch, store::Error> {
    let now = clock.now();
    let id = EpochId::new(millis(now), draw(chance));
    db.write(move |tx| {
        let whole = Whole::server();
        match store::epoch::current(tx, &whole)? {
            Some(epoch) => Ok(epoch),
            None => store::epoch::begin(tx, &whole, id, "first start", now),
        }
    })
    .await
}

/// Ends when the server is to stop, or when whoever could say so is gone.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _told = stop.wait_for(|stop| *stop).await;
}

/// Milliseconds since 1970 for ids; 0 before.
pub(crate) fn millis(now: jiff::Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}

/// Every agent that is connected takes a file descriptor: takes as many as the system allows (getrlimit(2)).
fn raise_open_files(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = (connections as u64).saturating_add(OTHER_FILES);
    let beyond = Rlimit {
        current: Some(wanted),
        maximum: Some(wanted),
    };
    // Only root may go beyond the limit that it was started with.
    if limit.maximum.is_some_and(|maximum| maximum < wanted) && setrlimit(Resource::Nofile, beyond).is_ok() {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "The number of open files could not be raised: many agents at once may be turned away.");
    }
}
