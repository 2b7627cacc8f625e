//! Whether an order, or a go, is believed: all of it is judged here, from bytes that anybody may have brought, by what root keeps
//! on this host. Signature by a key that the pinned authority certified for orders, addressee, number, time and ceiling, what
//! people approved, that this host is among its hosts, and the approvers whose signatures root demands.

use super::{Accepted, Refusal};
use crate::trust::{Approvers, Server};
use domain::change::{InScope, NotCovered};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{HostId, KeyId};
use domain::order::Go;
use domain::order::acceptance::{self, Addressee, NotTaken};
use jiff::Timestamp;
use protocol::document::DocumentError;
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::sha256;
use protocol::statement::{StatementError, Unread};

/// By what an order is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// The server that may give this host orders.
    pub server: &'a Server,
    /// Who this host is to it.
    pub host: HostId,
    /// Who has to sign besides.
    pub approvers: &'a Approvers,
    /// The highest number of an order that was seen here.
    pub highest_number: u64,
    /// The highest epoch that was heard of.
    pub epoch: u64,
    /// What this host allows.
    pub mode: Mode,
    /// The time, by the best estimate.
    pub now: Timestamp,
}

/// Why an order or a go is not believed.
#[derive(Debug, thiserror::Error)]
pub enum NotBelieved {
    /// The file is no bundle.
    #[error("its bundle cannot be read")]
    Bundle(#[source] DocumentError),
    /// The signed piece is none, or was changed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Another key signed it.
    #[error("key {0} signed it, which this host's authority does not vouch for as one that signs orders")]
    UnknownKey(KeyId),
    /// It is not for this host now.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// What was approved cannot be read.
    #[error("what was approved cannot be read")]
    Approval(#[source] DocumentError),
    /// The approval beside the order is not the one that it names.
    #[error("the approval beside the order is another one than the order names")]
    OtherApproval,
    /// It goes beyond what was approved.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
    /// Too few of this host's approvers have signed.
    #[error("{signed} of this host's approvers have signed it, and {needed} are needed")]
    TooFewApprovers {
        /// How many have.
        signed: usize,
        /// How many have to.
        needed: usize,
    },
}

impl Judge<'_> {
    /// Judges the bytes of a bundle.
    ///
    /// # Errors
    /// What is to be reported of an order that is not taken: the first of [`NotBelieved`] that holds.
    pub fn order(&self, bundle: &[u8]) -> Result<Accepted, Refusal> {
        let mut named = (sha256(bundle), 0);
        self.believe(bundle, &mut named).map_err(|error| Refusal {
            order: named.0,
            number: named.1,
            why: crate::problem::chain(&error),
        })
    }

    /// The same; `named` becomes the order's own name and number as soon as its signature holds.
    fn believe(&self, bundle: &[u8], named: &mut (Sha256Digest, u64)) -> Result<Accepted, NotBelieved> {
        let bundle = Bundle::parse(bundle).map_err(NotBelieved::Bundle)?;
        let unread = Unread::parse(&bundle.order)?;
        let key =
            (self.server.orders_key(unread.key(), self.now)).ok_or(NotBelieved::UnknownKey(unread.key()))?;
        let stated = unread.open::<OrderDocument>(&key)?;
        let order = stated.says.into_order();
        *named = (stated.digest, order.number);
        let addressee = Addressee {
            host: self.host,
            // The first order that is taken says whose this host is; hosts' ids are never given twice.
            tenant: self.server.tenant().unwrap_or(order.tenant),
            highest_number: self.highest_number,
            epoch: self.epoch.max(self.server.epoch()),
            mode: self.mode,
        };
        acceptance::take(&order, &addressee, self.now)?;
        let approved = ApprovalDocument::parse(&bundle.approval).map_err(NotBelieved::Approval)?;
        if approved.digest != order.approved {
            return Err(NotBelieved::OtherApproval);
        }
        let in_scope = if bundle.inclusion.proves(order.host, approved.approval.scope) {
            InScope::Proved
        } else {
            InScope::NotProved
        };
        approved.approval.covers(&order, in_scope)?;
        let signed = approved.signed_by(&bundle.signatures, &self.approvers.verifying());
        let needed = self.approvers.needed();
        if signed < needed {
            return Err(NotBelieved::TooFewApprovers { signed, needed });
        }
        Ok(Accepted {
            order,
            approval: approved.approval,
            digest: stated.digest,
        })
    }
}

/// Reads a go whose signature holds. Whether it begins anything is judged by [`super::next`].
///
/// # Errors
/// [`NotBelieved::Statement`] and [`NotBelieved::UnknownKey`].
pub fn go(statement: &[u8], server: &Server, now: Timestamp) -> Result<Go, NotBelieved> {
    let unread = Unread::parse(statement)?;
    let key = (server.orders_key(unread.key(), now)).ok_or(NotBelieved::UnknownKey(unread.key()))?;
    Ok(unread.open::<GoDocument>(&key)?.says.into_go())
}
