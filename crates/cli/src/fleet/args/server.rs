//! Running a server and keeping it: `up`, `listen`, `enrol`, `storage`, `doctor`, `backup`, `restore`, `db`.

use super::Answering;
use clap::{Args, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// How to answer.
    #[command(flatten)]
    pub answering: Answering,
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
        /// How to answer.
        #[command(flatten)]
        answering: Answering,
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
    /// How to answer: as JSON each thing that is said is an object on a line of its own.
    #[command(flatten)]
    pub answering: Answering,
}

/// `patchyard install`
#[derive(Debug, Args)]
pub struct Install {
    /// How to answer.
    #[command(flatten)]
    pub answering: Answering,
}

/// `patchyard uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Remove data, caches, log-ins and the agent's state too.
    #[arg(long)]
    pub purge: bool,
    /// The data folder, where it is not the usual one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How to answer.
    #[command(flatten)]
    pub answering: Answering,
}

/// `patchyard listen`
#[derive(Debug, Args)]
pub struct Listen {
    /// Address and port, such as 192.0.2.10:8443 or [::]:8443.
    pub address: SocketAddr,
    /// The server's data folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How to answer.
    #[command(flatten)]
    pub answering: Answering,
}
