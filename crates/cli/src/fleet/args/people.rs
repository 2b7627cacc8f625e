//! Who may do what where: `tenant`, `site`, `user`, `token`, `audit`, `login`.

use super::Answering;
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
    /// Serve a tenant's people no longer; everything is kept.
    Suspend {
        /// Its name or id.
        name: String,
    },
    /// Serve a suspended tenant again.
    Resume {
        /// Its name or id.
        name: String,
    },
    /// Write everything of a tenant into a file: a line of JSON for each row.
    Export {
        /// Its name or id.
        name: String,
        /// The file, which must not be there yet.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Remove a suspended tenant and everything of it, after its export was taken.
    Remove {
        /// Its name, as it is written.
        name: String,
        /// The export that was taken last.
        #[arg(long, value_name = "FILE")]
        export: PathBuf,
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
    /// Print everything that is kept of a person, as JSON.
    Person {
        /// Name or id.
        user: String,
    },
    /// Erase a person: log-ins, grants, tokens, and what audit records say of them. What was done stays under an id.
    Erase {
        /// The name, as it is written.
        user: String,
    },
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
        /// Its name or id.
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
    /// Print a signed checkpoint of all chains: kept on another machine, it is an anchor that nobody here can change.
    Checkpoint,
    /// Follow the chains of records from their beginning, and say what that proves. With --tenant, that tenant's alone.
    Verify {
        /// A checkpoint that was kept elsewhere.
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
        /// The SHA-256 of the authority that signed the anchor, where it is a former one of the server.
        #[arg(long, value_name = "HEX", requires = "anchor")]
        authority: Option<String>,
    },
}

/// `patchyard authority ...`
#[derive(Debug, Subcommand)]
pub enum Authority {
    /// The present root authority, the next or the former one, and how many hosts do not know both.
    Show,
    /// Make the next root authority, and tell every agent of it ahead of time.
    Prepare,
    /// Let the prepared root take the present one's place.
    Switch,
    /// Forget the former root: hosts that know only that one have to be enrolled anew.
    Retire {
        /// How many hosts are left behind, as `show` counts them.
        #[arg(long, value_name = "HOSTS", default_value_t = 0)]
        leaves_behind: u64,
    },
}

/// `patchyard login`
#[derive(Debug, Args)]
pub struct Login {
    /// The server's address, or a one-time link.
    pub address: String,
    /// A file with an API token, `-` for standard input [default: asks].
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub token_file: Option<PathBuf>,
    /// Log in as this user instead, with password and code; ends after 12 hours, or one without a question.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The SHA-256 of the certificate of the server's authority, as `patchyard up` prints it [default: shows it and asks].
    #[arg(long, value_name = "HEX")]
    pub authority: Option<String>,
    /// How to answer.
    #[command(flatten)]
    pub answering: Answering,
}
