//! `approvers`: people without whose signatures this host follows no order.

use super::say;
use agent::service::Places;
use agent::trust::{Approvers, PublicKey};
use anyhow::Result;
use std::fmt::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Change {
    /// Demand the signature of the one who has this Ed25519 key, too.
    Add {
        /// The public key, 64 hexadecimal digits.
        key: PublicKey,
    },
    /// Show whose signatures are demanded.
    List,
    /// Do not know this key any more.
    Remove {
        /// The public key, 64 hexadecimal digits.
        key: PublicKey,
    },
    /// Demand so many signatures; one, where nobody said.
    Need {
        /// How many.
        count: usize,
    },
}

pub(super) fn run(places: &Places, change: &Change) -> Result<ExitCode> {
    let approvers = match change {
        Change::Add { key } => Approvers::add(places, *key)?,
        Change::Remove { key } => Approvers::remove(places, *key)?,
        Change::Need { count } => Approvers::need(places, *count)?,
        Change::List => Approvers::read(places)?,
    };
    say(&screen(&approvers))?;
    Ok(ExitCode::SUCCESS)
}

fn screen(approvers: &Approvers) -> String {
    if approvers.keys().is_empty() {
        return "This host follows orders of its server without anybody else's signature.\n".to_owned();
    }
    let (needed, known) = (approvers.needed(), approvers.keys().len());
    let mut text = format!("This host follows no order that {needed} of these {known} have not signed:\n");
    for key in approvers.keys() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key}");
    }
    text
}
