//! What people and programs can do, one file a noun; called by the HTTP handlers and by the command line.

pub mod agent_package;
pub mod at_risk;
pub mod audit;
pub mod authority;
pub mod backup;
pub mod caller;
pub mod change;
pub mod coverage;
pub mod deployment;
pub mod enrolment_token;
pub mod finding;
pub mod grant;
pub mod health;
pub mod host;
pub mod link;
pub mod log_in;
pub mod password;
pub mod permission;
pub mod refusal;
pub mod role;
pub mod secret;
pub mod shape;
pub mod site;
pub mod slow_down;
pub mod source;
pub mod storage;
pub mod support;
pub mod tenant;
pub mod text;
pub mod token;
pub mod totp;
pub mod update;
pub mod user;

use std::str::FromStr;

use self::refusal::Refusal;
use self::shape::IdText;

/// An id that somebody sent in a field.
fn parse_id<I: FromStr>(field: &'static str, text: &IdText) -> Result<I, Refusal> {
    text.0
        .parse()
        .map_err(|_no_id| Refusal::invalid(field, "it is named by its id, a UUID"))
}
