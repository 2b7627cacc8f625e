//! Refusals: each kind has one reaction, and words for a person. What is refused stays refused until the server or a person
//! changes its mind; meanwhile the agent asks again rarely, so that a mistake at the server mends itself here too.

use super::memory::{OldIdentity, Phase, RENEWABLE_SECONDS};
use super::{ClockTaken, Effect, Enrolment, Memory, Moment, Seed, Session, Stop, Trouble};
use crate::transport::failure::span;
use jiff::SignedDuration;
use protocol::message::Kind;
use protocol::message::refused::{RefusalKind, Refused};

/// How often a host that waits for approval asks, if the server does not say, in seconds.
const PENDING_SECONDS: u32 = 60;
/// How often a host asks that the server has stopped, in seconds.
const STOPPED_SECONDS: u32 = 3_600;
/// How often a retired host asks, in seconds.
const RETIRED_SECONDS: u32 = 86_400;

impl Session {
    pub(super) fn refused(
        &mut self,
        refused: Refused,
        asked: Kind,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        let later = refused.retry_after_seconds;
        match refused.kind {
            RefusalKind::Clock if self.now.clock == ClockTaken::No => {
                // The server's time was taken from its answer: with that the same request is right.
                self.now.clock = ClockTaken::Yes;
                self.save(effects);
                self.ask_again(asked, moment, effects);
            }
            RefusalKind::Expired if asked != Kind::RENEW => self.ask_to_renew(moment, effects),
            // An answer that was lost may have used the link up: then it is the link that is old, and no copy is at work.
            RefusalKind::Superseded if asked == Kind::RENEW && self.memory.next_check_in.is_some() => {
                self.stop(Stop::Expired, &refused, STOPPED_SECONDS, moment, effects);
            }
            RefusalKind::Superseded => self.become_a_copy(moment, effects),
            RefusalKind::Answered => {
                // Its name was used up, as by a copy of this disk: under that name nothing is answered any more.
                self.memory.next_check_in = None;
                self.save(effects);
                self.pause(later, moment, effects);
            }
            RefusalKind::Pending => self.wait_for_approval(later, moment, effects),
            RefusalKind::SpentToken | RefusalKind::WrongSite if asked == Kind::ENROL => {
                self.memory = Memory {
                    sequence: self.memory.sequence,
                    formerly: self.memory.formerly,
                    ..Memory::default()
                };
                self.trust = None;
                self.save(effects);
                self.tell(words(&refused, self.now.clock_off_seconds), effects);
                effects.push(Effect::Rest);
            }
            RefusalKind::Retired => self.stop(Stop::Retired, &refused, RETIRED_SECONDS, moment, effects),
            RefusalKind::Quarantined => {
                self.stop(Stop::Quarantined, &refused, STOPPED_SECONDS, moment, effects)
            }
            RefusalKind::Unknown => self.stop(Stop::Unknown, &refused, STOPPED_SECONDS, moment, effects),
            RefusalKind::Version => self.stop(Stop::Version, &refused, STOPPED_SECONDS, moment, effects),
            RefusalKind::Expired => self.stop(Stop::Expired, &refused, RETIRED_SECONDS, moment, effects),
            RefusalKind::Busy
            | RefusalKind::Clock
            | RefusalKind::SpentToken
            | RefusalKind::WrongSite
            | RefusalKind::Malformed
            | RefusalKind::TooLarge
            | RefusalKind::Unrecognised => {
                self.tell(words(&refused, self.now.clock_off_seconds), effects);
                self.now.hold_seconds = 0;
                self.pause(later, moment, effects);
            }
        }
    }

    /// Sleeps until somebody may have approved this host.
    pub(super) fn wait_for_approval(
        &mut self,
        later: Option<u32>,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Enrolled { stop, .. } = &mut self.memory.phase
            && *stop != Some(Stop::Pending)
        {
            *stop = Some(Stop::Pending);
            self.save(effects);
        }
        let trouble = Trouble::new(
            "This host waits for somebody to approve it.",
            "approve it on the server with `patchyard host approve`.",
        );
        self.tell(trouble, effects);
        self.now.hold_seconds = 0;
        self.pause(Some(later.unwrap_or(PENDING_SECONDS)), moment, effects);
    }

    fn ask_again(&mut self, asked: Kind, moment: &Moment, effects: &mut Vec<Effect>) {
        match asked {
            Kind::ENROL => self.ask_to_enrol(moment, effects),
            Kind::RENEW => self.ask_to_renew(moment, effects),
            Kind::CHECK_IN => self.check_in(moment, effects),
            // Documents are asked for again by the next check-in.
            _ => self.end_round(moment, effects),
        }
    }

