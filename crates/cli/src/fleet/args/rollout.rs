//! What may be said of updates on their way to hosts: `deploy`, `change`, `deployment`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use std::path::PathBuf;

/// `patchyard deploy`
#[derive(Debug, Args)]
pub struct Deploy {
    /// An update: its source package (every update of it that hosts miss), SOURCE=VERSION, or its id. Repeatable.
    #[arg(
        long = "update",
        value_name = "UPDATE",
        required = true,
        value_delimiter = ','
    )]
    pub updates: Vec<String>,
    /// Which hosts: names or ids with commas between them, tag=TAG, site=SITE, name=PATTERN, standing=STANDING, or all.
    #[arg(long, value_name = "HOSTS")]
    pub hosts: String,
    /// Begin at once. That is also what happens without it, as long as hosts have no maintenance windows.
    #[arg(long, conflicts_with = "at")]
    pub now: bool,
    /// Begin on no host before this moment (RFC 3339).
    #[arg(long, value_name = "MOMENT")]
    pub at: Option<Timestamp>,
    /// Begin on no host at this moment or later [default: seven days after the beginning].
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<Timestamp>,
    /// Restart the services that still run old code afterwards. The hosts' mode has to be full.
    #[arg(long)]
    pub restart_services: bool,
    /// Whether a host may be restarted if the packages need it. Its mode has to be full for that.
    #[arg(long, value_enum, default_value = "never")]
    pub reboot: Reboot,
    /// Minutes of notice before a restart to whoever is logged in.
    #[arg(long, value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1440))]
    pub notice: u32,
    /// Hosts at work at the same time at most [default: the server's].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: Option<u32>,
    /// Hosts may begin without asking the server again: for hosts that are out of its reach by then.
    #[arg(long)]
    pub offline_ok: bool,
    /// A package that may be removed for it, as NAME:ARCHITECTURE. Repeatable.
    #[arg(long = "remove", value_name = "NAME:ARCHITECTURE")]
    pub removals: Vec<String>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Show what would happen, and leave.
    #[arg(long)]
    pub preview: bool,
    /// Do not ask.
    #[arg(long, conflicts_with = "preview")]
    pub yes: bool,
    /// Begin and leave, without watching.
    #[arg(long)]
    pub no_wait: bool,
}

/// Whether hosts may be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reboot {
    /// Never: what needs it stays installed and not in effect.
    Never,
    /// Once, if the packages need it.
    IfNeeded,
}

/// `patchyard change ...`
#[derive(Debug, Subcommand)]
pub enum Change {
    /// List changes, the newest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One change: what was approved, and how far its hosts are.
    Show {
        /// Its id.
        change: String,
    },
    /// Watch a change until nothing moves any more.
    Watch {
        /// Its id.
        change: String,
    },
    /// Stop a change: no host begins any more, those that have begun finish.
    Stop {
        /// Its id.
        change: String,
    },
    /// Go on with a change that was stopped.
    Resume {
        /// Its id.
        change: String,
    },
    /// Sign a change with your own approver's key, after showing what exactly is signed.
    Approve {
        /// Its id.
        change: String,
        /// The file with the key, made by `patchyard change key`.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Whose own signatures every change of the tenant needs: shows it, or sets it anew.
    Approvers {
        /// An approver, by a name for people and the public half of the key. Repeatable: all of them.
        #[arg(long = "approver", value_name = "NAME=KEY")]
        approvers: Vec<String>,
        /// How many of them have to sign a change.
        #[arg(long, value_name = "COUNT")]
        needed: Option<u32>,
    },
    /// Make an approver's key, and print its public half: hosts are told it by `patchyard-agent approvers add`.
    Key {
        /// The file, which must not be there yet. Keep it away from the server.
        file: PathBuf,
    },
}

/// `patchyard deployment ...`
#[derive(Debug, Subcommand)]
pub enum Deployment {
    /// List what a person has to look at: what failed, and what is installed and not in effect.
    List {
        /// All hosts of this change instead.
        #[arg(long)]
        change: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// One deployment: one change on one host.
    Show {
        /// Its id.
        deployment: String,
    },
    /// Print what the host's package manager said.
    Output {
        /// Its id.
        deployment: String,
    },
    /// Try again where it failed.
    Retry {
        /// Its id.
        deployment: String,
    },
    /// Take it back before it begins.
    Cancel {
        /// Its id.
        deployment: String,
    },
    /// Bring the former versions back, as a change of its own.
    BackOut {
        /// Its id.
        deployment: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Begin and leave, without watching.
        #[arg(long)]
        no_wait: bool,
    },
}
