//! The person who looks after it all: approves hosts that wait, and brings a new token to those that need one.

use super::{Weather, World};
use crate::event::{Event, Place};
use agent::session;
use anyhow::Result;
use jiff::SignedDuration;
use rand::Rng;
use store::enrolment_token::Admits;
use store::host::HostState;

impl World {
    /// Enrols a computer with a new token.
    pub(super) async fn enrol(&mut self, place: Place) -> Result<()> {
        let admits = if self.chance.gen_ratio(1, 5) {
            Admits::Pending
        } else {
            Admits::Active
        };
        let token = self.site.token(admits).await?;
        self.computers[place].executor.enrol(token.authority);
        let look = self.computers[place].look(self.now);
        self.step(place, session::Event::Enrol(token, look))
    }

    /// The administrator's round.
    pub(super) async fn administrator(&mut self) -> Result<()> {
        let pending = self
            .site
            .hosts()
            .await?
            .into_iter()
            .filter(|host| host.state == HostState::Pending);
        for host in pending.collect::<Vec<_>>() {
            if self.weather == Weather::Good || self.chance.gen_ratio(1, 2) {
                self.site.set_state(&host, HostState::Active).await?;
            }
        }
        for place in 0..self.computers.len() {
            if self.computers[place].wants_token()
                && (self.weather == Weather::Good || self.chance.gen_ratio(1, 3))
            {
                self.promises.given_up(&self.computers[place].name);
                self.enrol(place).await?;
            }
        }
        let pause = SignedDuration::from_mins(self.chance.gen_range(3..12));
        self.queue.after(self.now, pause, Event::Administrator);
        Ok(())
    }
}
