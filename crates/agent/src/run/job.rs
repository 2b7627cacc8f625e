//! What a transaction is told, in a file of the order's folder: the order as it was verified, and until when.

use super::kept;
use crate::kept::{Form, PrivateFolder};
use crate::packages::Trouble;
use domain::identity::time::BootClock;
use domain::order::Order;
use domain::rollout::deployment::Failure;
use protocol::order::OrderDocument;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const NAME: &str = "job";
const FORM: Form = Form {
    word: "job",
    version: 1,
    longest: 32 << 20,
};

/// What a transaction is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// The order.
    pub(crate) order: Order,
    /// The agent's program.
    pub(crate) program: PathBuf,
    /// The words before its own.
    pub(crate) words: Vec<String>,
    /// By the clock of this boot, dpkg is not started at this moment or later. Each start says it anew.
    pub(crate) latest_boot_micros: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    order: OrderDocument,
    program: PathBuf,
    words: Vec<String>,
    latest_boot_micros: u64,
}

impl Job {
    /// Whether dpkg may still be started.
    pub(crate) fn may_begin(&self, now: BootClock) -> bool {
        now.micros < self.latest_boot_micros
    }

    /// Keeps it.
    pub(crate) fn write(&self, own: &PrivateFolder) -> Result<(), Trouble> {
        let shape = Shape {
            order: OrderDocument::of(&self.order),
            program: self.program.clone(),
            words: self.words.clone(),
            latest_boot_micros: self.latest_boot_micros,
        };
        let body = serde_json::to_vec(&shape).map_err(|_| {
            Trouble::new(
                Failure::PackageManager,
                "the agent's program has a name that is no text",
            )
        })?;
        own.write(NAME, FORM, &body).map_err(|error| kept(&error))
    }

    /// Reads it back.
    pub(crate) fn read(folder: &Path) -> Result<Self, Trouble> {
        let missing = || {
            Trouble::new(
                Failure::PackageManager,
                "there is no transaction in the order's folder",
            )
        };
        let own = PrivateFolder::look(folder)
            .map_err(|error| kept(&error))?
            .ok_or_else(missing)?;
        let body = own
            .read(NAME, FORM)
            .map_err(|error| kept(&error))?
            .ok_or_else(missing)?;
        let shape: Shape = serde_json::from_slice(&body).map_err(|error| {
            Trouble::new(
                Failure::PackageManager,
                &format!("the transaction's file is not understood: {error}"),
            )
        })?;
        Ok(Self {
            order: shape.order.into_order(),
            program: shape.program,
            words: shape.words,
            latest_boot_micros: shape.latest_boot_micros,
        })
    }
}
