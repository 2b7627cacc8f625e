//! The command line: what may be said, and what it means. Doing it is for the other modules.

use crate::exit;
#[cfg(feature = "server")]
use crate::fleet;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Keeps fleets patched, and proves it.
#[derive(Debug, Parser)]
#[command(name = "patchyard", version, max_term_width = 110, after_help = exit::ALL)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this host is missing, and why, from signed package lists. Changes nothing, needs no root.
    Scan(ScanArgs),

    /// Run the server of this data folder, and an agent on this machine. Ctrl-C stops; the same command resumes.
    #[cfg(feature = "server")]
    Up(fleet::args::Up),
    /// Say on which address the server listens from its next start on.
    #[cfg(feature = "server")]
    Listen(fleet::args::Listen),
    /// Make the server a service of this machine, from a package of its own. Needs root.
    #[cfg(feature = "server")]
    Install(fleet::args::Install),
    /// Remove the service; with --purge everything that Patchyard keeps on this machine too.
    #[cfg(feature = "server")]
    Uninstall(fleet::args::Uninstall),
    /// Log in to a server on another machine; later commands ask it.
    #[cfg(feature = "server")]
    Login(fleet::args::Login),
    /// Print what a shell needs to complete these commands.
    #[cfg(feature = "server")]
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    #[cfg(feature = "server")]
    #[command(flatten)]
    Fleet(fleet::args::FleetCommand),
}

/// How to scan.
#[derive(Debug, Args)]
#[command(after_help = exit::SCAN)]
pub struct ScanArgs {
    /// Assess the file tree in DIR (a chroot, a mounted image, a backup) by the sources, keys, pins and packages in it.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Fetch the configured sources into Patchyard's own cache first, instead of using the host's own package lists.
    #[arg(long)]
    pub refresh: bool,

    /// Ask apt itself what an upgrade would do (apt-get -s upgrade and dist-upgrade), to tell what it would keep back.
    #[arg(long)]
    pub simulate: bool,

    /// Show security updates only.
    #[arg(long)]
    pub security: bool,

    /// Explain one package: the chain of facts that leads to its verdict. Takes NAME or NAME:ARCHITECTURE.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["json", "security"])]
    pub explain: Option<String>,

    /// Print the whole result as JSON (schema patchyard.scan/1).
    #[arg(long)]
    pub json: bool,

    /// Exit with a code of its own if such updates are missing, or the host could not be assessed in full.
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,

    /// Where compiled indexes and fetched files are kept [default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// When to colour the output.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
}

/// What `--fail-on` watches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A security update is missing.
    Security,
    /// Any update is missing.
    Any,
    /// Some package could not be assessed.
    Unknown,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// If it goes to a terminal and NO_COLOR is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
