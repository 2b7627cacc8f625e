//! What the desk tells: the network process on the board, and everybody who asks on the host.

use super::Desk;
use crate::executor::Event;
use crate::executor::spool::{self, Board, Wish};
use crate::order::Orders;
use domain::digest::Sha256Digest;
use std::collections::BTreeMap;

impl Desk<'_> {
    /// Why orders are not followed.
    fn troubles(&self) -> Vec<String> {
        let known = self.at.as_ref().map(|at| at.host);
        let now = self.memory().and_then(|memory| memory.host());
        let identity = match (known, now) {
            (Some(known), Some(now)) if known != now => Some(
                "This host got another identity than root knows of, and follows no orders: \
                 `sudo patchyard-agent confirm` takes it over.",
            ),
            (None, Some(_)) if self.trouble.is_none() => Some(
                "Root has not enrolled this host, and so it follows no orders: \
                 `sudo patchyard-agent forget`, and enrol it again with a new token.",
            ),
            _ => None,
        };
        (self.trouble.clone().into_iter())
            .chain(identity.map(str::to_owned))
            .collect()
    }

    /// Tells the network process and whoever looks, if there is anything new.
    pub(super) fn publish(&mut self) {
        let none = Orders::default();
        let orders = self.at.as_ref().map_or(&none, |at| &at.orders);
        let reports = orders.reports();
        let is_open = |number: &u64| orders.open().iter().any(|open| open.number() == *number);
        let wants: BTreeMap<Sha256Digest, Wish> = (self.missing.iter())
            .filter(|(number, _)| is_open(number))
            .flat_map(|(_, wishes)| wishes)
            .map(|wish| (wish.digest, *wish))
            .collect();
        let outputs = reports.iter().filter_map(|report| report.output);
        let board = Board {
            highest: orders.highest(),
            outputs: outputs.map(|digest| digest.to_string()).collect(),
            wants: wants.into_values().collect(),
            is_active: orders.is_active(),
            troubles: self.troubles(),
            reports,
        };
        if self.told.as_ref() == Some(&board) {
            return;
        }
        let group = self.executor.account.map(|account| account.gid);
        match board.publish(&self.executor.places, group) {
            Ok(()) => {
                // The person in front of the host may miss this one; the next one comes.
                let _ = spool::tell_everybody(&self.executor.places, &board);
                self.told = Some(board);
                let _ = self.sender.send(Event::Told);
            }
            Err(error) => {
                let why = crate::problem::chain(&error);
                self.say(&format!("How far orders are cannot be told: {why}."));
            }
        }
    }
}
