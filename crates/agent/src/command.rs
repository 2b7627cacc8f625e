//! The words of the command line, and what each does.

mod approvers;
mod enrol;
mod run;
mod transact;

use crate::{now, variable};
use agent::mode::{self, Mode};
use agent::service::log::Log;
use agent::service::{Places, ROOT_SETTINGS, ROOT_STATE, Settings};
use agent::trust::Server;
use agent::{journal, prepare_image, status};
use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Patchyard's agent: tells a Patchyard server what is installed on this host.
#[derive(Debug, Parser)]
#[command(name = "patchyard-agent", version)]
pub struct Arguments {
    /// The folder with everything that the agent keeps.
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The settings file.
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Write the log to this file, which never grows above 1 MiB (the one before it stays as FILE.1).
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Enrol this host with the server that made the token.
    Enrol(enrol::Options),
    /// Run until stopped: check in, and send what the server does not have.
    Run,
    /// Read the host and check in once.
    Once,
    /// Say how things stand.
    Status {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Show or set what this host allows at most: monitor, download, install or full.
    Mode {
        /// The new ceiling.
        mode: Option<Mode>,
    },
    /// Show or set whose signatures this host demands of each order, besides its server's.
    Approvers {
        #[command(subcommand)]
        change: approvers::Change,
    },
    /// Follow orders for the identity that this host has now, after it was found to be a copy of another.
    Confirm,
    /// Remove the identity and keep the settings, so that an image made of this host enrols as itself.
    PrepareImage,
    /// Give up this host's identity.
    Forget {
        /// Also remove the settings and everything else that the agent keeps.
        #[arg(long)]
        purge: bool,
    },
    /// Read the host into the outbox; the executor starts this.
    #[command(hide = true)]
    Collect,
    /// Carry out an order that may begin; the executor starts this in a unit of its own.
    #[command(hide = true)]
    Transact {
        /// The order's number.
        number: u64,
    },
    /// Say whether what apt is about to do is what was ordered; apt asks before it starts dpkg.
    #[command(hide = true)]
    Hook {
        /// The order's number.
        number: u64,
    },
    /// Talk to the server; the executor starts this under another user.
    #[command(hide = true)]
    Network {
        /// One round, and no executor to ask.
        #[arg(long)]
        once: bool,
        /// Enrol with the token on standard input.
        #[arg(long, conflicts_with = "once")]
        enrol: bool,
    },
}

impl Arguments {
    /// Does what was asked for.
    pub fn run(self) -> Result<ExitCode> {
        let places = self.places()?;
        match &self.word {
            Word::Enrol(options) => enrol::run(&self, &places, options),
            Word::Run => run::service(&self, &places),
            Word::Once => run::once(&self, &places),
            Word::Status { json } => show_status(&places, *json),
            Word::Mode { mode } => change_mode(&places, *mode),
            Word::Approvers { change } => approvers::run(&places, change),
            Word::Confirm => confirm(&places),
            Word::PrepareImage => prepare(&places),
            Word::Forget { purge } => forget(&places, *purge),
            Word::Collect => run::collect(&places),
            Word::Transact { number } => transact::transact(&places, *number),
            Word::Hook { number } => transact::answer(&places, *number),
            Word::Network { once: true, .. } => run::network_once(&self, &places),
            Word::Network { enrol: true, .. } => enrol::network(&self, &places),
            Word::Network { .. } => run::network(&self, &places),
        }
    }

    /// Root's agent is the host's; anybody else's is a private one in the person's own folders.
    fn places(&self) -> Result<Places> {
        let is_root = is_root();
        let state = match (&self.state, is_root) {
            (Some(state), _) => std::path::absolute(state).context("cannot tell where --state is")?,
            (None, true) => PathBuf::from(ROOT_STATE),
            (None, false) => own_folder("XDG_STATE_HOME", ".local/state")?,
        };
        let settings = match (&self.settings, is_root) {
            (Some(settings), _) => {
                std::path::absolute(settings).context("cannot tell where --settings is")?
            }
            (None, true) => PathBuf::from(ROOT_SETTINGS),
            // Its parent names the settings if there are any. It runs as another user, whose own folders, if there
            // are any, are not meant, and under a service manager it has none.
            (None, false) if matches!(self.word, Word::Network { .. }) => state.join("agent.toml"),
            (None, false) => own_folder("XDG_CONFIG_HOME", ".config")?.join("agent.toml"),
        };
        Ok(Places { state, settings })
    }

