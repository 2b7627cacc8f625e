//! What the network process asks of the desk, judged here: it may be anybody by now, and is believed nothing.

use super::{Desk, files};
use crate::executor::asks::Ask;
use crate::order::verify::{self, Judge};
use crate::order::{self, Accepted, Refusal};
use crate::trust::{self, Approvers, Server};
use domain::digest::Sha256Digest;
use protocol::limits;
use protocol::message::check_in::CardBytes;
use std::sync::Arc;

impl Desk<'_> {
    /// Judges and follows what the network process asks. A question for a reading of the host is not for the desk.
    pub(in crate::executor) fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Collect {} => {}
            Ask::Order { bundle } => self.take(bundle),
            Ask::Go { statement } => {
                let Some(server) = self.ready() else { return };
                match verify::go(&statement.0, &server, self.moment().estimate) {
                    Ok(go) => self.happen(order::Event::Go(go)),
                    Err(error) => {
                        let why = crate::problem::chain(&error);
                        self.say(&format!("A permission to begin is not believed: {why}."));
                    }
                }
            }
            Ask::Withdraw { order } => self.happen(order::Event::Withdrawn(order)),
            Ask::Heard { order } => self.happen(order::Event::Heard(order)),
            Ask::Card { card } => self.take_card(&card),
        }
    }

    fn take_card(&self, card: &CardBytes) {
        match trust::take_card(&self.executor.places, card) {
            Ok(true) => self.say("Orders are believed by a new card of the server from now on."),
            Ok(false) => {}
            Err(error) => {
                let why = crate::problem::chain(&error);
                self.say(&format!("The server's card is not taken: {why}."));
            }
        }
    }

    /// Takes an order, or reports why it is not taken.
    fn take(&mut self, bundle: Sha256Digest) {
        let Some(server) = self.ready() else {
            return self.say("An order came, and root has not enrolled this host: it is not followed.");
        };
        let limit = limits::BUNDLE_BYTES as u64;
        let bytes = match files::read_left(&self.executor.places, bundle, limit) {
            Ok(bytes) => bytes,
            Err(why) => return self.say(&format!("The file of an order ({bundle}) {why}.")),
        };
        match self.judged(&server, &bytes) {
            Ok(accepted) => self.keep(server, accepted, &bytes),
            // It is at work, or at its end, already.
            Err(refusal) if self.at.as_ref().is_some_and(|at| at.orders.knows(refusal.order)) => {}
            Err(refusal) => {
                self.say(&format!("Refused order {}: {}.", refusal.number, refusal.why));
                self.happen(order::Event::Refused(refusal));
            }
        }
    }

    fn judged(&self, server: &Server, bytes: &[u8]) -> Result<Accepted, Refusal> {
        let nameless = |why: String| Refusal {
            order: protocol::sha256(bytes),
            number: 0,
            why,
        };
        let approvers = Approvers::read(&self.executor.places).map_err(|error| {
            let why = crate::problem::chain(&error);
            nameless(format!(
                "it is not known who has to approve orders of this host: {why}"
            ))
        })?;
        let at = self.at.as_ref();
        let at = at.ok_or_else(|| nameless("this host has no journal of orders".to_owned()))?;
        let moment = self.moment();
        let judge = Judge {
            server,
            host: at.host,
            approvers: &approvers,
            highest_number: at.orders.highest(),
            epoch: at.orders.epoch(),
            mode: moment.mode,
            now: moment.estimate,
        };
        let accepted = judge.order(bytes).map_err(|refusal| {
            let now = self.memory().and_then(|memory| memory.host());
            let why = match now {
                Some(host) if host != at.host => format!(
                    "this host got another identity than root knows of, which `sudo patchyard-agent confirm` takes over; {}",
                    refusal.why
                ),
                _ => refusal.why,
            };
            Refusal { why, ..refusal }
        })?;
        if rustix::process::geteuid().is_root() {
            return Ok(accepted);
        }
        Err(Refusal {
            order: accepted.digest,
            number: accepted.order.number,
            why: "this agent is not run by root, and so it installs nothing".to_owned(),
        })
    }

    /// Keeps an order that is believed, with whose host this is, and takes it.
    fn keep(&mut self, server: Server, accepted: Accepted, bytes: &[u8]) {
        let Some(at) = &self.at else { return };
        let kept = at
            .journal
            .keep(&accepted, bytes)
            .and_then(|()| match server.tenant() {
                Some(_) => Ok(()),
                None => (server.of_tenant(accepted.order.tenant)).write(&self.executor.places),
            });
        match kept {
            Ok(()) => self.happen(order::Event::Took(Arc::new(accepted))),
            Err(error) => {
                let _: Option<()> = self.complain("An order cannot be kept", &error);
            }
        }
    }
}
