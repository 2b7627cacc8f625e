//! Answers: believed only if a key that the pinned authority vouches for signed them, and if they answer the very request that
//! is out.

use super::memory::Phase;
use super::retry::check_in_seconds;
use super::{ClockTaken, Effect, Enrolment, Failure, Moment, Request, Session, Stop, Trouble};
use crate::transport::validity;
use protocol::card::{ServerCard, Trust};
use protocol::envelope::{Opened, Unopened};
use protocol::message::check_in::{CardBytes, CheckedIn, Wanted};
use protocol::message::documents::{DocumentsTaken, WhyRefused};
use protocol::message::enrol::{Enrolled, Standing};
use protocol::message::refused::Refused;
use protocol::message::renew::Renewed;
use protocol::message::{Kind, MessageError};

/// Why an answer is not believed.
#[derive(Debug, thiserror::Error)]
enum Unbelieved {
    #[error(transparent)]
    NotAnEnvelope(#[from] protocol::envelope::ParseError),
    #[error(transparent)]
    Card(#[from] protocol::card::CardError),
    #[error("no key that this host's server is known by signed it")]
    UnknownKey,
    #[error(transparent)]
    Open(#[from] protocol::envelope::OpenError),
    #[error("it answers another request")]
    OtherRequest,
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("it is of an older life of the server than this host has seen")]
    OlderEpoch,
    #[error("it is no answer to what was asked")]
    OtherKind,
}

/// An answer that is believed.
enum Believed {
    Enrolled(Enrolled, Vec<u8>, Trust),
    CheckedIn(CheckedIn),
    Taken(DocumentsTaken),
    Renewed(Renewed),
    Refused(Refused),
}

impl Session {
    pub(super) fn answered(&mut self, bytes: &[u8], moment: &Moment, effects: &mut Vec<Effect>) {
        let Some(request) = &self.now.request else {
            return;
        };
        let (believed, sent_at) = match self.believe(bytes, request) {
            Ok(believed) => believed,
            Err(why) => {
                let trouble = Trouble::new(
                    format!(
                        "An answer from {} is not believed: {}.",
                        request.to,
                        crate::problem::chain(&why)
                    ),
                    "if the server was set up anew, enrol this host again with a new token; otherwise somebody stands between.",
                );
                let failure = Failure {
                    trouble,
                    retry_after_seconds: None,
                };
                return self.failed(failure, moment, effects);
            }
        };
        let request = self.now.request.take().expect("it was there above");
        self.memory.good_address = Some(request.to.clone());
        self.memory.hear(sent_at, moment.boot_clock);
        self.now.clock_off_seconds = moment.wall_clock.duration_since(sent_at).as_secs();
        match believed {
            Believed::Enrolled(enrolled, card, trust) => {
                self.enrolled(enrolled, card, trust, moment, effects)
            }
            Believed::CheckedIn(answer) => self.checked_in(answer, moment, effects),
            Believed::Taken(answer) => self.taken(answer, moment, effects),
            Believed::Renewed(answer) => self.renewed(answer, moment, effects),
            Believed::Refused(refused) => self.refused(refused, request.asked.kind(), moment, effects),
        }
    }

    fn believe(&self, bytes: &[u8], request: &Request) -> Result<(Believed, jiff::Timestamp), Unbelieved> {
        let unopened = Unopened::parse(bytes)?;
        let sent_at = unopened.header().sent_at;
        let known = self
            .trust
            .as_ref()
            .and_then(|trust| trust.answers_key(unopened.key_id(), sent_at));
        let (key, introduced) = match known {
            Some(key) if request.asked.kind() != Kind::ENROL => (key, None),
            // To an enrolment the server introduces itself, and so it does to a host that slept through a change of keys.
            _ => {
                let trust = self.introduced(&unopened)?;
                let key = trust.answers_key(unopened.key_id(), sent_at);
                (key.ok_or(Unbelieved::UnknownKey)?, Some(trust))
            }
        };
        let opened = unopened.open(&key)?;
        if !opened.answers(&request.asked) {
            return Err(Unbelieved::OtherRequest);
        }
        Ok((read(&opened, request.asked.kind(), introduced)?, sent_at))
    }

    fn introduced(&self, unopened: &Unopened<'_>) -> Result<Trust, Unbelieved> {
        let card = unopened.introduction().map_err(|error| match error {
            protocol::card::CardError::Absent if self.trust.is_some() => Unbelieved::UnknownKey,
            error => error.into(),
        })?;
        let trust = card.verify(&self.memory.pins)?;
        let is_older = self.trust.as_ref().is_some_and(|known| trust.epoch < known.epoch);
        if is_older {
            Err(Unbelieved::OlderEpoch)
        } else {
            Ok(trust)
        }
    }

    fn enrolled(
        &mut self,
        enrolled: Enrolled,
        card: Vec<u8>,
        trust: Trust,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.time(moment).as_microsecond();
        let (not_before, not_after) = span_of(&enrolled.certificates, now);
        let is_copy = matches!(self.memory.phase, Phase::Enrolling(Enrolment::Copy(_)));
        let stop = match enrolled.standing {
            Standing::Active => None,
            Standing::Pending => Some(Stop::Pending),
        };
        let what = if is_copy {
            "an identity of its own"
        } else {
            "an identity"
        };
        effects.push(Effect::Say(format!(
            "This host has {what}: {} in the site {:?}.",
            enrolled.host, enrolled.site
        )));
        self.memory.phase = Phase::Enrolled {
            host: enrolled.host,
            site: enrolled.site,
            certificates: enrolled.certificates.into_iter().map(CardBytes).collect(),
            not_before,
            not_after,
            link: enrolled.link,
            stop,
        };
        self.memory.formerly = None;
        self.go_by(card, trust);
        self.now.failures = 0;
        self.now.trouble = None;
        self.memory.next_check_in = None;
        self.save(effects);
        effects.push(Effect::Reconnect);
        match stop {
            None => self.check_in(moment, effects),
            Some(_) => self.wait_for_approval(None, moment, effects),
        }
    }

    fn checked_in(&mut self, mut answer: CheckedIn, moment: &Moment, effects: &mut Vec<Effect>) {
        let Phase::Enrolled { link, stop, .. } = &mut self.memory.phase else {
            return;
        };
        *link = answer.link;
        if stop.take().is_some() {
            effects.push(Effect::Say("The server serves this host again.".to_owned()));
        }
        if self.now.trouble.take().is_some() {
            effects.push(Effect::Say("The server was reached again.".to_owned()));
        }
        self.now.failures = 0;
        self.now.clock = ClockTaken::No;
        self.now.hold_seconds = answer.hold_seconds;
        self.now.carry = std::mem::take(&mut answer.carry);
        self.memory.check_in_seconds = check_in_seconds(answer.next_check_in_seconds);
        self.memory.last_check_in = Some(self.time(moment).as_microsecond());
        self.memory.next_check_in = None;
        let is_reconnect_due = answer
            .card
            .take()
            .is_some_and(|card| self.take_card(card, effects));
        self.save(effects);
        if is_reconnect_due {
            effects.push(Effect::Reconnect);
        }
        self.hand_over_card(effects);
        self.hear_of_orders(&mut answer, effects);
        self.now.wanted = answer.wanted;
        self.go_on_with_documents(moment, effects);
    }

    fn taken(&mut self, answer: DocumentsTaken, moment: &Moment, effects: &mut Vec<Effect>) {
        for refused in &answer.refused {
            let sentence = crate::shown::harmless(&refused.sentence, 500);
            effects.push(Effect::Say(format!(
                "The server did not take a document: {sentence}"
            )));
        }
        let again = answer
            .refused
            .iter()
            .filter(|refused| refused.why == WhyRefused::BaseUnknown);
        let again = again.map(|refused| Wanted {
            kind: protocol::document::DocumentKind::Inventory,
            digest: refused.digest,
            base: None,
            offset: 0,
        });
        self.now.wanted.extend(again.collect::<Vec<_>>());
        self.now.wanted.extend(answer.wanted);
        self.go_on_with_documents(moment, effects);
    }

    fn renewed(&mut self, answer: Renewed, moment: &Moment, effects: &mut Vec<Effect>) {
        let now = self.time(moment).as_microsecond();
        if let Phase::Enrolled {
            certificates,
            not_before,
            not_after,
            stop,
            ..
        } = &mut self.memory.phase
        {
            (*not_before, _) = span_of(&answer.certificates, now);
            *not_after = answer.not_after.as_microsecond();
            *certificates = answer.certificates.into_iter().map(CardBytes).collect();
            if *stop == Some(Stop::Expired) {
                *stop = None;
            }
        }
        self.save(effects);
        effects.push(Effect::Reconnect);
        self.check_in(moment, effects);
    }

    /// Goes by a new card if the authorities that are trusted so far vouch for it; gives whether TLS changes.
    fn take_card(&mut self, card: CardBytes, effects: &mut Vec<Effect>) -> bool {
        let verified = ServerCard::parse(&card.0).and_then(|parsed| parsed.verify(&self.memory.pins));
        let known = self.trust.as_ref().map_or(0, |trust| trust.epoch);
        match verified {
            Ok(trust) if trust.epoch >= known => {
                let before = self.memory.pins.clone();
                self.go_by(card.0, trust);
                self.memory.pins != before
            }
            Ok(_) => {
                effects.push(Effect::Say(
                    "A card of an older life of the server is not taken.".to_owned(),
                ));
                false
            }
            Err(error) => {
                effects.push(Effect::Say(format!(
                    "The server's new card is not taken: {error}."
                )));
                false
            }
        }
    }

    fn go_by(&mut self, card: Vec<u8>, trust: Trust) {
        self.memory.pins.clone_from(&trust.authorities);
        if !trust.addresses.is_empty() {
            self.memory.addresses.clone_from(&trust.addresses);
        }
        self.memory.card = Some(CardBytes(card));
        self.trust = Some(trust);
    }
}

fn read(opened: &Opened<'_>, asked: Kind, introduced: Option<Trust>) -> Result<Believed, Unbelieved> {
    match (asked, opened.header().kind) {
        (_, Kind::REFUSED) => Ok(Believed::Refused(opened.message()?)),
        (Kind::ENROL, Kind::ENROLLED) => {
            let trust = introduced.ok_or(Unbelieved::OtherKind)?;
            Ok(Believed::Enrolled(
                opened.message()?,
                opened.attachment().to_vec(),
                trust,
            ))
        }
        (Kind::CHECK_IN, Kind::CHECKED_IN) => Ok(Believed::CheckedIn(opened.message()?)),
        (Kind::DOCUMENTS, Kind::DOCUMENTS_TAKEN) => Ok(Believed::Taken(opened.message()?)),
        (Kind::RENEW, Kind::RENEWED) => Ok(Believed::Renewed(opened.message()?)),
        _ => Err(Unbelieved::OtherKind),
    }
}

/// From when until when the first certificate counts, in microseconds since 1970 UTC; from now on if it cannot be read, so that it is renewed soon.
fn span_of(certificates: &[Vec<u8>], now: i64) -> (i64, i64) {
    let first = certificates.first().and_then(|certificate| validity(certificate));
    first.map_or((now, now), |(from, until)| {
        (from.as_microsecond(), until.as_microsecond())
    })
}
