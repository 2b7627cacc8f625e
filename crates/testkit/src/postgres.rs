//! A PostgreSQL server of a test's own: started once a test binary, on a socket in a folder of its own, with a database for
//! each test. It ends with the process, by its id.

use anyhow::{Context as _, Result, bail};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The environment variable that names the engine of a run: `sqlite` or `postgres`.
pub const ENGINE: &str = "PATCHYARD_TEST_ENGINE";

/// What a server's acknowledged changes outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: for measuring.
    OfTheDisk,
    /// The end of its process: for tests, of which there are many.
    OfTheProcess,
}

/// A running server.
pub struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    user: Option<(u32, u32)>,
    durability: Durability,
    server: Mutex<Child>,
    databases: AtomicU32,
}

/// The server of this process, started by whoever asks first; the reason, where it cannot be started here.
pub fn shared() -> Result<&'static Postgres, String> {
    static SERVER: LazyLock<Result<Postgres, String>> =
        LazyLock::new(|| Postgres::start(Durability::OfTheProcess).map_err(|error| format!("{error:#}")));
    SERVER.as_ref().map_err(Clone::clone)
}

/// Whether PostgreSQL's programs are installed.
///
/// # Errors
/// A sentence that says what is missing.
pub fn is_here() -> Result<(), String> {
    programs().map(drop).map_err(|error| format!("{error:#}"))
}

/// A new database of the server of this process, or a skip.
pub fn database() -> Option<String> {
    match shared().and_then(|server| server.database().map_err(|error| format!("{error:#}"))) {
        Ok(url) => Some(url),
        Err(why) => {
            crate::skip::skip(&format_args!("no PostgreSQL server of its own: {why}"));
            None
        }
    }
}

/// A new database, where this run of the tests is to be on PostgreSQL (environment variable `PATCHYARD_TEST_ENGINE`);
/// `None` where it is on SQLite, as usual.
///
/// # Panics
/// Where PostgreSQL was asked for and cannot be had.
pub fn of_this_run() -> Option<String> {
    match std::env::var(ENGINE).as_deref() {
        Err(_) | Ok("sqlite") => None,
        Ok("postgres") => {
            let made = shared().and_then(|server| server.database().map_err(|error| format!("{error:#}")));
            Some(made.unwrap_or_else(|why| panic!("{ENGINE}=postgres, and there is no PostgreSQL: {why}")))
        }
        Ok(other) => panic!("{ENGINE} is sqlite or postgres, not {other}"),
    }
}

impl Postgres {
    /// Starts a server with an empty data folder. It is gone when this is dropped, or when the process ends.
    ///
    /// # Errors
    /// Where Debian's package `postgresql` is not installed, or as root there is no user `nobody` to run it as.
    pub fn start(durability: Durability) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new()
            .prefix("patchyard-pg-")
            .tempdir_in("/tmp")?;
        let is_root = folder.path().metadata()?.uid() == 0;
        let user = if is_root { Some(nobody()?) } else { None };
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid))?;
        }
        let data = folder.path().join("data");
        let mut init = as_user(&programs.join("initdb"), user);
        init.args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(&data);
        let made = init.current_dir(folder.path()).output().context("run initdb")?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        let server = serve(&programs, folder.path(), user, durability)?;
        let postgres = Self {
            programs,
            folder,
            user,
            durability,
            server: Mutex::new(server),
            databases: AtomicU32::new(0),
        };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    /// A new, empty database; its address.
    ///
    /// # Errors
    /// Where the server does not make one.
    pub fn database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!(
            "postgres://postgres@localhost/{name}?host={}",
            self.folder.path().display()
        ))
    }

    /// Kills the server as a power cut would, and starts it again on the same data.
    ///
    /// # Errors
    /// Where it does not come up again.
    pub fn crash_and_restart(&self) -> Result<()> {
        self.stop_at_once()?;
        self.start_again()
    }

    /// Kills the server as a power cut would.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop_at_once(&self) -> Result<()> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = as_user(&self.programs.join("pg_ctl"), self.user)
            .args(["stop", "-m", "immediate", "-s", "-w", "-D"])
            .arg(self.folder.path().join("data"))
            .current_dir(self.folder.path())
            .status()?;
        if !stopped.success() {
            bail!("pg_ctl stop: {stopped}");
        }
        server.wait()?;
        Ok(())
    }

    /// Starts a server that was stopped, on the same data.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_again(&self) -> Result<()> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        *server = serve(&self.programs, self.folder.path(), self.user, self.durability)?;
        drop(server);
        self.wait_until_ready()
    }

    /// Runs a statement as the superuser.
    ///
    /// # Errors
    /// What psql says.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let done = as_user(&self.programs.join("psql"), self.user)
            .args(["-X", "-q", "-A", "-t", "-U", "postgres", "-h"])
            .arg(self.folder.path())
            .args(["-d", database, "-c", statement])
            .current_dir(self.folder.path())
            .output()
            .context("run psql")?;
        if !done.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let Err(error) = self.sql("postgres", "SELECT 1") else {
                return Ok(());
            };
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(error.context(log));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Waiting closes the pipe at whose end the server ends.
        drop(server.wait());
    }
}

/// The server in the foreground. The shell in front of it ends it when this process has ended, however it ended: a
/// server that is shared by all tests is never dropped.
fn serve(programs: &Path, folder: &Path, user: Option<(u32, u32)>, durability: Durability) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let script = r#"
        "$1" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=200 -c shared_buffers=64MB -c fsync=$3 \
            -c deadlock_timeout=50ms <&- & server=$!
        { cat >/dev/null; : >"$2/over"; kill -QUIT $server; } <&3 & watch=$!
        wait $server
        kill $watch
        [ ! -e "$2/over" ] || rm -rf "$2""#;
    let mut shell = as_user(Path::new("/bin/sh"), user);
    shell
        .args(["-c", &format!("exec 3<&0; {script}"), "sh"])
        .arg(programs.join("postgres"))
        .arg(folder)
        .arg(if durability == Durability::OfTheDisk {
            "on"
        } else {
            "off"
        });
    let child = shell
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    child.context("start postgres")
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// Debian keeps each major version's programs in a folder of its own; the newest one counts.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, programs): &(u32, PathBuf)| programs.join("initdb").exists())
        .collect();
    found.sort();
    found
        .pop()
        .map(|(_, programs)| programs)
        .context("the package postgresql is not installed")
}

fn nobody() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let fields = users
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .context("there is no user nobody")?;
    let mut fields = fields.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok((uid, gid)),
        _ => bail!("the user nobody has no numbers"),
    }
}
