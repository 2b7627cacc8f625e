//! A server of the built command on a lab's address, hosts that enrol with it by the printed command, and the commands by
//! which it is asked. Time is real: whoever waits asks again.

use serde_json::Value;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::lab::booted::BootedHost;
use testkit::lab::proxy::Proxy;
use testkit::lab::{Island, Lab, LabMissing, agent_package, calendar};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// A lab with a server on it.
pub struct Fleet {
    server: Option<Child>,
    /// Where the server is reached now.
    address: SocketAddr,
    /// Where it may be reached after it was lost.
    next_address: SocketAddr,
    calendar: Calendar,
    data: PathBuf,
    folder: tempfile::TempDir,
    package: &'static Path,
    proxy: Proxy,
    island: Island,
    pub lab: Lab,
}

/// By which calendar a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// This machine's.
    Today,
    /// So many days ahead of it.
    Ahead(u32),
}

/// A field's text.
pub fn text(value: &Value, field: &str) -> String {
    let found = value[field].as_str();
    found
        .unwrap_or_else(|| panic!("no text in {field}: {value}"))
        .to_owned()
}

impl Calendar {
    /// The built command on such a day.
    fn patchyard(self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchyard"));
        if let Self::Ahead(days) = self {
            command.envs(calendar::shifted(&format!("+{days}d")).unwrap());
        }
        command
    }
}

