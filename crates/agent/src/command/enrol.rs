//! `enrol`: takes the token, hands it to a process of the network user by a pipe (never by its arguments, which every user may
//! see), and says how it went.

use super::run::{as_network, collect, end_with_the_executor, make_folders, network_for_a_person, tell};
use super::{Arguments, say};
use agent::journal;
use agent::network::{self, NetworkError};
use agent::service::Places;
use agent::session::enrolled_elsewhere;
use agent::status::{self, Service};
use agent::trust::Server;
use anyhow::{Context, Result, bail};
use protocol::limits;
use protocol::token::EnrolmentToken;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The token that `patchyard enrol` printed, py1-...; arguments are seen by all users of this host, a file is not.
    #[arg(required_unless_present = "token_file", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token; - is standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, places: &Places, options: &Options) -> Result<ExitCode> {
    let _ = arguments.settings(places)?;
    let text = token_text(options)?;
    // A slip of the clipboard is told before anything changes.
    let token: EnrolmentToken = text.trim().parse()?;
    make_folders(places)?;
    if let Some(trouble) = journal::look(&places.identity())?
        .as_ref()
        .and_then(enrolled_elsewhere)
    {
        tell(&trouble)?;
        return Ok(ExitCode::FAILURE);
    }
    collect(places)?;
    // Before anything is asked: an answer that is lost now comes later, to the service.
    let server = Server::named(token.authority);
    server.write(places)?;
    let done = as_network(arguments, places, "--enrol", Some(&text))?;
    if let Some(memory) = journal::look(&places.identity())? {
        server.enrolled(&memory).write(places)?;
    }
    Ok(done)
}

fn token_text(options: &Options) -> Result<String> {
    let Some(path) = &options.token_file else {
        return Ok(options.token.clone().unwrap_or_default());
    };
    let mut text = String::new();
    let limit = limits::TOKEN_BYTES as u64 + 64;
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .with_context(|| format!("cannot open the token file {}", path.display()))?
            .take(limit)
            .read_to_string(&mut text)
    };
    read.context("cannot read the token")?;
    if text.trim().is_empty() {
        bail!("the token file is empty; copy the token that `patchyard enrol` printed into it");
    }
    Ok(text)
}

/// The network process's part.
pub(super) fn network(arguments: &Arguments, places: &Places) -> Result<ExitCode> {
    end_with_the_executor()?;
    let mut text = String::new();
    std::io::stdin()
        .take(limits::TOKEN_BYTES as u64 + 64)
        .read_to_string(&mut text)
        .context("cannot read the token")?;
    let token: EnrolmentToken = text.trim().parse()?;
    match network::enrol(&mut network_for_a_person(arguments, places)?, token) {
        Ok(standing) => {
            let host = standing.host.unwrap_or_default();
            let server = standing.server.unwrap_or_default();
            let site = agent::shown::harmless(&standing.site.unwrap_or_default(), 100);
            say(&format!(
                "This host is enrolled with {server} in the site {site:?}, as {host}.\n"
            ))?;
            for trouble in &standing.troubles {
                tell(trouble)?;
            }
            if status::service(places) == Service::Stopped {
                say(
                    "Next: start the agent with `systemctl enable --now patchyard-agent`, or `patchyard-agent run`.\n",
                )?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(NetworkError::NotEnrolled { trouble }) => {
            tell(&trouble)?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}
