//! A scan from end to end: read the host, ask its sources, judge every package, say what was found. It reads, and
//! writes only to Patchyard's own cache.

pub mod assemble;
pub mod channels;
pub mod findings;
pub mod refresh;
mod side_by_side;
pub mod simulate;

use crate::args::ScanArgs;
use crate::place;
use crate::progress::Progress;
use crate::report::{ListsOrigin, Report};
use agent::effects::processes::Processes;
use agent::host::{Host, ReadOptions};
use agent::tree::Tree;
use anyhow::Context;
use channels::{Channels, Keyrings};
use content::Store;
use domain::host::channels::Settings;
use findings::Findings;
use jiff::Timestamp;
use simulate::{Simulated, World};
use sources::apt::lists::HostLists;
use sources::apt::openpgp::Proven;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs the scan and hands everything found to `show`. What was read is not given back piece by piece: the process ends
/// after it.
pub fn run<T>(args: &ScanArgs, show: impl FnOnce(&Scan<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Started::now();
    let is_live = args.root == Path::new("/");
    // Looking at every process takes as long as reading the host and its lists, so it goes on meanwhile.
    let processes = is_live.then(|| std::thread::spawn(running_processes));
    let options = if is_live {
        ReadOptions::for_environment(crate::variable)
    } else {
        ReadOptions::default()
    };
    let host = agent::host::read(&args.root, options)
        .with_context(|| format!("read the host at {}", args.root.display()))?;
    let host = ManuallyDrop::new(host);
    let (store, _scratch) = open_store(args)?;
    let channels = ManuallyDrop::new(ask(&host, &store, args, started.at));
    let simulated = args
        .simulate
        .then(|| simulate(args, &host, &store, &channels))
        .transpose()?;
    let origin = if args.refresh {
        ListsOrigin::Refreshed
    } else {
        ListsOrigin::Host
    };
    let findings = findings::of(&host, &channels, simulated.as_ref());
    let processes = processes.and_then(|thread| thread.join().expect("looking at processes does not panic"));
    let processes = processes.map(ManuallyDrop::new);
    let scan = ManuallyDrop::new(Scan {
        host: &host,
        channels: &channels,
        findings,
        simulated,
        processes: processes.as_deref(),
        origin,
        root: &args.root,
        started,
    });
    show(&scan)
}

/// The processes of the running system; nothing where they cannot be listed.
fn running_processes() -> Option<Processes> {
    Processes::read(&Tree::open(Path::new("/")).ok()?).ok()
}

/// A finished scan.
pub struct Scan<'a> {
    /// The host as it was read.
    pub host: &'a Host,
    /// Its sources as they answered.
    pub channels: &'a Channels<'a>,
    /// What that means.
    pub findings: Findings<'a>,
    /// What apt said, where it was asked.
    pub simulated: Option<Simulated>,
    /// The running processes, where the host is the one that runs and they can be seen.
    pub processes: Option<&'a Processes>,
    /// Whose lists were used.
    pub origin: ListsOrigin,
    /// The root, as the person named it.
    pub root: &'a Path,
    /// When it began.
    pub started: Started,
}

impl Scan<'_> {
    /// The report, for people and programs.
    pub fn report(&self) -> Report {
        assemble::report(self)
    }
}

/// When a scan began, by the calendar and by a stopwatch.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// By the calendar.
    pub at: Timestamp,
    watch: Instant,
}

impl Started {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a scan asks what time it is"
    )]
    fn now() -> Self {
        Self {
            at: Timestamp::now(),
            watch: Instant::now(),
        }
    }

    /// How long ago that was.
    pub fn elapsed(self) -> Duration {
        self.watch.elapsed()
    }
}

/// Opens the cache. A scan without a writable cache is slower, not impossible: it uses a folder that goes with it.
fn open_store(args: &ScanArgs) -> anyhow::Result<(Store, Option<tempfile::TempDir>)> {
    let is_root = rustix::process::geteuid().is_root();
    let places = place::Variables {
        variable: &crate::variable,
        is_root,
    };
    let folder = places.cache(args.cache_dir.as_deref())?;
    match Store::open(&folder) {
        Ok(store) => Ok((store, None)),
        Err(error) if args.cache_dir.is_some() || args.refresh => {
            Err(error).with_context(|| format!("open the cache {}", folder.display()))
        }
        Err(_) => {
            let scratch =
                tempfile::tempdir().context("make a folder for indexes; --cache-dir names another place")?;
            let store = Store::open(&scratch.path().join("cache"))?;
            Ok((store, Some(scratch)))
        }
    }
}

fn ask<'host>(host: &'host Host, store: &Store, args: &ScanArgs, now: Timestamp) -> Channels<'host> {
    let proven = Arc::new(Proven::load(store));
    let keyrings = Keyrings::of_host(host, Arc::clone(&proven));
    let channels = if args.refresh {
        refresh::ask(&keyrings, store, now)
    } else {
        ask_own_lists(&keyrings, store, now)
    };
    // What cannot be remembered is computed again next time.
    let _ = proven.save(store);
    channels
}

fn ask_own_lists<'host>(keyrings: &Keyrings<'host>, store: &Store, now: Timestamp) -> Channels<'host> {
    let host = keyrings.host;
    let inside = host.apt_conf.folder("Dir::State::lists");
    let open = |name: &str| -> io::Result<Option<File>> {
        match host
            .tree
            .open_file(&format!("{}/{name}", inside.trim_end_matches('/')))
        {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    };
    let settings = |label: Option<&str>| settings_for(host, label);
    let lists = HostLists::new(host.lists.clone(), &open, store, &settings, now);
    let channels = Channels::ask(
        keyrings,
        |source, keyring| lists.answer(source, keyring),
        |source| lists.last_known(source),
    );
    // What cannot be remembered is looked at again next time.
    let _ = lists.remember();
    channels
}

fn simulate(
    args: &ScanArgs,
    host: &Host,
    store: &Store,
    channels: &Channels<'_>,
) -> anyhow::Result<Simulated> {
    let lists = tempfile::tempdir().context("make a folder for the simulation")?;
    if args.refresh {
        refresh::lay_out(channels, store, lists.path())?;
    }
    let world = World {
        root: &args.root,
        lists: args.refresh.then(|| lists.path()),
        config: &host.channel_config,
        machine_id: host.facts.machine_id.as_deref(),
    };
    let _progress = Progress::begin("asking apt what it would do");
    Ok(simulate::simulate(&world)?)
}

/// The host's settings for sources with this Label.
fn settings_for(host: &Host, label: Option<&str>) -> Settings {
    let times = host.valid_times(label);
    Settings {
        max_valid_seconds: times.max_seconds,
        min_valid_seconds: times.min_seconds,
        ..host.channel_config.settings.clone()
    }
}