/// A port that was free just now, on an address that nobody else has.
fn free_port(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

impl Fleet {
    /// A server on the lab's address, which knows that it may go on at another one, and a proxy to it from an island.
    pub fn start() -> Result<Self, LabMissing> {
        Self::start_known_as(|own| own.map(|address| address.to_string()).to_vec())
    }

    /// The same, but agents know it by this name alone.
    pub fn start_named(name: &str) -> Result<Self, LabMissing> {
        Self::start_known_as(|[own, ..]| vec![format!("{name}:{}", own.port())])
    }

    fn start_known_as(known_as: impl FnOnce([SocketAddr; 3]) -> Vec<String>) -> Result<Self, LabMissing> {
        calendar::library()?;
        let package = agent_package()?;
        let lab = Lab::start()?;
        let address = free_port(lab.address().into());
        let next_address = free_port(lab.other_address().into());
        let island = lab.island()?;
        let proxy = island.proxy(address).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("server");
        let addresses = known_as([address, next_address, proxy.address()]);
        let settings = format!(
            "listen = \"{address}\"\naddresses = {addresses:?}\ncheck_in_seconds = 10\nhold_seconds = 0\n"
        );
        fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
        fs::write(data.join("settings.toml"), settings).unwrap();
        let mut fleet = Self {
            server: None,
            address,
            next_address,
            calendar: Calendar::Today,
            data,
            folder,
            package,
            proxy,
            island,
            lab,
        };
        fleet.run_server(Calendar::Today);
        Ok(fleet)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The agent's package.
    pub fn package(&self) -> &Path {
        self.package
    }

    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Runs the server, and waits until it answers and hands out the agent's package.
    pub fn run_server(&mut self, calendar: Calendar) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.out"));
        let log = log.unwrap();
        self.calendar = calendar;
        let mut command = calendar.patchyard();
        command
            .args(["up", "--no-agent", "--agent-package"])
            .arg(self.package);
        command.arg("--data").arg(&self.data).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let _ = fs::remove_file(self.data.join("local-address"));
        self.server = Some(command.spawn().unwrap());
        self.until("the server answers", |fleet| {
            fleet.data.join("local-address").exists() && fleet.try_say(&["tenant", "list", "--json"]).is_ok()
        });
    }

    /// Takes the server away in the middle of whatever it does.
    pub fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Makes a backup, destroys the server with all its data, and runs it elsewhere from that backup.
    pub fn destroy_and_restore_elsewhere(&mut self) {
        let made = self.one(&["backup", "create", "--with-master-key"]);
        let kept = self.folder.path().join("kept");
        fs::rename(text(&made, "place"), &kept).unwrap();
        self.kill_server();
        fs::remove_dir_all(&self.data).unwrap();
        self.data = self.folder.path().join("elsewhere");
        self.address = self.next_address;
        let restored = self
            .calendar
            .patchyard()
            .arg("restore")
            .arg(&kept)
            .arg("--data")
            .arg(&self.data)
            .output();
        said(restored.unwrap()).unwrap();
        self.say(&["listen", &self.address.to_string()]);
        self.proxy.point_to(self.address);
        self.run_server(Calendar::Today);
    }

    /// An outdated host with today's package lists, not enrolled. On an island it only has the proxy.
    pub fn boot(&mut self, name: &str, suite: &str, place: Place) -> BootedHost {
        let host = match place {
            Place::Lab => self.lab.boot(name, suite),
            Place::Island => self.lab.boot_on(&self.island, name, suite),
        };
        host.unwrap()
    }

    /// The command that `patchyard enrol` prints.
    pub fn enrolment(&self, words: &[&str], address: SocketAddr) -> String {
        let address = address.to_string();
        let printed = self.say(&[&["enrol", "--no-wait", "--address", &address], words].concat());
        let command = printed.lines().find(|line| line.starts_with("  "));
        let command = command.unwrap_or_else(|| panic!("no command in {printed}"));
        assert!(command.contains("/agent/package/"), "{printed}");
        command.trim().to_owned()
    }

    /// A token for one host of the only tenant.
    pub fn token(&self) -> String {
        self.say(&["enrol", "--form", "token"]).trim().to_owned()
    }

    /// Enrols a host by the printed command, as a person would.
    pub fn enrol(&self, host: &BootedHost, tenant: &str, address: SocketAddr) -> String {
        let command = self.enrolment(&["--tenant", tenant], address);
        host.run(&["sh", "-c", &command]).unwrap()
    }

    /// What a command prints; it must succeed.
    pub fn say(&self, words: &[&str]) -> String {
        self.try_say(words)
            .unwrap_or_else(|said| panic!("patchyard {}: {said}\n{}", words.join(" "), self.log()))
    }

    /// The same; a failure is an answer too.
    pub fn try_say(&self, words: &[&str]) -> Result<String, String> {
        said(
            self.calendar
                .patchyard()
                .args(words)
                .arg("--data")
                .arg(&self.data)
                .output()
                .unwrap(),
        )
    }

    /// The same with other variables in its environment.
    pub fn say_with(&self, words: &[&str], variables: &[(&str, &str)]) -> String {
        let mut command = self.calendar.patchyard();
        command
            .args(words)
            .arg("--data")
            .arg(&self.data)
            .envs(variables.iter().copied());
        said(command.output().unwrap()).unwrap_or_else(|said| panic!("patchyard {}: {said}", words.join(" ")))
    }

    /// A command's answer for programs.
    pub fn one(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.say(&[words, &["--json"]].concat())).unwrap()
    }

    /// The same for lists.
    pub fn list(&self, words: &[&str]) -> Vec<Value> {
        match self.one(words) {
            Value::Array(items) => items,
            other => panic!("no list: {other}"),
        }
    }

    /// Hosts of a tenant, by id.
    pub fn hosts(&self, tenant: &str) -> Vec<Value> {
        self.list(&["host", "list", "--tenant", tenant])
    }

    /// A host of a tenant by its id.
    pub fn host(&self, tenant: &str, id: &str) -> Value {
        self.one(&["host", "show", id, "--tenant", tenant])
    }

    /// Waits until the server has heard a host again after this moment.
    pub fn until_heard(&self, tenant: &str, id: &str, after: jiff::Timestamp) {
        self.until(&format!("{id} of {tenant} is heard after {after}"), |fleet| {
            let seen = fleet.host(tenant, id)["seen_at"].as_str().map(str::to_owned);
            seen.is_some_and(|seen| seen.parse::<jiff::Timestamp>().unwrap() > after)
        });
    }

    /// Asks again until it is so: nobody outside is told when something has happened.
    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        until(what, || is_so(self), || self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.out")).unwrap_or_default()
    }
}

/// Where a host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the lab's bridge.
    Lab,
    /// Behind the proxy.
    Island,
}

/// Asks again until it is so; `more` is said if it never is.
#[expect(
    clippy::disallowed_methods,
    reason = "real programs run beside the test, in real time"
)]
pub fn until(what: &str, is_so: impl Fn() -> bool, more: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            Instant::now() < deadline,
            "not within {PATIENCE:?}: {what}; {}",
            more()
        );
        std::thread::sleep(PAUSE);
    }
}

/// What `patchyard-agent status` says of a host.
pub fn status(host: &BootedHost) -> Value {
    let done = host.try_run(&["patchyard-agent", "status", "--json"]).unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or(Value::Null)
}

/// The id under which a host is enrolled.
pub fn id_of(host: &BootedHost) -> String {
    text(&status(host), "host")
}

fn said(done: std::process::Output) -> Result<String, String> {
    match done.status.success() {
        true => Ok(String::from_utf8(done.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()),
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.kill_server();
    }
}
