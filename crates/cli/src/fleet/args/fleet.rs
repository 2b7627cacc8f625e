//! What may be asked of hosts, and of what they miss: `host`, `update`, `finding`, `at-risk`, `coverage`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

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
        #[command(flatten)]
        as_of: AsOf,
    },
    /// One host: its facts and how it stands.
    Show {
        /// Name or id.
        host: String,
        #[command(flatten)]
        as_of: AsOf,
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
    /// Which packages were changed on a host, and by whom: Patchyard, another tool or a person.
    Changes {
        /// Name or id.
        host: String,
        /// At most so many, the last noted first.
        #[arg(long, default_value_t = 200)]
        limit: usize,
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
    /// Move a host to another site, of another tenant too; its history stays with the old tenant.
    Move {
        /// Name or id.
        host: String,
        /// The site.
        #[arg(long)]
        site: String,
        /// The tenant of that site, by name or id [default: the host's own].
        #[arg(long, value_name = "TENANT")]
        to_tenant: Option<String>,
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
        #[command(flatten)]
        as_of: AsOf,
    },
    /// One update.
    Show {
        /// Its source package, SOURCE=VERSION, or its id.
        update: String,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// The hosts that miss an update.
    Hosts {
        /// Its source package, SOURCE=VERSION, or its id.
        update: String,
        #[command(flatten)]
        as_of: AsOf,
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
        #[command(flatten)]
        as_of: AsOf,
    },
}

/// `patchyard coverage`
#[derive(Debug, Args)]
pub struct Coverage {
    /// Of this host alone, by name or id: each of its sources, and each package that nobody answers for.
    #[arg(long)]
    pub host: Option<String>,
    /// At most so many gaps, those that concern most hosts first.
    #[arg(long, default_value_t = 1000)]
    pub limit: usize,
    #[command(flatten)]
    pub as_of: AsOf,
}

/// `patchyard at-risk`
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["update", "package"]))]
pub struct AtRisk {
    /// An update: its source package, SOURCE=VERSION, or its id.
    #[arg(long)]
    pub update: Option<String>,
    /// A package and the first version that is safe: `openssl<3.0.22-1`, or `source:openssl<3.0.22-1` for all of a source. Repeatable.
    #[arg(long, value_name = "PACKAGE<VERSION")]
    pub package: Vec<String>,
    /// What the question is about, such as CVE-2026-1234; shown with the answer.
    #[arg(long, value_name = "CVE", requires = "package")]
    pub cve: Option<String>,
    #[command(flatten)]
    pub as_of: AsOf,
}
