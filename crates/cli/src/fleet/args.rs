//! The command line of everything that has to do with a server: running one, and asking one.

use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// Findings: which host misses which update, and why.
    Finding(Of<Finding>),
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
    /// Print one command that enrols another host, wait for it, and say what came of it.
    Enrol(With<Enrol>),
    /// Which hosts an update, a package range or a named vulnerability concerns, at once.
    AtRisk(With<AtRisk>),
    /// What takes room, how fast it grows, and how long the disk will do.
    Storage(Of<Storage>),
    /// What is wrong with the server and what to do about it, the worst first.
    #[command(after_help = DOCTOR_CODES)]
    Doctor(With<Doctor>),
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

const DOCTOR_CODES: &str = "\
Exit codes:
  0  all is well
  1  the server could not be asked; the message says what to do
  3  something will become a fault
  4  something does not work";

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

/// A moment of the past.
#[derive(Debug, Clone, Args)]
pub struct AsOf {
    /// Answer as it was known at this moment (RFC 3339, such as 2026-05-01T12:00:00Z).
    #[arg(long, value_name = "MOMENT")]
    pub as_of: Option<jiff::Timestamp>,
}

/// `patchyard host ...`
#[derive(Debug, Subcommand)]
pub enum Host {
    /// List hosts.
    List {
        /// Only hosts of this site.
        #[arg(long)]
        site: Option<String>,
        /// Only hosts with this tag.
        #[arg(long)]
        tag: Option<String>,
        /// Only hosts with this in their name; `web*` for those that begin so.
        #[arg(long)]
        name: Option<String>,
        /// Only hosts that stand so.
        #[arg(long)]
        standing: Option<Standing>,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// One host: its facts and how it stands.
    Show {
        /// Name or id.
        host: String,
    },
    /// What is installed on a host.
    Packages {
        /// Name or id.
        host: String,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// When a host reported something new, and what.
    History {
        /// Name or id.
        host: String,
    },
    /// What a host is missing.
    Findings {
        /// Name or id.
        host: String,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// Let a host in that waits for approval.
    Approve {
        /// Name or id.
        host: String,
    },
    /// Move a host to another site.
    Move {
        /// Name or id.
        host: String,
        /// The site.
        #[arg(long)]
        site: String,
    },
    /// Take a host out of service; its history stays.
    Retire {
        /// Name or id.
        host: String,
    },
    /// Say that two entries are one host: the first keeps the history of both.
    Merge {
        /// The entry that stays.
        host: String,
        /// The entry that goes.
        #[arg(long, value_name = "HOST")]
        with: String,
    },
}

/// How a host stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Standing {
    /// Everything is assessed and nothing is missing.
    UpToDate,
    /// Updates are missing.
    UpdatesMissing,
    /// Not everything could be assessed.
    Unknown,
}

/// `patchyard update ...`
#[derive(Debug, Subcommand)]
pub enum Update {
    /// List updates that hosts miss, the most urgent first.
    List {
        /// Only of this source package.
        #[arg(long, value_name = "SOURCE")]
        package: Option<String>,
        /// Security updates only.
        #[arg(long)]
        security: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// One update.
    Show {
        /// Its id.
        update: String,
    },
    /// The hosts that miss an update.
    Hosts {
        /// Its id.
        update: String,
        #[command(flatten)]
        as_of: AsOf,
    },
}

/// `patchyard source ...`
#[derive(Debug, Subcommand)]
pub enum Source {
    /// List sources: adopted ones and those that hosts use and nobody adopted yet.
    List,
    /// One source.
    Show {
        /// Its id.
        source: String,
    },
    /// Adopt a source that hosts use.
    Adopt {
        /// Its id.
        source: String,
    },
    /// Sync now: one source, or all.
    Sync {
        /// Its id.
        source: Option<String>,
    },
}

/// `patchyard finding ...`
#[derive(Debug, Subcommand)]
pub enum Finding {
    /// List what hosts miss: of all hosts by update, or of one by package.
    List {
        /// Of this host.
        #[arg(long)]
        host: Option<String>,
        /// Security updates only.
        #[arg(long)]
        security: bool,
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// The chain of facts behind one package of one host, present or missing.
    Explain {
        /// Name or id of the host.
        host: String,
        /// NAME or NAME:ARCHITECTURE.
        package: String,
    },
}

/// `patchyard tenant ...`
#[derive(Debug, Subcommand)]
pub enum Tenant {
    /// List tenants.
    List,
    /// Make a tenant.
    Add {
        /// Its name.
        name: String,
    },
}

/// `patchyard site ...`
#[derive(Debug, Subcommand)]
pub enum Site {
    /// List sites.
    List,
    /// Make a site.
    Add {
        /// Its name.
        name: String,
    },
}

/// `patchyard user ...`
#[derive(Debug, Subcommand)]
pub enum User {
    /// List users.
    List,
    /// Print a one-time link (30 minutes) by which a person sets name and password.
    Link,
}

/// `patchyard token ...`
#[derive(Debug, Subcommand)]
pub enum Token {
    /// List tokens.
    List,
    /// Make a token. It is shown once.
    Add {
        /// What it is for.
        name: String,
        /// Days that it lives.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// What it may do, such as read:host. Repeatable; nothing else is allowed.
        #[arg(long = "may", value_name = "VERB:NOUN", required = true)]
        may: Vec<String>,
    },
    /// End a token now.
    Revoke {
        /// Its id.
        token: String,
    },
}

/// `patchyard audit ...`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List audit records, the newest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Check the chain of records from its beginning.
    Verify,
}

/// `patchyard enrol`
#[derive(Debug, Args)]
pub struct Enrol {
    /// The site that the host will belong to.
    #[arg(long, default_value = "main")]
    pub site: String,
    /// How many hosts may use the command.
    #[arg(long, default_value_t = 1)]
    pub hosts: u32,
    /// Hours that it can be used.
    #[arg(long, default_value_t = 24)]
    pub hours: u32,
    /// An address of this server as other hosts reach it, with its port [default: found out].
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// In which form to print it.
    #[arg(long, value_enum, default_value = "command")]
    pub form: Form,
    /// Run it on the hosts named in FILE, a line each, over your own ssh.
    #[arg(long, value_name = "FILE", conflicts_with = "form")]
    pub ssh: Option<PathBuf>,
    /// Print and leave, without waiting for the host.
    #[arg(long)]
    pub no_wait: bool,
}

/// The form of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One command for a shell.
    Command,
    /// User data of cloud-init.
    CloudInit,
    /// An Ansible play.
    Ansible,
    /// The token alone.
    Token,
}

/// `patchyard at-risk`
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct AtRisk {
    /// An update, by its id.
    #[arg(long)]
    pub update: Option<String>,
    /// A package and the first version that is safe: `openssl<3.0.22-1`, or `source:openssl<3.0.22-1` for all of a source. Repeatable.
    #[arg(long, value_name = "PACKAGE<VERSION")]
    pub package: Vec<String>,
    /// What the question is about, such as CVE-2026-1234; shown with the answer.
    #[arg(long, value_name = "CVE", requires = "package")]
    pub cve: Option<String>,
}

/// `patchyard storage ...`
#[derive(Debug, Subcommand)]
pub enum Storage {
    /// What takes room.
    Show,
    /// Remove what nothing refers to any more.
    Gc {
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
}

/// `patchyard doctor`
#[derive(Debug, Args)]
pub struct Doctor {}

/// `patchyard backup ...`
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Make one below the server's data folder, and verify it.
    Create {
        /// Its name: letters, digits, hyphens and underscores [default: the time].
        name: Option<String>,
        /// The files of the content store too, not their list only.
        #[arg(long)]
        content: bool,
        /// The master key too: the backup alone is enough to be the server then, for a thief too.
        #[arg(long)]
        with_master_key: bool,
    },
    /// List those that were made, the newest first.
    List,
    /// Hold every file of a backup against its manifest. Needs no running server.
    Verify {
        /// The backup's folder.
        folder: PathBuf,
    },
}

/// `patchyard restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup's folder.
    pub backup: PathBuf,
    /// The data folder to make; it must not be there, or be empty.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The master key, where it is not in the backup: `keys/master.key` of the old data folder.
    #[arg(long, value_name = "FILE")]
    pub master_key: Option<PathBuf>,
}

/// `patchyard db ...`
#[derive(Debug, Subcommand)]
pub enum Database {
    /// Copy every row into an empty database, and compare counts and digests. No server may use either meanwhile.
    Copy {
        /// The database that there is: `sqlite:/path/of/the.db` or `postgres://user@host/database`.
        from: String,
        /// The database to fill.
        to: String,
    },
}

/// `patchyard up`
#[derive(Debug, Args)]
pub struct Up {
    /// Where everything is kept [default: /var/lib/patchyard, or the user's data folder].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Do not enrol this machine.
    #[arg(long)]
    pub no_agent: bool,
    /// The agent's Debian package, for hosts that have none yet [default: patchyard-agent.deb beside this program].
    #[arg(long, value_name = "FILE")]
    pub agent_package: Option<PathBuf>,
}

/// `patchyard listen`
#[derive(Debug, Args)]
pub struct Listen {
    /// Address and port, such as 192.0.2.10:8443 or [::]:8443.
    pub address: SocketAddr,
    /// The server's data folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `patchyard login`
#[derive(Debug, Args)]
pub struct Login {
    /// The server's address, or a one-time link.
    pub address: String,
    /// A file with an API token, `-` for standard input [default: asks].
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The SHA-256 of the certificate of the server's authority, as `patchyard up` prints it [default: shows it and asks].
    #[arg(long, value_name = "HEX")]
    pub authority: Option<String>,
}
