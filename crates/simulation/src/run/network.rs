//! The network: it delays, loses, doubles and reorders what is sent, and hands answers to those who did not ask for them.

use super::{Weather, World};
use crate::computer::Link;
use crate::event::{Event, Place};
use crate::promise::Broken;
use agent::session;
use anyhow::Result;
use jiff::SignedDuration;
use protocol::envelope::{HEADER_BYTES, Unopened};
use protocol::message::Kind;
use protocol::message::documents::DocumentsTaken;
use protocol::message::refused::Refused;
use rand::Rng;
use server::agents::Begun;

/// How long an agent waits for an answer that is not held, in seconds.
const PATIENCE_SECONDS: i64 = 30;
/// Answers that are kept to be delivered wrongly.
const OVERHEARD: usize = 16;

impl World {
    pub(super) fn is_lost(&mut self) -> bool {
        self.chance.gen_range(0..1000) < self.loss
    }

    pub(super) fn delay(&mut self) -> SignedDuration {
        let longest = match self.weather {
            Weather::Good => 50,
            Weather::Bad if self.chance.gen_ratio(1, 20) => 40_000,
            Weather::Bad => 900,
        };
        SignedDuration::from_millis(self.chance.gen_range(1..longest))
    }

    pub(super) fn send(&mut self, place: Place, envelope: Vec<u8>, hold_seconds: u32) -> Result<()> {
        self.connections += 1;
        let connection = self.connections;
        let computer = &mut self.computers[place];
        computer.waits_on = Some(connection);
        computer.asked = Unopened::parse(&envelope).ok().map(|envelope| envelope.asked());
        let told = told(&computer.name, connection, &envelope);
        let process = computer.process;
        let is_cut = computer.link == Link::Cut;
        let patience = if is_cut {
            3
        } else {
            PATIENCE_SECONDS + i64::from(hold_seconds)
        };
        let time_out = Event::TimeOut {
            to: place,
            process,
            connection,
        };
        self.queue
            .after(self.now, SignedDuration::from_secs(patience), time_out);
        let request = |connection| Event::Request {
            from: place,
            process,
            connection,
            bytes: envelope.clone(),
        };
        self.line(told);
        if !is_cut && !self.is_lost() {
            let delay = self.delay();
            self.queue.after(self.now, delay, request(connection));
            if self.weather == Weather::Bad && self.chance.gen_ratio(1, 12) {
                // Delivered once more, perhaps much later; nobody waits for the answer.
                let late = SignedDuration::from_secs(self.chance.gen_range(0..540));
                self.queue.after(self.now, delay + late, request(0));
            }
        }
        Ok(())
    }

    pub(super) async fn request(
        &mut self,
        from: Place,
        process: u64,
        connection: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if self.computers[from].link == Link::Cut {
            return Ok(());
        }
        self.report.requests += 1;
        match self.site.begin(bytes).await {
            Begun::Answered(answer) => self.answered(from, process, connection, answer),
            Begun::Held(held) => {
                let number = self.report.requests;
                self.held.insert(number, (held, from, process, connection));
                let span = SignedDuration::from_secs(self.chance.gen_range(1..30));
                self.queue.after(self.now, span, Event::HeldEnds(number));
                Ok(())
            }
        }
    }

    pub(super) async fn held_ends(&mut self, number: u64) -> Result<()> {
        let Some((held, from, process, connection)) = self.held.remove(&number) else {
            return Ok(());
        };
        self.site.context().wake_ups.wake_all_hosts();
        let answer = held.finish(self.site.context()).await;
        self.answered(from, process, connection, answer)
    }

