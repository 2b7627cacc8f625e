//! The command line of everything that has to do with a server: running one, and asking one.

mod fleet;
mod people;
mod rollout;
mod server;
mod source;

use crate::exit;
use clap::{Args, Subcommand};
use std::path::PathBuf;

pub use fleet::{AsOf, AtRisk, Coverage, Finding, Host, Standing, Update};
pub use people::{Audit, Authority, Login, Site, Tenant, Token, User};
pub use rollout::{Change, Deploy, Deployment, Reboot};
pub use server::{Backup, Database, Doctor, Enrol, Form, Install, Listen, Restore, Storage, Uninstall, Up};
pub use source::{Access, Add, SetAccess, Source};

/// Which server, and how to answer. Every command that asks a server takes these.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct Asking {
    /// The server to ask, by its address as `patchyard login` knows it [default: this machine's, else the last one].
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,

    /// The data folder of the server on this machine [default: /var/lib/patchyard, or the user's data folder].
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// The tenant to ask about, by name or id [default: the only one].
    #[arg(long, global = true, value_name = "TENANT")]
    pub tenant: Option<String>,

    /// Print JSON for programs.
    #[arg(long, global = true)]
    pub json: bool,

    /// Print a list as CSV (RFC 4180) for spreadsheets.
    #[arg(long, global = true, conflicts_with = "json")]
    pub csv: bool,
}

/// For whom an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences.
    People,
    /// The API's own JSON.
    Json,
    /// Lists as CSV.
    Csv,
}

impl Asking {
    /// For whom to print.
    pub fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (false, true) => Format::Csv,
            (false, false) => Format::People,
        }
    }
}

/// How a command answers that asks no server.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Answering {
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

impl Answering {
    /// For whom to print.
    pub fn format(self) -> Format {
        match self.json {
            true => Format::Json,
            false => Format::People,
        }
    }
}

/// Commands that ask a server.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Hosts: who there is, what each has and misses.
    Host(Of<Host>),
    /// Updates: what vendors published, and who misses it.
    Update(Of<Update>),
    /// Sources: where updates come from.
    Source(Of<Source>),
    /// Bring updates to hosts: shows what will happen, asks, and shows it happen until it is verified.
    #[command(after_help = exit::DEPLOY)]
    Deploy(With<Deploy>),
    /// Changes: what was approved for which hosts; stopping one, signing one.
    Change(Of<Change>),
    /// Deployments: how far each host is with a change, what its package manager said, the way back.
    Deployment(Of<Deployment>),
    /// Findings: which host misses which update, and why.
    Finding(Of<Finding>),
    /// What no verified source answers for, why, and what helps.
    Coverage(With<Coverage>),
    /// Tenants: customers or departments whose data nobody else sees.
    Tenant(Of<Tenant>),
    /// Sites: places of a tenant's hosts.
    Site(Of<Site>),
    /// Users: people who may log in.
    User(Of<User>),
    /// Tokens: what programs log in with.
    Token(Of<Token>),
    /// The audit trail: who did what.
    Audit(Of<Audit>),
    /// The root authority that agents trust: which there is, and changing it.
    Authority(Of<Authority>),
    /// Print one command that enrols another host, wait for it, and say what came of it.
    Enrol(With<Enrol>),
    /// Which hosts an update, a package range or a named vulnerability concerns, at once.
    AtRisk(With<AtRisk>),
    /// What takes room, how fast it grows, and how long the disk will do.
    Storage(Of<Storage>),
    /// What is wrong with the server and what to do about it, the worst first.
    #[command(after_help = exit::DOCTOR)]
    Doctor(With<Doctor>),
    /// What somebody who helps wants to see of the server, without secrets, as one archive to look through.
    SupportBundle(With<super::support::SupportBundle>),
    /// Backups: make, list and verify them.
    Backup(Of<Backup>),
    /// Make a data folder of a backup. Needs no running server.
    Restore(Restore),
    /// Databases: copy one into another.
    Db {
        /// What to do.
        #[command(subcommand)]
        command: Database,
    },
}

/// A command with parts, and which server it asks.
#[derive(Debug, Args)]
pub struct Of<T: Subcommand> {
    /// Which server.
    #[command(flatten)]
    pub asking: Asking,
    /// What to do.
    #[command(subcommand)]
    pub command: T,
}

/// A command without parts, and which server it asks.
#[derive(Debug, Args)]
pub struct With<T: Args> {
    /// Which server.
    #[command(flatten)]
    pub asking: Asking,
    /// What to do.
    #[command(flatten)]
    pub command: T,
}
