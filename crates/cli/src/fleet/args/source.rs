//! What may be asked and decided of sources: `source`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
    /// Add an apt repository that no host uses yet. Its release file is fetched and verified first.
    Add(Add),
    /// Adopt a source that hosts use.
    Adopt {
        /// Its id.
        source: String,
        /// Only hosts reach it: their agents carry what the archive signed.
        #[arg(long)]
        carried: bool,
    },
    /// Sync a source no more; what it published last keeps answering until it is too old.
    Pause {
        /// Its id.
        source: String,
    },
    /// Do not use a source, and do not propose it again.
    Decline {
        /// Its id.
        source: String,
    },
    /// Set what opens a private source, in place of what was set before; or remove it.
    Access(SetAccess),
    /// Sync now: one source, or all; wait and say what came of it.
    Sync {
        /// Its id.
        source: Option<String>,
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
    },
}

/// `patchyard source add`
#[derive(Debug, Args)]
pub struct Add {
    /// The archive's address, without a login: https://archive.example/debian/
    pub uri: String,
    /// The suite, such as bookworm; with a slash at its end, the folder of a flat repository.
    pub suite: String,
    /// The components, such as main; none of a flat repository.
    pub components: Vec<String>,
    /// The file with the keys that may sign it, binary or armoured.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// An architecture to fetch at once, such as amd64. Repeatable; those that hosts use are added by themselves.
    #[arg(long = "architecture", value_name = "ARCHITECTURE")]
    pub architectures: Vec<String>,
    #[command(flatten)]
    pub access: Access,
}

/// `patchyard source access`
#[derive(Debug, Args)]
pub struct SetAccess {
    /// Its id.
    pub source: String,
    /// Which of its addresses is opened [default: the first].
    #[arg(long, value_name = "URI")]
    pub uri: Option<String>,
    /// Remove what opens it.
    #[arg(long, conflicts_with_all = ["uri", "username", "client_certificate", "authorities"])]
    pub remove: bool,
    #[command(flatten)]
    pub access: Access,
}

/// What opens a private archive.
#[derive(Debug, Args)]
#[command(next_help_heading = "Private archives")]
pub struct Access {
    /// The user name.
    #[arg(long, requires = "password_stdin")]
    pub username: Option<String>,
    /// Read the password from standard input: on a command line everybody on this machine could see it.
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// A client certificate with its chain, PEM.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Its key, PEM, without a passphrase.
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// The authorities that the archive's own certificate may come from, PEM [default: those of the server's system].
    #[arg(long, value_name = "FILE")]
    pub authorities: Option<PathBuf>,
}