    /// Another host has gone on with this identity: it keeps it, and this one asks for its own.
    fn become_a_copy(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let old = match (&self.memory.phase, self.memory.key) {
            (Phase::Enrolled { host, .. }, Some(key)) => OldIdentity { host: *host, key },
            (Phase::Enrolling(Enrolment::Copy(old)), _) => old.clone(),
            _ => {
                let trouble = Trouble::new(
                    "The server takes this host for a copy of another one.",
                    "run `patchyard-agent forget` and enrol it with a new token.",
                );
                self.tell(trouble, effects);
                return effects.push(Effect::Rest);
            }
        };
        effects.push(Effect::Say(format!(
            "Another host has gone on with the identity {}: this one is a copy, and asks for an identity of its own.",
            old.host
        )));
        self.memory.formerly = Some(old.host);
        self.memory.last_check_in = None;
        self.memory.phase = Phase::Enrolling(Enrolment::Copy(old));
        self.memory.key = Some(Seed(moment.chance.draw("host key")));
        self.now.hold_seconds = 0;
        self.memory.next_check_in = None;
        self.save(effects);
        effects.push(Effect::Reconnect);
        self.ask_to_enrol(moment, effects);
    }

    /// The server serves this host no more until something changes there.
    fn stop(
        &mut self,
        why: Stop,
        refused: &Refused,
        ask_seconds: u32,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Enrolled { stop, .. } = &mut self.memory.phase
            && *stop != Some(why)
        {
            *stop = Some(why);
            self.save(effects);
        }
        self.tell(words(refused, self.now.clock_off_seconds), effects);
        self.now.hold_seconds = 0;
        let later = refused.retry_after_seconds.unwrap_or(ask_seconds);
        self.pause(Some(later), moment, effects);
    }

    fn tell(&mut self, trouble: Trouble, effects: &mut Vec<Effect>) {
        if self.now.trouble.as_ref() != Some(&trouble) {
            effects.push(Effect::Say(trouble.to_string()));
        }
        self.now.trouble = Some(trouble);
    }
}

/// A refusal in our words; the server's own sentence is foreign text and stands only where it says more.
fn words(refused: &Refused, clock_off_seconds: i64) -> Trouble {
    let theirs = crate::shown::harmless(&refused.sentence, 300);
    let days = RENEWABLE_SECONDS / 86_400;
    let (sentence, step) = match refused.kind {
        RefusalKind::Expired => (
            format!("This host slept for more than {days} days after its certificate ended, so that it cannot be renewed."),
            "run `patchyard-agent enrol` with a new token; the server knows the host again.",
        ),
        RefusalKind::Clock => {
            let side = if clock_off_seconds < 0 { "behind" } else { "ahead of" };
            let off = span(SignedDuration::from_secs(clock_off_seconds));
            (
                format!("This host's clock is {off} {side} the server's."),
                "set it, for example with `timedatectl set-ntp true`; if this host is right, set the server's.",
            )
        }
        RefusalKind::Unknown => (
            "The server does not know this host; perhaps it was removed there, or the server was set up anew.".to_owned(),
            "run `patchyard-agent enrol` with a new token from `patchyard enrol`.",
        ),
        RefusalKind::Retired => (
            "This host was retired on the server.".to_owned(),
            "remove the agent, or run `patchyard-agent enrol` with a new token to bring the host back.",
        ),
        RefusalKind::Quarantined => (
            "This host's identity was seen in two places, so the server stopped it until somebody has looked.".to_owned(),
            "look at the host on the server with `patchyard host show`, and release it there.",
        ),
        RefusalKind::Superseded => (
            "Another host has gone on with this host's identity.".to_owned(),
            "nothing: this host asks for an identity of its own.",
        ),
        RefusalKind::Answered => (
            "The server has answered this host's request before.".to_owned(),
            "nothing: this host asks anew.",
        ),
        RefusalKind::Version => (
            format!("The server does not speak with agents of version {}.", env!("CARGO_PKG_VERSION")),
            "install the agent package of that server.",
        ),
        RefusalKind::SpentToken => (
            format!("The enrolment token was used already, has expired or was withdrawn. The server says: {theirs}"),
            "get another with `patchyard enrol` on the server.",
        ),
        RefusalKind::WrongSite => (
            format!("The enrolment token is for another site. The server says: {theirs}"),
            "get a token for this host's site with `patchyard enrol --site`.",
        ),
        RefusalKind::Pending => (
            "This host waits for somebody to approve it.".to_owned(),
            "approve it on the server with `patchyard host approve`.",
        ),
        RefusalKind::Busy => (
            "The server has too much to do.".to_owned(),
            "nothing: the agent comes back when the server asked it to.",
        ),
        RefusalKind::Malformed | RefusalKind::TooLarge | RefusalKind::Unrecognised => (
            format!("The server does not take what this host sends. It says: {theirs}"),
            "report this to whoever looks after the server; its log says more.",
        ),
    };
    Trouble::new(sentence, step)
}
