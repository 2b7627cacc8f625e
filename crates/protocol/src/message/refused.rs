//! Refusals: why a request is not answered, and when to ask again. Each has one reaction of the agent.

use super::{Kind, Message};
use serde::{Deserialize, Serialize};

/// The server refuses. Its time is in the header of the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub kind: RefusalKind,
    /// The same for people, with what to do next.
    pub sentence: String,
    /// When to ask again, in seconds; absent where asking again changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The host's certificate is past its end: renew, nothing else.
    Expired,
    /// The time of sending is too far from the server's: take the server's from the header and ask again.
    Clock,
    /// The server knows no such key: enrol anew. The only refusal that asks for it.
    Unknown,
    /// The host was retired: stop until somebody enrols it again.
    Retired,
    /// The identity was seen in two places and is stopped until somebody has looked.
    Quarantined,
    /// Another host has gone on with this identity: ask as a copy, with a new key.
    Superseded,
    /// The request was answered before, and others after it: ask again under a new name.
    Answered,
    /// The agent's version or protocol is not spoken here: report, wait to be upgraded.
    Version,
    /// The enrolment token was used up, has expired or never was: get another.
    SpentToken,
    /// The enrolment token is for another site.
    WrongSite,
    /// Somebody must approve the host first: ask again later.
    Pending,
    /// The server has too much to do: ask again later.
    Busy,
    /// The message cannot be read or contradicts itself.
    Malformed,
    /// Something is above a limit.
    TooLarge,
    /// A reason of a later version: ask again later.
    #[serde(other)]
    Unrecognised,
}

impl Message for Refused {
    const KIND: Kind = Kind::REFUSED;
}
