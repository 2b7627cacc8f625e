//! One booted host: a clone of a root, run by systemd-nspawn with systemd as its first process. A reboot is a real one
//! (exit code 133 starts it again), a power cut kills its first process, and a link cut unplugs its wire.

mod disk;
mod watch;

pub(super) use disk::unmount;

use super::network::{Plug, Wire};
use crate::apt::Apt;
use anyhow::{Context, bail};
use disk::{Disk, Person};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use watch::{Container, NotSo, State, Watch, kill};

/// How long a host may take to come up: about a second on a machine that does nothing else, minutes where cloud-init works first.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at something that tells nobody when it happens.
const PAUSE: Duration = Duration::from_millis(50);

/// What a host is made of.
pub(super) struct Birth {
    pub(super) name: String,
    pub(super) image: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) wire: Wire,
    /// Whom the host knows by the name `server`.
    pub(super) server: Ipv4Addr,
}

/// A host that runs, or ran. It is ended, unmounted and forgotten with this value.
#[derive(Debug)]
pub struct BootedHost {
    name: String,
    disk: Disk,
    wire: Wire,
    server: Ipv4Addr,
    installations: u32,
    watch: Arc<Watch>,
    watcher: Option<JoinHandle<()>>,
}

impl BootedHost {
    /// A fresh host.
    pub(super) fn boot(birth: Birth) -> anyhow::Result<Self> {
        let mut host = Self::without_power(birth);
        host.disk.mount()?;
        host.personalise()?;
        host.start()?;
        Ok(host)
    }

    /// A host with a copy of another one's disk, name and machine-id included, and without power; only its wire is its own.
    pub(super) fn copy_of(other: &Self, folder: PathBuf, wire: Wire) -> anyhow::Result<Self> {
        if other.watcher.is_some() {
            bail!("{} has power: its disk cannot be copied", other.name);
        }
        let host = Self::without_power(Birth {
            name: other.name.clone(),
            image: other.disk.image.clone(),
            folder,
            wire,
            server: other.server,
        });
        host.disk.mount_copy_of(&other.disk)?;
        Ok(host)
    }

    /// From here on the value's end cleans up.
    fn without_power(birth: Birth) -> Self {
        let Birth {
            name,
            image,
            folder,
            wire,
            server,
        } = birth;
        Self {
            name,
            disk: Disk { image, folder },
            wire,
            server,
            installations: 0,
            watch: Arc::default(),
            watcher: None,
        }
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
        self.disk.root()
    }

    /// What it has written to its console, over all its boots.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.disk.folder.join("console.log")).unwrap_or_default();
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
            .watch
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
        let before = self.watch.state().boots;
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

    /// Shuts it down in order. [`BootedHost::power_on`] boots it again.
    pub fn power_off(&mut self) -> anyhow::Result<()> {
        // The answer may be cut off by what was asked for.
        let _ = self.try_run(&["systemctl", "poweroff"])?;
        match self.watch.wait_for(PATIENCE, |_| false) {
            Err(NotSo::Ended(_)) => {}
            _ => bail!(
                "{} does not shut down; its console: {}",
                self.name,
                self.console()
            ),
        }
        self.end();
        Ok(())
    }

    /// Boots it, or boots it again after its power was taken away.
    pub fn power_on(&mut self) -> anyhow::Result<()> {
        if self.watcher.is_some() {
            bail!("{} has power", self.name);
        }
        self.watch = Arc::default();
        self.start()
    }

    /// Installs it anew on the same hardware and boots it: same name, same address, another machine-id, nothing else kept.
    pub fn reimage(&mut self) -> anyhow::Result<()> {
        self.cut_power()?;
        self.disk.wipe()?;
        self.personalise()?;
        self.power_on()
    }

    /// Installs packages by its own apt, over this machine's network. Their services begin with the next boot.
    pub fn install(&self, packages: &[&str]) -> anyhow::Result<()> {
        let words = ["install", "-y", "-q", "--no-install-recommends"];
        let words = [words.as_slice(), packages].concat();
        self.disk
            .with_this_machines_names(|root| Apt::inside(root).run("apt-get", &words).map(drop))
    }

    /// Fetches its package lists as its own apt does, over this machine's network: the host's own leads nowhere.
    pub fn refresh_lists(&self) -> anyhow::Result<()> {
        self.disk
            .with_this_machines_names(|root| Apt::inside(root).update())
    }

    /// Plugs its wire in or out.
    pub fn plug(&self, plug: Plug) -> anyhow::Result<()> {
        self.wire.plug(plug)
    }

    fn personalise(&mut self) -> anyhow::Result<()> {
        self.installations += 1;
        self.disk.personalise(&Person {
            name: &self.name,
            address: self.address(),
            server: self.server,
            installation: self.installations,
        })
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let console = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.disk.folder.join("console.log"))
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
        self.watch.state().is_unwanted = true;
        while self.watcher.is_some() {
            if let Some(leader) = self.watch.leader() {
                kill(leader);
            } else if let Some(container) = self.watch.state().container {
                kill(container);
            }
            if self.watch.pause(PAUSE).ended.is_some() {
                break;
            }
        }
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }

    fn wait_for(&self, is_so: impl Fn(&State) -> bool) -> anyhow::Result<()> {
        match self.watch.wait_for(PATIENCE, is_so) {
            Ok(()) => Ok(()),
            Err(NotSo::Ended(why)) => {
                bail!("{} ended: {why}; its console: {}", self.name, self.console())
            }
            Err(NotSo::TooLong) => bail!("{} took too long; its console: {}", self.name, self.console()),
        }
    }

    /// systemd tells nobody outside when it is done; it is asked.
    fn wait_until_up(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(why) = self.watch.state().ended.clone() {
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
}

impl Drop for BootedHost {
    fn drop(&mut self) {
        self.end();
        self.disk.unmount();
        let _ = fs::remove_dir_all(&self.disk.folder);
    }
}
