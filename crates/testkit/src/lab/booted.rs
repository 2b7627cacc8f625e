//! One booted host: a clone of a root, run by systemd-nspawn with systemd as its first process. A reboot is a real one
//! (exit code 133 starts it again), a power cut kills its first process, and a link cut unplugs its wire.

use super::network::{Plug, Wire};
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a host may take to come up: it takes about a second, on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that tells nobody when it happens.
const PAUSE: Duration = Duration::from_millis(50);
/// systemd-nspawn's exit code for a reboot.
const REBOOT: i32 = 133;

/// What a host is made of.
pub(super) struct Birth {
    pub(super) name: String,
    pub(super) image: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) wire: Wire,
    /// The address of the machine that runs the lab.
    pub(super) machine: Ipv4Addr,
}

/// A host that runs. It is ended, unmounted and forgotten with this value.
#[derive(Debug)]
pub struct BootedHost {
    name: String,
    folder: PathBuf,
    wire: Wire,
    watch: Arc<Watch>,
    watcher: Option<JoinHandle<()>>,
}

/// What the thread that watches over systemd-nspawn knows.
#[derive(Debug, Default)]
struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// systemd-nspawn, while it runs.
    container: Option<u32>,
    /// How often it was started.
    boots: u32,
    /// Why it will not be started again.
    ended: Option<String>,
    /// Nobody wants it any more.
    is_unwanted: bool,
}

impl BootedHost {
    pub(super) fn boot(birth: Birth) -> anyhow::Result<Self> {
        let Birth {
            name,
            image,
            folder,
            wire,
            machine,
        } = birth;
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(folder.join(part)).context("could not make the host's folder")?;
        }
        // From here on the value's end cleans up.
        let mut host = Self {
            name,
            folder,
            wire,
            watch: Arc::default(),
            watcher: None,
        };
        host.mount(&image)?;
        host.personalise(machine)?;
        host.start()?;
        Ok(host)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.wire.address()
    }

    /// A shell script that runs its arguments inside, whichever boot the host is in; for people who look around.
    pub fn door(&self) -> String {
        let namespace = self.wire.namespace();
        let name = namespace.rsplit('/').next().unwrap_or_default();
        format!(
            "#!/bin/sh\n# Runs a command inside the lab's host {host}; a shell without one.\n\
             for process in $(ip netns pids {name}); do\n    \
             if grep -q '^NSpid:.*[[:space:]]1$' \"/proc/$process/status\" 2>/dev/null; then leader=$process; fi\n\
             done\n\
             [ -n \"${{leader:-}}\" ] || {{ echo '{host} is not running' >&2; exit 1; }}\n\
             [ $# -gt 0 ] || set -- bash -l\n\
             exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
             TERM=\"${{TERM:-dumb}}\" nsenter --target \"$leader\" --mount --uts --ipc --net --pid --root -- \"$@\"\n",
            host = self.name
        )
    }

    /// Its root as seen from this machine. Files may be put there while it runs.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What it has written to its console, over all its boots.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.folder.join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The kernel's id of its present boot.
    pub fn boot_id(&self) -> anyhow::Result<String> {
        let id = self.run(&["cat", "/proc/sys/kernel/random/boot_id"])?;
        Ok(id.trim().to_owned())
    }

    /// Runs a program inside, as root; gives what it printed.
    ///
    /// # Errors
    /// Also if it fails: with what it said.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let done = self.try_run(words)?;
        if !done.status.success() {
            let said = [done.stdout, done.stderr].concat();
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            bail!("{} on {}: {} {said}", words.join(" "), self.name, done.status);
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Runs a program inside, as root; a failure of it is an answer too.
    pub fn try_run(&self, words: &[&str]) -> anyhow::Result<Output> {
        self.command(words)?.output().context("could not run nsenter")
    }

    /// A program inside, not started yet, with this machine's environment cleared.
    pub fn command(&self, words: &[&str]) -> anyhow::Result<Command> {
        let leader = self
            .leader()
            .with_context(|| format!("{} is not up", self.name))?;
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &leader.to_string()])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--"])
            .args(words)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/root")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Reboots it from inside and waits until it is up again.
    pub fn reboot(&self) -> anyhow::Result<()> {
        let before = self.state().boots;
        // The answer may be cut off by what was asked for.
        let _ = self.try_run(&["systemctl", "reboot"])?;
        self.wait_for(|state| state.boots > before)?;
        self.wait_until_up()
    }

    /// Takes its power away: nothing is written or said any more. [`BootedHost::power_on`] boots it again.
    pub fn cut_power(&mut self) -> anyhow::Result<()> {
        self.end();
        Ok(())
    }

    /// Boots it again after its power was cut.
    pub fn power_on(&mut self) -> anyhow::Result<()> {
        if self.watcher.is_some() {
            bail!("{} has power", self.name);
        }
        self.watch = Arc::default();
        self.start()
    }

    /// Plugs its wire in or out.
    pub fn plug(&self, plug: Plug) -> anyhow::Result<()> {
        self.wire.plug(plug)
    }

    fn mount(&self, image: &Path) -> anyhow::Result<()> {
        let part = |name: &str| self.folder.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            image.display(),
            part("upper"),
            part("work")
        );
        let done = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options, &part("root")])
            .output()
            .context("could not run mount")?;
        if !done.status.success() {
            bail!("mount: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    }

    /// What tells a clone from its pristine root. It knows the lab's machine by the name `server`.
    fn personalise(&self, machine: Ipv4Addr) -> anyhow::Result<()> {
        let id = self.identity();
        let hosts = format!(
            "127.0.0.1 localhost\n::1 localhost\n{} {}\n{machine} server\n",
            self.address(),
            self.name
        );
        let files = [
            ("etc/machine-id", format!("{id}\n")),
            ("etc/hostname", format!("{}\n", self.name)),
            ("etc/hosts", hosts),
            ("etc/resolv.conf", String::new()),
        ];
        for (path, text) in files {
            let path = self.root().join(path);
            // It may be a link out of the tree.
            let _ = fs::remove_file(&path);
            fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        }
        let _ = fs::remove_file(self.root().join("var/lib/dbus/machine-id"));
        Ok(())
    }

    /// A machine-id of its own, the same for the same lab, name and address.
    fn identity(&self) -> String {
        use sha2::Digest as _;
        let seed = format!("{} {}", self.folder.display(), self.address());
        let digest = sha2::Sha256::digest(seed.as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let console = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("console.log"))
            .context("could not make the console's file")?;
        let watch = Arc::clone(&self.watch);
        let container = Container {
            name: self.name.clone(),
            root: self.root(),
            namespace: self.wire.namespace(),
            console,
        };
        self.watcher = Some(std::thread::spawn(move || watch.over(&container)));
        self.wait_for(|state| state.boots > 0)?;
        self.wait_until_up()
    }

    fn end(&mut self) {
        self.state().is_unwanted = true;
        loop {
            if let Some(leader) = self.leader() {
                kill(leader);
            } else if let Some(container) = self.state().container {
                kill(container);
            }
            let state = self.state();
            let (state, _) = self
                .watch
                .changed
                .wait_timeout(state, PAUSE)
                .unwrap_or_else(PoisonError::into_inner);
            if state.ended.is_some() || self.watcher.is_none() {
                break;
            }
        }
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.watch.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, is_so: impl Fn(&State) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !is_so(&state) {
            if let Some(why) = &state.ended {
                bail!("{} ended: {why}; its console: {}", self.name, self.console());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} took too long; its console: {}", self.name, self.console());
            }
            let (next, _) = self
                .watch
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        Ok(())
    }

    /// systemd tells nobody outside when it is done; it is asked.
    fn wait_until_up(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(why) = self.state().ended.clone() {
                bail!("{} ended: {why}; its console: {}", self.name, self.console());
            }
            let asked = self.try_run(&["systemctl", "is-system-running"]);
            let answer = asked.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned());
            if matches!(answer.as_deref(), Ok("running" | "degraded")) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} is not up ({answer:?}); its console: {}",
                    self.name,
                    self.console()
                );
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Its first process, by its number on this machine.
    fn leader(&self) -> Option<u32> {
        let container = self.state().container?;
        let processes = fs::read_dir("/proc").ok()?;
        let numbers = processes
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .into_iter()
            .find(|&process| is_first_process_of(process, container))
    }
}

