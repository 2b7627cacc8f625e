//! Tickets with which agents fetch the files of their orders: who may have which deployment's files until when, under a code
//! that only this server's master key makes. Opaque to agents; read without asking the database.

use crate::context::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::id::{DeploymentId, HostId, TenantId};
use jiff::{SignedDuration, Timestamp};
use ring::hmac;

/// How long a ticket is good for.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(2);
/// What the key is derived for, the form of tickets included.
const PURPOSE: &str = "content tickets 1";
/// Three ids and a time.
const SAID_BYTES: usize = 16 + 16 + 16 + 8;
/// Bytes of a code (HMAC-SHA-256).
const CODE_BYTES: usize = 32;

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentTicket {
    /// Who holds it.
    pub host: HostId,
    /// Whose host that is.
    pub tenant: TenantId,
    /// Whose files it is for.
    pub deployment: DeploymentId,
    /// It ends at this moment.
    pub ends: Timestamp,
}

/// Why a text lets nobody in.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoTicket {
    /// This server never gave it out.
    #[error("this is no ticket of this server")]
    Foreign,
    /// Its time is over.
    #[error("the ticket's time is over: the next check-in brings another")]
    Over,
}

/// The key of this server's tickets.
#[derive(Clone, Debug)]
pub struct TicketKey(hmac::Key);

/// A ticket for the files of a deployment, good for [`LIFETIME`] from now.
pub fn issue(
    context: &Context,
    host: HostId,
    tenant: TenantId,
    deployment: DeploymentId,
    now: Timestamp,
) -> String {
    let ends = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
    let ends = ends.as_microsecond().to_be_bytes();
    let said = [&tenant.0[..], &host.0, &deployment.0, &ends].concat();
    let code = hmac::sign(&TicketKey::of(context).0, &said);
    BASE64.encode([&said, code.as_ref()].concat())
}

impl TicketKey {
    /// Of this server: every node with its master key has the same.
    pub fn of(context: &Context) -> Self {
        Self(context.authority.sealer().mac_key(PURPOSE))
    }

    /// What a ticket says that is good now.
    ///
    /// # Errors
    /// [`NoTicket`].
    pub fn open(&self, text: &str, now: Timestamp) -> Result<ContentTicket, NoTicket> {
        let ticket = read(&self.0, text).ok_or(NoTicket::Foreign)?;
        match now < ticket.ends {
            true => Ok(ticket),
            false => Err(NoTicket::Over),
        }
    }
}

fn read(key: &hmac::Key, text: &str) -> Option<ContentTicket> {
    if text.len() > protocol::limits::TICKET_BYTES {
        return None;
    }
    let bytes = BASE64.decode(text).ok()?;
    let (said, code) = bytes.split_at_checked(SAID_BYTES)?;
    if code.len() != CODE_BYTES || hmac::verify(key, said, code).is_err() {
        return None;
    }
    let (tenant, rest) = said.split_first_chunk()?;
    let (host, rest) = rest.split_first_chunk()?;
    let (deployment, ends) = rest.split_first_chunk()?;
    Some(ContentTicket {
        host: HostId(*host),
        tenant: TenantId(*tenant),
        deployment: DeploymentId(*deployment),
        ends: Timestamp::from_microsecond(i64::from_be_bytes(ends.try_into().ok()?)).ok()?,
    })
}
