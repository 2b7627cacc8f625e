//! The server's card as agents know it by its digest, and where they are told to find the server.

use crate::authority::Authority;
use crate::context::Context;
use crate::settings::Settings;
use domain::digest::Sha256Digest;
use protocol::address::ServerAddress;
use protocol::card::ServerCard;
use std::sync::Arc;

/// The card in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// What it says.
    pub card: ServerCard,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Sha256Digest,
}

impl Card {
    pub(super) fn new(authority: &Authority, addresses: &[ServerAddress]) -> Arc<Self> {
        let card = authority.card(addresses);
        Arc::new(Self {
            bytes: card.to_bytes(),
            digest: card.digest(),
            card,
        })
    }
}

/// Where agents are told to find this server: what the settings say, or the listening address.
pub fn addresses(settings: &Settings) -> Vec<ServerAddress> {
    let listen = settings.file.listen.to_string();
    let configured = settings.file.addresses.iter().map(String::as_str);
    let mut addresses: Vec<ServerAddress> = configured.filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(listen.parse().ok());
    }
    addresses.truncate(protocol::limits::ADDRESSES);
    addresses
}

/// Tells every agent other addresses of this server: held check-ins are answered at once, the others learn it when they
/// come next.
pub fn announce_addresses(context: &Context, addresses: &[ServerAddress]) {
    context.agents.set_card(Card::new(&context.authority, addresses));
    context.wake_ups.wake_all_hosts();
}
