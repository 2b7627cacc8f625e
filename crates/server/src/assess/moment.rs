//! One host's documents of one moment, with the channels that they meant then: what everything that looks at one host
//! closely begins with.

use super::channels::Channels;
use super::documents::{keys_named, read_config};
use super::force::InForce;
use super::load::{self, LoadError};
use crate::Context;
use crate::catalog::row;
use domain::assess::findings::Subject;
use domain::assess::phasing::InChroot;
use domain::digest::Sha256Digest;
use domain::host::inventory::Inventory;
use domain::id::HostId;
use jiff::Timestamp;
use protocol::document::Document as _;
use protocol::document::facts::FactsDocument;
use sources::apt::channels::Keyrings;
use std::collections::HashMap;
use std::sync::Arc;
use store::document::DocumentKind;
use store::{Scope, View, Whole, host, host_document, snapshot};

/// What was known of a host at a moment.
#[derive(Debug)]
pub enum Known {
    /// There is no such host.
    NoHost,
    /// It had not reported.
    Nothing,
    /// This.
    Moment(Box<Moment>),
}

/// A host's documents of one moment, with the channels that they meant then.
#[derive(Debug)]
pub struct Moment {
    /// Its sources with the snapshots in force.
    pub channels: Channels,
    /// What it had.
    pub inventory: Inventory,
    /// What of its own files could not be followed.
    pub doubts: Vec<String>,
    /// When it was seen so, by its own account.
    pub observed_at: Timestamp,
    /// When the server learned it.
    pub received_at: Timestamp,
    /// The adopted sources with their snapshots.
    pub in_force: InForce,
    machine_id: Option<String>,
    in_chroot: InChroot,
}

impl Moment {
    /// The host as an assessment takes it.
    pub fn subject(&self) -> Subject<'_> {
        Subject::new(
            &self.channels.host.config,
            &self.inventory,
            self.machine_id.clone(),
            self.in_chroot,
        )
    }
}

/// The documents that were a host's at a moment, as rows.
struct Documents {
    inventory: Vec<u8>,
    inventory_digest: Sha256Digest,
    config: Vec<u8>,
    config_digest: Sha256Digest,
    facts: Option<Vec<u8>>,
    key_files: HashMap<Sha256Digest, Arc<[u8]>>,
    in_force: InForce,
    observed_at: Timestamp,
    received_at: Timestamp,
}

/// What there is of a host.
enum Found {
    NoHost,
    Nothing,
    Documents(Box<Documents>),
}

/// What is known of a host now, or was at this moment.
///
/// # Errors
/// Of the database, and of documents that cannot be read.
pub async fn known_at(
    context: &Context,
    scope: Scope,
    id: HostId,
    as_of: Option<Timestamp>,
) -> Result<Known, LoadError> {
    let found = context
        .db
        .attempt_read(move |view| documents(view, &scope, id, as_of))
        .await?;
    let documents = match found {
        Found::NoHost => return Ok(Known::NoHost),
        Found::Nothing => return Ok(Known::Nothing),
        Found::Documents(documents) => documents,
    };
    let content = context.content.clone();
    let at = as_of.unwrap_or_else(|| context.clock.now());
    let looking = tokio::task::spawn_blocking(move || resolve(*documents, &content, at));
    let moment = looking.await.expect("looking at a host does not panic")?;
    Ok(Known::Moment(Box::new(moment)))
}

fn documents(
    view: &mut View,
    scope: &Scope,
    id: HostId,
    as_of: Option<Timestamp>,
) -> Result<Found, LoadError> {
    if host::get(view, scope, id)?.is_none() {
        return Ok(Found::NoHost);
    }
    let at = as_of.unwrap_or(Timestamp::MAX);
    let inventory = host_document::as_of(view, scope, id, DocumentKind::Inventory, at)?;
    let config = host_document::as_of(view, scope, id, DocumentKind::ChannelConfig, at)?;
    let facts = host_document::as_of(view, scope, id, DocumentKind::Facts, at)?;
    let (Some(inventory), Some(config)) = (inventory, config) else {
        return Ok(Found::Nothing);
    };
    let inventory_bytes = load::bytes_of(view, scope, inventory.digest)?;
    let config_bytes = load::bytes_of(view, scope, config.digest)?;
    let (Some(inventory_bytes), Some(config_bytes)) = (inventory_bytes, config_bytes) else {
        return Ok(Found::Nothing);
    };
    let facts = match facts {
        Some(facts) => load::bytes_of(view, scope, facts.digest)?,
        None => None,
    };
    let mut key_files = HashMap::new();
    for key in keys_named(&load::read_channel_config(config.digest, &config_bytes)?) {
        if let Some(bytes) = load::bytes_of(view, scope, key)? {
            key_files.insert(key, bytes.into());
        }
    }
    let snapshots = match as_of {
        Some(at) => snapshot::as_of(view, scope, at)?,
        None => snapshot::in_force(view, &Whole::server())?,
    };
    let mut in_force = row::in_force(view, scope, snapshots)?;
    if let Some(at) = as_of {
        in_force = in_force.as_known_at(at);
    }
    Ok(Found::Documents(Box::new(Documents {
        inventory: inventory_bytes,
        inventory_digest: inventory.digest,
        config: config_bytes,
        config_digest: config.digest,
        facts,
        key_files,
        in_force,
        observed_at: inventory.observed_at,
        received_at: inventory.received_at,
    })))
}

fn resolve(documents: Documents, content: &content::Store, at: Timestamp) -> Result<Moment, LoadError> {
    let config = load::read_channel_config(documents.config_digest, &documents.config)?;
    let in_chroot = match config.in_chroot {
        true => InChroot::Yes,
        false => InChroot::No,
    };
    let read = read_config(config, &documents.key_files);
    let inventory = load::read_inventory(documents.inventory_digest, &documents.inventory)?;
    let facts = documents
        .facts
        .as_deref()
        .and_then(|bytes| FactsDocument::parse_kept(bytes).ok());
    Ok(Moment {
        channels: Channels::resolve(
            Arc::new(read.host),
            &documents.in_force,
            &Keyrings::default(),
            content,
            at,
        ),
        inventory,
        doubts: read.doubts,
        machine_id: facts.and_then(|facts| facts.system.machine_id),
        in_chroot,
        observed_at: documents.observed_at,
        received_at: documents.received_at,
        in_force: documents.in_force,
    })
}
