//! A server of the built command, the lab's hosts enrolled with it, and the commands by which it is asked.

use serde_json::Value;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use testkit::lab::booted::BootedHost;
use testkit::lab::proxy::Proxy;
use testkit::lab::{Lab, LabMissing};

/// How long anything may take: a sync of three suites in a build without optimisation is the longest.
const PATIENCE: Duration = Duration::from_secs(240);

/// A lab with a server on it.
pub struct Fleet {
    server: Child,
    proxy: Proxy,
    address: SocketAddr,
    data: tempfile::TempDir,
    lab: Lab,
}

/// A field's text.
pub fn text(value: &Value, field: &str) -> String {
    let found = value[field].as_str();
    found.unwrap_or_else(|| panic!("no text in {field}: {value}")).to_owned()
}

/// The slim agent, built once for all tests.
fn agent() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let arguments = ["build", "--quiet", "--package", "agent", "--bin", "patchyard-agent"];
        let done = Command::new(env!("CARGO")).args(arguments).current_dir(manifest).status();
        assert!(done.unwrap().success());
        // Beside the command that is tested: both are of one profile.
        Path::new(env!("CARGO_BIN_EXE_patchyard")).with_file_name("patchyard-agent")
    })
}

impl Fleet {
    /// A server on the lab's address, and a proxy before it.
    pub fn start() -> Result<Self, LabMissing> {
        let lab = Lab::start()?;
        let data = tempfile::tempdir().unwrap();
        let ip = IpAddr::from(lab.address());
        // The port is free: it was given out just now, on an address that nobody else has.
        let address = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
        let patchyard = || Command::new(env!("CARGO_BIN_EXE_patchyard"));
        let told = patchyard().args(["listen", &address.to_string(), "--data"]).arg(data.path()).output();
        assert!(told.unwrap().status.success());
        let log = std::fs::File::create(data.path().join("server.out")).unwrap();
        let server = patchyard()
            .args(["up", "--no-agent", "--data"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let proxy = Proxy::start(SocketAddr::new(ip, 0), address).unwrap();
        let fleet = Self {
            server,
            proxy,
            address,
            data,
            lab,
        };
        fleet.until("the server answers", |fleet| fleet.try_say(&["tenant", "list", "--json"]).is_ok());
        Ok(fleet)
    }

    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// An outdated host, enrolled with a tenant's site `main`.
    pub fn host(&mut self, tenant: &str, name: &str, suite: &str) -> BootedHost {
        let address = self.address;
        self.enrolled(tenant, name, suite, address)
    }

    /// The same, through the proxy alone.
    pub fn host_behind_the_proxy(&mut self, tenant: &str, name: &str, suite: &str) -> BootedHost {
        let address = self.proxy.address();
        self.enrolled(tenant, name, suite, address)
    }

    fn enrolled(&mut self, tenant: &str, name: &str, suite: &str, address: SocketAddr) -> BootedHost {
        let host = self.lab.boot(name, suite).unwrap();
        std::fs::copy(agent(), host.root().join("usr/bin/patchyard-agent")).unwrap();
        let address = address.to_string();
        let printed = self.say(&["enrol", "--tenant", tenant, "--address", &address, "--no-wait"]);
        let command = printed.lines().find(|line| line.contains("patchyard-agent enrol")).unwrap().trim();
        host.run(&["sh", "-c", command]).unwrap();
        host.run(&["systemd-run", "--unit=patchyard-agent", "patchyard-agent", "run"]).unwrap();
        host
    }

    /// Adopts every source that hosts proposed, and waits until each was synced.
    pub fn sync_all(&self) {
        self.until("sources are proposed", |fleet| !fleet.list(&["source", "list"]).is_empty());
        for source in self.list(&["source", "list"]) {
            if source["state"] == "proposed" {
                self.say(&["source", "adopt", &text(&source, "id")]);
            }
        }
        self.say(&["source", "sync"]);
        self.until("every source is synced", |fleet| {
            let sources = fleet.list(&["source", "list"]);
            sources.iter().all(|source| source["synced_at"].is_string() || source["synced_at"].is_number())
        });
    }

    /// What a command prints; it must succeed.
    pub fn say(&self, words: &[&str]) -> String {
        self.try_say(words).unwrap_or_else(|said| panic!("patchyard {}: {said}", words.join(" ")))
    }

    fn try_say(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchyard"));
        let done = command.args(words).arg("--data").arg(self.data.path()).output().unwrap();
        match done.status.success() {
            true => Ok(String::from_utf8(done.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()),
        }
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

    /// Asks again until it is so: the server tells nobody when it has assessed a host.
    #[expect(clippy::disallowed_methods, reason = "real programs run beside the test, in real time")]
    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            let log = || std::fs::read_to_string(self.data.path().join("server.out")).unwrap_or_default();
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; the server said: {}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
