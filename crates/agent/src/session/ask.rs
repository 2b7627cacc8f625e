//! What the agent asks, and when: each request is named, numbered, dated by the agent's time and sealed with the host's key.

use super::memory::{Named, NonceText};
use super::upload::Sent;
use super::{
    DOCUMENT_ROUNDS, Effect, Enrolment, Look, Memory, Moment, OldIdentity, Phase, Renewal, Request, Seed,
    Session, Stop, Trouble, Underway, Upload,
};
use domain::identity::Nonce;
use jiff::Timestamp;
use protocol::envelope::{Body, Envelope, Header, Unopened};
use protocol::key::SigningKey;
use protocol::link::Link;
use protocol::message::check_in::CheckIn;
use protocol::message::enrol::{Credential, Enrol};
use protocol::message::renew::Renew;
use protocol::message::{Kind, Message};
use protocol::sha256;
use protocol::token::EnrolmentToken;

impl Session {
    /// A person enrols this host with a token. A host that has an identity keeps it unless its server has done with it.
    pub(super) fn enrol(
        &mut self,
        token: &EnrolmentToken,
        look: Look,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(trouble) = enrolled_elsewhere(&self.memory) {
            self.now.trouble = Some(trouble);
            return effects.push(Effect::Rest);
        }
        let is_same_server = self.memory.pins.contains(&token.authority);
        self.memory = Memory {
            phase: Phase::Enrolling(Enrolment::Token {
                secret: NonceText(token.secret),
                site: token.site.clone(),
            }),
            key: Some(Seed(moment.chance.draw("host key"))),
            pins: vec![token.authority],
            addresses: token.addresses.clone(),
            formerly: self.memory.host().or(self.memory.formerly),
            // Time of another server says nothing about this one's.
            time: self.memory.time.filter(|_| is_same_server),
            sequence: self.memory.sequence,
            ..Memory::default()
        };
        self.trust = None;
        self.now = Underway {
            sequence: self.now.sequence,
            look: Some(look),
            ..Underway::default()
        };
        self.save(effects);
        effects.push(Effect::Reconnect);
        self.ask_to_enrol(moment, effects);
    }

    /// A round begins.
    pub(super) fn wake(&mut self, mut look: Look, moment: &Moment, effects: &mut Vec<Effect>) {
        let board = std::mem::take(&mut look.orders);
        self.now.look = Some(look);
        self.begin_errands(board, moment, effects);
        self.now.request = None;
        self.now.wanted.clear();
        self.now.document_rounds = 0;
        self.now.renewal = Renewal::NotTried;
        self.now.next_round = None;
        match &self.memory.phase {
            Phase::Unenrolled => effects.push(Effect::Rest),
            Phase::Enrolling(_) => self.ask_to_enrol(moment, effects),
            Phase::Enrolled { .. } => self.go_on(moment, effects),
        }
    }

    /// Renews if that is due, else checks in.
    pub(super) fn go_on(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let Phase::Enrolled {
            not_before,
            not_after,
            ..
        } = self.memory.phase
        else {
            return effects.push(Effect::Rest);
        };
        let now = self.time(moment).as_microsecond();
        let half = not_before.saturating_add(not_after.saturating_sub(not_before) / 2);
        // A check-in whose answer was lost comes first: it may have used up the link that a renewal would present.
        let is_link_known = self.memory.next_check_in.is_none();
        if now >= half && is_link_known && self.now.renewal == Renewal::NotTried {
            return self.ask_to_renew(moment, effects);
        }
        self.check_in(moment, effects);
    }

    pub(super) fn ask_to_enrol(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let (Some(key), Phase::Enrolling(enrolment)) = (self.memory.signing_key(), &self.memory.phase) else {
            return effects.push(Effect::Rest);
        };
        let look = self.now.look.clone().unwrap_or_default();
        let public_key = key.verifying().to_bytes();
        let credential = match enrolment {
            Enrolment::Token { secret, site } => Credential::Token {
                secret: secret.0,
                site: site.clone(),
            },
            Enrolment::Copy(OldIdentity { host, key }) => {
                Credential::copy_of(*host, &SigningKey::from_seed(&key.0), &public_key)
            }
        };
        let message = Enrol {
            public_key,
            credential,
            bearer: look.bearer(moment.boot_clock),
            hostname: look.hostname,
            agent_version: look.agent_version,
            machine: look.machine,
            formerly: self.memory.formerly,
        };
        // The same name until it is answered: an answer that was lost is given again.
        let named = self.name_of_next(moment, effects);
        self.send(named, Kind::ENROL, &message.to_body(), 0, moment, effects);
    }

    pub(super) fn ask_to_renew(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let Phase::Enrolled { host, link, .. } = self.memory.phase else {
            return effects.push(Effect::Rest);
        };
        self.now.renewal = Renewal::Tried;
        let message = Renew {
            host,
            link,
            agent_version: self.now.look.clone().unwrap_or_default().agent_version,
            next_key: None,
        };
        let named = self.fresh_name(moment, "renew");
        self.send(named, Kind::RENEW, &message.to_body(), 0, moment, effects);
    }

