//! The host's own programs that the agent starts to install what was ordered, each named here. They get nothing of the agent's
//! environment, nothing to read, and answer in the C locale; nothing of them asks anybody anything.

use super::Trouble;
use domain::rollout::deployment::Failure;
use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// One of the host's own programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Verifies, simulates, installs.
    AptGet,
    /// Says and sets which packages were installed automatically.
    AptMark,
    /// Repairs what was interrupted.
    Dpkg,
    /// Starts the transaction in a unit of its own.
    SystemdRun,
    /// Starts it in a session of its own, where there is no systemd.
    Setsid,
    /// Restarts services.
    Systemctl,
    /// Restarts the host, with notice.
    Shutdown,
}

/// The search path and the answers to all that would be asked: debconf, ucf, apt-listchanges and apt-listbugs ask otherwise.
const ENVIRONMENT: [(&str, &str); 9] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBIAN_PRIORITY", "critical"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("UCF_FORCE_CONFFOLD", "1"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("APT_LISTBUGS_FRONTEND", "none"),
];

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::AptGet => "apt-get",
            Self::AptMark => "apt-mark",
            Self::Dpkg => "dpkg",
            Self::SystemdRun => "systemd-run",
            Self::Setsid => "setsid",
            Self::Systemctl => "systemctl",
            Self::Shutdown => "shutdown",
        }
    }

    /// The program, not started yet.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.name());
        command.env_clear().envs(ENVIRONMENT).current_dir("/");
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end, and gives what it said, whether it succeeded or not.
    pub(crate) fn ask<I: IntoIterator<Item: AsRef<OsStr>>>(self, words: I) -> Result<Said, Trouble> {
        let done = self.command().args(words).output();
        done.map(Said)
            .map_err(|error| Trouble::io(&format!("start {}", self.name()), &error))
    }

    /// Starts what outlives it, and says nothing to anybody.
    pub(crate) fn detach<I: IntoIterator<Item: AsRef<OsStr>>>(self, words: I) -> Result<(), Trouble> {
        let mut command = self.command();
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        let failed = |error: &std::io::Error| Trouble::io(&format!("start {}", self.name()), error);
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(&std::io::Error::other(status.to_string()))),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The same as [`Self::ask`]; its failure is a trouble of this kind, with its words.
    pub(crate) fn tell<I: IntoIterator<Item: AsRef<OsStr>>>(
        self,
        words: I,
        kind: Failure,
    ) -> Result<String, Trouble> {
        let said = self.ask(words)?;
        if said.is_success() {
            return Ok(said.text());
        }
        Err(Trouble::new(kind, &said.complaint(self.name())))
    }
}

/// What a program said before it ended.
#[derive(Debug)]
pub(crate) struct Said(Output);

impl Said {
    /// Whether it ended well.
    pub(crate) fn is_success(&self) -> bool {
        self.0.status.success()
    }

    /// Its standard output.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// All that it said.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.text(), String::from_utf8_lossy(&self.0.stderr))
    }

    /// What was wrong, in its words: the first of its errors, else its last line.
    pub(crate) fn complaint(&self, name: &str) -> String {
        let said = String::from_utf8_lossy(&self.0.stderr);
        let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_error = |line: &&str| line.starts_with("E:") || line.starts_with("dpkg: error");
        match lines().find(is_error).or_else(|| lines().next_back()) {
            Some(line) => format!("{name}: {line}"),
            None => format!("{name} failed ({}) and said nothing", self.0.status),
        }
    }
}
