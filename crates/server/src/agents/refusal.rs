//! Refusals: each kind with its sentence for people and when to ask again.

use super::registry::Entry;
use crate::clock::draw_below;
use crate::context::Context;
use protocol::envelope::{OpenError, ParseError};
use protocol::message::MessageError;
use protocol::message::refused::{RefusalKind, Refused};

/// A refusal on its way to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    kind: RefusalKind,
    /// More than the kind says, for people.
    detail: Option<String>,
}

/// The soonest that an agent which has to wait for a person asks again, in seconds.
const PERSON_SECONDS: u32 = 300;
/// The soonest that an agent asks again when the server cannot answer, in seconds.
const BUSY_SECONDS: u32 = 10;

impl Refusal {
    /// A refusal that its kind explains.
    pub(super) fn of(kind: RefusalKind) -> Self {
        Self { kind, detail: None }
    }

    /// A refusal with a sentence of its own.
    pub(super) fn with(kind: RefusalKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: Some(detail.into()),
        }
    }

    /// The link is not the last one, in a message that decides nothing about who the copy is: a check-in does.
    pub(super) fn check_in_first() -> Self {
        Self::with(
            RefusalKind::Busy,
            "The link was used already: the next check-in shows whether another host has it.",
        )
    }

    /// The database did not answer.
    pub(super) fn of_store(error: &store::Error) -> Self {
        tracing::error!(
            error = error as &dyn std::error::Error,
            next_step = error.next_step(),
            "The database failed under a request of an agent."
        );
        Self::of(RefusalKind::Busy)
    }

    pub(super) fn of_parse(error: &ParseError) -> Self {
        match error {
            ParseError::TooLarge(over) => Self::with(RefusalKind::TooLarge, format!("{over}.")),
            _ => Self::with(RefusalKind::Malformed, format!("{error}.")),
        }
    }

    pub(super) fn of_open(error: &OpenError) -> Self {
        match error {
            OpenError::Inflate(protocol::envelope::InflateError::TooLarge { .. }) => {
                Self::with(RefusalKind::TooLarge, format!("{error}."))
            }
            _ => Self::with(RefusalKind::Malformed, format!("{error}.")),
        }
    }

    pub(super) fn of_message(error: &MessageError) -> Self {
        match error {
            MessageError::TooLarge(over) => Self::with(RefusalKind::TooLarge, format!("{over}.")),
            _ => Self::with(RefusalKind::Malformed, format!("{error}.")),
        }
    }

    /// Tells the log, where an operator could act on it.
    pub(super) fn log(&self, entry: &Entry) {
        let host = entry.host().id();
        match self.kind {
            RefusalKind::Superseded => tracing::warn!(
                %host,
                "Two computers have the identity of host {host}: the later one was told to ask for its own."
            ),
            RefusalKind::Malformed | RefusalKind::TooLarge => tracing::warn!(
                %host,
                detail = self.detail.as_deref(),
                "A message of host {host} was refused."
            ),
            _ => tracing::debug!(%host, kind = ?self.kind, "A request of host {host} was refused."),
        }
    }

    pub(super) fn into_message(self, context: &Context) -> Refused {
        let retry_after = match self.kind {
            RefusalKind::Busy => Some(BUSY_SECONDS),
            RefusalKind::Pending | RefusalKind::Quarantined => Some(PERSON_SECONDS),
            RefusalKind::Version => Some(PERSON_SECONDS * 12),
            RefusalKind::Expired | RefusalKind::Clock | RefusalKind::Answered => Some(0),
            _ => None,
        };
        Refused {
            kind: self.kind,
            sentence: self.detail.unwrap_or_else(|| sentence(self.kind).to_owned()),
            retry_after_seconds: retry_after.map(|seconds| spread(context, seconds)),
        }
    }
}

/// The same time and up to twice of it, by chance, so that those who are refused together do not come again together.
fn spread(context: &Context, seconds: u32) -> u32 {
    let extra = draw_below(&*context.chance, u64::from(seconds) + 1);
    seconds + u32::try_from(extra).unwrap_or(seconds)
}

fn sentence(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Expired => "This host's certificate has ended. The agent renews it by itself.",
        RefusalKind::Clock => {
            "This host's clock is more than ten minutes off the server's. The agent goes on with the server's time; \
             set the clock right for everything else."
        }
        RefusalKind::Unknown => {
            "The server does not know this host. Enrol it: run the command that `patchyard enrol` prints."
        }
        RefusalKind::Retired => {
            "This host was retired. If it is to be managed again, run the command that `patchyard enrol` prints."
        }
        RefusalKind::Quarantined => {
            "This host's identity was seen in two places, and it waits for somebody to look: see `patchyard host`."
        }
        RefusalKind::Superseded => {
            "Another computer goes on with this host's identity. This one asks for an identity of its own."
        }
        RefusalKind::Answered => "The request was answered before. The agent asks anew by itself.",
        RefusalKind::Version => {
            "This agent's version is not served any more. Upgrade the package patchyard-agent."
        }
        RefusalKind::SpentToken => {
            "The enrolment token was used up, has expired or was never given out. Get another with `patchyard enrol`."
        }
        RefusalKind::WrongSite => "The enrolment token is for another site. Use the one for this site.",
        RefusalKind::Pending => "This host waits for approval: see `patchyard host list`.",
        RefusalKind::Busy => "The server cannot answer now. The agent asks again by itself.",
        RefusalKind::Malformed => "The server could not read the message.",
        RefusalKind::TooLarge => "The message is above a limit.",
        RefusalKind::Unrecognised => "The server refused.",
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::of_store(&error)
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        Self::of_message(&error)
    }
}