    pub(super) fn check_in(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let Phase::Enrolled { link, .. } = self.memory.phase else {
            return effects.push(Effect::Rest);
        };
        let look = self.now.look.clone().unwrap_or_default();
        let card = self.memory.card.as_ref().map_or(&[][..], |card| &card.0);
        let hold_seconds = match self.is_at_an_order() {
            true => 0,
            false => self.now.hold_seconds.min(protocol::limits::HOLD_SECONDS),
        };
        let (orders, highest_order) = self.orders_to_tell();
        let bearer = look.bearer(moment.boot_clock);
        let mut troubles = look.troubles;
        troubles.extend(self.fetching_trouble().map(|trouble| trouble.sentence.clone()));
        troubles.truncate(protocol::limits::TROUBLES);
        let message = CheckIn {
            link,
            bearer,
            agent_version: look.agent_version,
            mode: look.mode,
            documents: look.documents,
            measures: look.measures,
            hold_seconds,
            card: sha256(card),
            highest_order,
            troubles,
            carried: look.carried,
            orders,
        };
        let named = self.name_of_next(moment, effects);
        self.send(
            named,
            Kind::CHECK_IN,
            &message.to_body(),
            hold_seconds,
            moment,
            effects,
        );
    }

    /// Sends what was read of the documents that the server wants.
    pub(super) fn send_documents(&mut self, upload: Upload, moment: &Moment, effects: &mut Vec<Effect>) {
        let Upload {
            parts,
            bytes,
            missing,
            left,
        } = upload;
        self.now.wanted = left;
        if !missing.is_empty() {
            // What changed in the meantime stands in the next check-in under its new digest.
            let count = missing.len();
            effects.push(Effect::Say(format!(
                "{count} documents that the server wants are no longer there; the next check-in names those that are."
            )));
        }
        let Some(link) = self.link().filter(|_| !parts.is_empty()) else {
            return self.end_round(moment, effects);
        };
        let message = Sent { link, parts }.message();
        let body = message.with_bytes(bytes);
        let named = self.fresh_name(moment, "documents");
        self.send(named, Kind::DOCUMENTS, &body, 0, moment, effects);
    }

    /// Reads more of what the server wants, or ends the round.
    pub(super) fn go_on_with_documents(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        if self.now.wanted.is_empty() || self.now.document_rounds >= DOCUMENT_ROUNDS {
            return self.end_round(moment, effects);
        }
        self.now.document_rounds += 1;
        effects.push(Effect::Upload(std::mem::take(&mut self.now.wanted)));
    }

    pub(super) fn sleep(&mut self, delay: std::time::Duration, moment: &Moment, effects: &mut Vec<Effect>) {
        self.now.next_round = self.time(moment).checked_add(delay).ok();
        effects.push(Effect::Sleep(delay));
    }

    /// Journals what is remembered, with numbers put aside.
    pub(super) fn save(&mut self, effects: &mut Vec<Effect>) {
        self.memory.reserve(self.now.sequence);
        effects.push(Effect::Save);
    }

    pub(super) fn time(&self, moment: &Moment) -> Timestamp {
        self.memory.estimate(moment.boot_clock, moment.wall_clock)
    }

    fn link(&self) -> Option<Link> {
        match self.memory.phase {
            Phase::Enrolled { link, .. } => Some(link),
            _ => None,
        }
    }

    fn send(
        &mut self,
        named: Named,
        kind: Kind,
        body: &Body,
        hold_seconds: u32,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.memory.signing_key() else {
            return effects.push(Effect::Rest);
        };
        let header = Header::request(kind, named.sequence, named.nonce.into(), self.time(moment));
        let envelope = match Envelope::seal(&key, header, body) {
            Ok(envelope) => envelope,
            Err(over) => {
                self.now.trouble = Some(Trouble::new(
                    format!("What this host has to say is too large to be sent: {over}."),
                    "report this to whoever looks after the agent.",
                ));
                return self.end_round(moment, effects);
            }
        };
        let mut left = self.memory.addresses_to_try();
        left.reverse();
        let Some(to) = left.pop() else {
            self.now.trouble = Some(Trouble::new(
                "This host knows no address of its server.",
                "enrol it again with a new token.",
            ));
            return effects.push(Effect::Rest);
        };
        effects.push(Effect::Send {
            to: to.clone(),
            envelope: envelope.clone(),
            hold_seconds,
        });
        let asked = Unopened::parse(&envelope).expect("it was sealed above").asked();
        self.now.request = Some(Request {
            asked,
            envelope,
            hold_seconds,
            to,
            left,
        });
    }

    /// The name of a request that must not be taken for two: journalled before it is used, and kept until it is answered.
    /// It is drawn when it is needed and not before, so that a copy of an idle host draws another one.
    fn name_of_next(&mut self, moment: &Moment, effects: &mut Vec<Effect>) -> Named {
        if let Some(named) = self.memory.next_check_in {
            return named;
        }
        let named = self.fresh_name(moment, "kept");
        self.memory.next_check_in = Some(named);
        self.save(effects);
        named
    }

    fn fresh_name(&mut self, moment: &Moment, what_for: &str) -> Named {
        self.now.sequence += 1;
        Named {
            nonce: NonceText(moment.chance.draw_16(what_for)),
            sequence: self.now.sequence,
        }
    }
}

impl From<Named> for Nonce {
    fn from(named: Named) -> Self {
        named.nonce.into()
    }
}

/// Why a host is not enrolled with another server: it has an identity that its own server has not done with.
pub fn enrolled_elsewhere(memory: &Memory) -> Option<Trouble> {
    let Phase::Enrolled { host, site, stop, .. } = &memory.phase else {
        return None;
    };
    if matches!(stop, Some(Stop::Retired | Stop::Unknown | Stop::Expired)) {
        return None;
    }
    let server = memory.addresses_to_try().first().map(ToString::to_string);
    let server = server.unwrap_or_else(|| "its server".to_owned());
    Some(Trouble::new(
        format!("This host is enrolled already, with {server} in the site {site:?}, as {host}."),
        "keep that, or give the identity up with `patchyard-agent forget` and enrol again.",
    ))
}
