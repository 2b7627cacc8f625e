//! Names that people, hosts and archives gave: whoever hands out what the server keeps, and must hide who is meant, looks
//! for these.

use crate::value::{Row, values};
use crate::{Error, View, Whole};
use std::ops::ControlFlow;

/// What bears a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bearer {
    /// A host, by its name or one of its tags.
    Host,
    /// A network address that a host came from.
    Address,
    /// A tenant.
    Tenant,
    /// A site.
    Site,
    /// A person, by log-in name or the name shown.
    User,
    /// A token of a program, or one by which hosts enrol.
    Token,
    /// A role that is not built in.
    Role,
    /// A source.
    Source,
}

/// Each query gives one text a row.
const QUERIES: [(Bearer, &str); 11] = [
    (Bearer::Host, "SELECT name FROM hosts"),
    (Bearer::Host, "SELECT DISTINCT tag FROM host_tags"),
    (Bearer::Address, "SELECT DISTINCT address FROM liveness"),
    (Bearer::Tenant, "SELECT name FROM tenants"),
    (Bearer::Site, "SELECT name FROM sites"),
    (Bearer::User, "SELECT name FROM users"),
    (Bearer::User, "SELECT display_name FROM users"),
    (Bearer::Token, "SELECT name FROM tokens"),
    (Bearer::Token, "SELECT name FROM enrolment_tokens"),
    (Bearer::Role, "SELECT name FROM roles WHERE is_built_in = 0"),
    (Bearer::Source, "SELECT name FROM sources"),
];

/// Hands over every name that somebody gave; one may come more than once.
///
/// # Errors
/// Of the database.
pub fn each(view: &mut View, _: &Whole, mut take: impl FnMut(Bearer, String)) -> Result<(), Error> {
    for (bearer, sql) in QUERIES {
        view.each(sql, values![], |row: &Row| {
            take(bearer, row.get(0)?);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(())
}