    /// The server has answered: what it acknowledged is a promise from now on, whether the answer arrives or not.
    fn answered(&mut self, to: Place, process: u64, connection: u64, bytes: Vec<u8>) -> Result<()> {
        let key = self.site.context().authority.answers_key().verifying();
        let opened = Unopened::parse(&bytes)
            .ok()
            .and_then(|envelope| envelope.open(&key).ok());
        let Some(opened) = opened else {
            return self.broken(Broken::Unsigned);
        };
        let line = match opened.header().kind {
            Kind::REFUSED => format!("{:?}", opened.message::<Refused>()?.kind),
            kind => format!("{:#06x}", kind.0),
        };
        if opened.header().kind == Kind::DOCUMENTS_TAKEN {
            let taken: DocumentsTaken = opened.message()?;
            self.promises.acknowledged(&taken.taken);
        }
        self.line(format!(
            "server to {} on {connection}: {line}",
            self.computers[to].name
        ));
        self.overheard.push(bytes.clone());
        if self.overheard.len() > OVERHEARD {
            self.overheard.remove(0);
        }
        if connection == 0 || self.is_lost() {
            return Ok(());
        }
        if self.weather == Weather::Bad && self.chance.gen_ratio(1, 15) {
            let bytes = self.wrong_answer(&bytes);
            let delay = self.delay();
            let wrong = Event::Answer {
                to,
                process,
                connection,
                bytes,
            };
            self.queue.after(self.now, delay, wrong);
            return Ok(());
        }
        let delay = self.delay();
        let answer = Event::Answer {
            to,
            process,
            connection,
            bytes,
        };
        self.queue.after(self.now, delay, answer);
        Ok(())
    }

    /// An answer to somebody or something else, or one with a bit turned over.
    fn wrong_answer(&mut self, right: &[u8]) -> Vec<u8> {
        if self.chance.gen_ratio(1, 2) {
            let place = self.chance.gen_range(0..self.overheard.len());
            return self.overheard[place].clone();
        }
        let mut turned = right.to_vec();
        // As much chance whatever the length: it differs a little with the server's keys.
        let at = self.chance.r#gen::<u32>() as usize % turned.len();
        turned[at] ^= 1 << self.chance.gen_range(0..8);
        turned
    }

    pub(super) fn answer(&mut self, to: Place, process: u64, connection: u64, bytes: Vec<u8>) -> Result<()> {
        let computer = &mut self.computers[to];
        if computer.link == Link::Cut || computer.process != process || computer.waits_on != Some(connection)
        {
            return Ok(());
        }
        computer.waits_on = None;
        let key = self.site.context().authority.answers_key().verifying();
        let asked = computer.asked;
        let opened = Unopened::parse(&bytes)
            .ok()
            .and_then(|envelope| envelope.open(&key).ok());
        let is_right = opened.is_some_and(|opened| asked.is_some_and(|asked| opened.answers(&asked)));
        let before = computer.believed();
        self.step(to, session::Event::Answer(bytes))?;
        if !is_right && self.computers[to].believed() != before {
            return self.broken(Broken::BelievedWrongAnswer(self.computers[to].name.clone()));
        }
        Ok(())
    }

    pub(super) fn time_out(&mut self, to: Place, process: u64, connection: u64) -> Result<()> {
        let computer = &mut self.computers[to];
        if computer.process != process || computer.waits_on != Some(connection) {
            return Ok(());
        }
        computer.waits_on = None;
        let effects = computer.failed(self.now, &mut self.chance);
        self.carry_out(to, effects)
    }
}

/// A line on a request, with what tells a copy from its original.
fn told(name: &str, connection: u64, envelope: &[u8]) -> String {
    let Ok(unopened) = Unopened::parse(envelope) else {
        return format!("{name} sends on {connection} what is no envelope");
    };
    let header = unopened.header();
    let message: serde_json::Value =
        serde_json::from_slice(&envelope[HEADER_BYTES..]).unwrap_or(serde_json::Value::Null);
    let nonce = format!("{:?}", header.nonce);
    format!(
        "{name} sends {:#06x} on {connection}: number {}, nonce {nonce}, link {}, boot {}",
        header.kind.0, header.sequence, message["link"]["count"], message["bearer"]["boot"]
    )
}