    fn log(&self) -> Log {
        self.log.as_deref().map_or(Log::StandardError, Log::to_file)
    }

    fn settings(&self, places: &Places) -> Result<Settings> {
        let settings = Settings::read(&places.settings)?;
        ensure!(
            self.settings.is_none() || places.settings.exists(),
            "the settings {} do not exist",
            places.settings.display()
        );
        Ok(settings)
    }

    /// The words that say where everything is, for the processes that this one starts.
    fn for_children(&self, places: &Places) -> Vec<std::ffi::OsString> {
        let mut words = vec!["--state".into(), places.state.clone().into_os_string()];
        if self.settings.is_some() || places.settings.exists() {
            words.extend(["--settings".into(), places.settings.clone().into_os_string()]);
        }
        if let Some(log) = &self.log {
            let log = std::path::absolute(log).unwrap_or_else(|_| log.clone());
            words.extend(["--log".into(), log.into_os_string()]);
        }
        words
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn own_folder(name: &str, below_home: &str) -> Result<PathBuf> {
    let folder = match variable(name).filter(|folder| folder.starts_with('/')) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let home = variable("HOME").context("HOME is not set; name a folder with --state")?;
            PathBuf::from(home).join(below_home)
        }
    };
    Ok(folder.join("patchyard-agent"))
}

/// Prints for the person; a closed pipe is no fault.
fn say(text: &str) -> Result<()> {
    match write!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("cannot print"),
    }
}

fn show_status(places: &Places, json: bool) -> Result<ExitCode> {
    let standing = status::read(places)?;
    let service = status::service(places);
    let ceiling = mode::read(places);
    let board = status::orders(places)?;
    if json {
        let mut value = serde_json::to_value(&standing).context("cannot write the status")?;
        if let Some(fields) = value.as_object_mut() {
            let runs = service == status::Service::Runs;
            fields.insert("service_runs".to_owned(), runs.into());
            fields.insert("mode".to_owned(), ceiling.word().into());
            let orders = serde_json::to_value(&board.reports).context("cannot write the status")?;
            fields.insert("orders".to_owned(), orders);
            fields.insert("order_troubles".to_owned(), board.troubles.clone().into());
        }
        say(&format!("{value}\n"))?;
    } else {
        say(&status::screen(
            standing.as_ref(),
            service,
            ceiling,
            &board,
            now(),
        ))?;
    }
    let is_fine = board.troubles.is_empty()
        && standing.is_some_and(|standing| standing.state == "enrolled" && standing.troubles.is_empty());
    Ok(if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn change_mode(places: &Places, wanted: Option<Mode>) -> Result<ExitCode> {
    if let Some(wanted) = wanted {
        mode::set(places, wanted)?;
    }
    let ceiling = mode::read(places);
    say(&format!("{ceiling}: {}\n", ceiling.meaning()))?;
    Ok(ExitCode::SUCCESS)
}

fn confirm(places: &Places) -> Result<ExitCode> {
    let server =
        Server::read(places)?.context("root has not enrolled this host; run `patchyard-agent enrol`")?;
    let memory = journal::look(&places.identity())?;
    let host = memory.and_then(|memory| memory.host());
    let host = host.context("this host has no identity; run `patchyard-agent enrol`")?;
    server.confirmed(host).write(places)?;
    say(&format!("This host follows orders for {host}.\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn prepare(places: &Places) -> Result<ExitCode> {
    prepare_image::prepare(places)?;
    say(
        "The identity is gone, the settings are kept: a host made from this image enrols as itself.\n\
         Next: stop the agent from starting before the image is made, and empty /etc/machine-id as for any image.\n",
    )?;
    Ok(ExitCode::SUCCESS)
}

fn forget(places: &Places, purge: bool) -> Result<ExitCode> {
    if purge {
        prepare_image::purge(places)?;
        say("Everything that the agent kept is gone.\n")?;
    } else {
        prepare_image::prepare(places)?;
        say(
            "This host has no identity any more. The server still lists it: retire it there with `patchyard host retire`.\n",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
