//! The thread that keeps systemd-nspawn running: it starts the container, again after each reboot, and tells whoever waits.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// systemd-nspawn's exit code for a reboot.
const REBOOT: i32 = 133;

/// What the thread that watches over systemd-nspawn knows.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// systemd-nspawn, while it runs.
    pub(super) container: Option<u32>,
    /// How often it was started.
    pub(super) boots: u32,
    /// Why it will not be started again.
    pub(super) ended: Option<String>,
    /// Nobody wants it any more.
    pub(super) is_unwanted: bool,
}

/// Why what was waited for did not come.
#[derive(Debug)]
pub(super) enum NotSo {
    /// The container ended.
    Ended(String),
    /// It took too long.
    TooLong,
}

/// What systemd-nspawn is told.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) root: PathBuf,
    pub(super) namespace: String,
    pub(super) console: fs::File,
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
    pub(super) fn over(&self, container: &Container) {
        let change = |change: &mut dyn FnMut(&mut State)| {
            let mut state = self.state();
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

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change of the state, or until this time has passed.
    pub(super) fn pause(&self, span: Duration) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout(self.state(), span);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until it is so.
    pub(super) fn wait_for(&self, patience: Duration, is_so: impl Fn(&State) -> bool) -> Result<(), NotSo> {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        while !is_so(&state) {
            if let Some(why) = &state.ended {
                return Err(NotSo::Ended(why.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotSo::TooLong);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// The container's first process, by its number on this machine.
    pub(super) fn leader(&self) -> Option<u32> {
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

/// Whether a process is number 1 of its own namespace and was started by `parent`.
fn is_first_process_of(process: u32, parent: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let is_child = field("PPid:").is_some_and(|number| number.trim().parse() == Ok(parent));
    is_child && field("NSpid:").is_some_and(|numbers| numbers.trim().ends_with("\t1"))
}

pub(super) fn kill(process: u32) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, Signal::KILL);
    }
}