impl Drop for BootedHost {
    fn drop(&mut self) {
        if self.watcher.is_some() {
            self.end();
        }
        unmount(&self.root());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What systemd-nspawn is told.
struct Container {
    name: String,
    root: PathBuf,
    namespace: String,
    console: fs::File,
}

impl Container {
    /// It ends with the thread that started it, even if that is killed.
    fn spawn(&self) -> std::io::Result<Child> {
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "systemd-nspawn"])
            .args([
                "--quiet",
                "--boot",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
            ])
            .arg(format!("--network-namespace-path={}", self.namespace))
            .arg(format!("--machine={}", self.name))
            .arg("--directory")
            .arg(&self.root)
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0")
            .stdin(Stdio::null())
            .stdout(self.console.try_clone()?)
            .stderr(self.console.try_clone()?)
            .spawn()
    }
}

impl Watch {
    /// Starts the container, and again whenever it reboots, until it ends otherwise or nobody wants it.
    fn over(&self, container: &Container) {
        let change = |change: &mut dyn FnMut(&mut State)| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut state);
            self.changed.notify_all();
            state.is_unwanted
        };
        loop {
            let mut child = match container.spawn() {
                Ok(child) => child,
                Err(error) => {
                    change(&mut |state| state.ended = Some(format!("systemd-nspawn did not start: {error}")));
                    return;
                }
            };
            change(&mut |state| {
                state.container = Some(child.id());
                state.boots += 1;
            });
            let status = child.wait();
            let is_unwanted = change(&mut |state| state.container = None);
            let is_reboot = matches!(&status, Ok(status) if status.code() == Some(REBOOT));
            if is_unwanted || !is_reboot {
                change(&mut |state| state.ended = Some(format!("{status:?}")));
                return;
            }
        }
    }
}

/// Whether a process is number 1 of its own namespace and was started by `parent`.
fn is_first_process_of(process: u32, parent: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let is_child = field("PPid:").is_some_and(|number| number.trim().parse() == Ok(parent));
    is_child && field("NSpid:").is_some_and(|numbers| numbers.trim().ends_with("\t1"))
}

fn kill(process: u32) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// Takes a mount away even while something still uses it.
pub(super) fn unmount(path: &Path) {
    let _ = Command::new("umount")
        .args(["--lazy", "--recursive", "--quiet"])
        .arg(path)
        .stderr(Stdio::null())
        .status();
}
