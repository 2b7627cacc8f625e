//! Who asks: a person with a session, a program with a token, or the command line on the server's own machine; and what
//! each may do at this moment.

use domain::id::{SiteId, TenantId, TokenId, UserId};
use jiff::{SignedDuration, Timestamp};
pub use store::Scope;
use store::Whole;

use super::permission::{Permission, Reach, Rights, Within};
use super::refusal::Refusal;

/// For how long a second factor that was shown counts as fresh.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// Who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A person.
    User(UserId),
    /// A program, with a token.
    Token(TokenId),
    /// The command line on this machine.
    Local,
}

/// Somebody whose credentials hold.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub who: Who,
    /// The name to show and to write into audit records.
    pub name: String,
    /// The person behind it: himself, or the token's maker.
    pub user: Option<UserId>,
    /// All that may be done.
    pub rights: Rights,
    /// When the second factor was last shown; none for those who have none.
    pub factor_at: Option<Timestamp>,
}

impl Caller {
    /// The command line on this machine: whoever can read its token could read the database too.
    pub fn local() -> Self {
        Self {
            who: Who::Local,
            name: "local".to_owned(),
            user: None,
            rights: Rights::all(),
            factor_at: None,
        }
    }

    /// The 16 bytes that stand for him beside his idempotency keys; zeros for the local command line.
    pub const fn principal(&self) -> [u8; 16] {
        match self.who {
            Who::User(user) => user.0,
            Who::Token(token) => token.0,
            Who::Local => [0; 16],
        }
    }

    /// The rows of one tenant, if this may be done there.
    ///
    /// # Errors
    /// Not found where the caller may not know the tenant, not allowed otherwise.
    pub fn scope(&self, permission: Permission, tenant: TenantId) -> Result<(Scope, Within), Refusal> {
        if !self.rights.know(tenant) {
            return Err(Refusal::NotFound { what: "tenant" });
        }
        match self.rights.within(permission, tenant) {
            Within::Nowhere => Err(Refusal::NotAllowed(permission)),
            within => Ok((Scope::of_tenant(tenant), within)),
        }
    }

    /// The rows of the whole server, if this may be done there.
    ///
    /// # Errors
    /// Not allowed.
    pub fn whole(&self, permission: Permission) -> Result<Whole, Refusal> {
        match self.rights.allow(permission, Reach::Server) {
            true => Ok(Whole::server()),
            false => Err(Refusal::NotAllowed(permission)),
        }
    }

    /// Was the second factor shown lately? Programs have none: what they may do was decided when their token was made.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        match self.who {
            Who::Token(_) | Who::Local => true,
            Who::User(_) => self.factor_at.is_some_and(|at| {
                let age = now.duration_since(at);
                !age.is_negative() && age <= FRESH_FOR
            }),
        }
    }
}

/// A tenant's rows that a request may touch.
#[derive(Clone, Debug)]
pub struct Place {
    /// The tenant.
    pub scope: Scope,
    /// Where in it.
    pub within: Within,
}

impl Place {
    /// May something at this site be touched?
    ///
    /// # Errors
    /// Not found: whoever has other sites need not know of this one.
    pub fn reaches(&self, site: SiteId, what: &'static str) -> Result<(), Refusal> {
        match &self.within {
            Within::Everywhere => Ok(()),
            Within::Sites(sites) if sites.contains(&site) => Ok(()),
            Within::Sites(_) | Within::Nowhere => Err(Refusal::NotFound { what }),
        }
    }

    /// The site that a list is narrowed to: the one that is asked for, or the caller's only one.
    ///
    /// # Errors
    /// A refusal that asks for a site where the caller has several.
    pub fn narrow(&self, asked: Option<SiteId>) -> Result<Option<SiteId>, Refusal> {
        match (&self.within, asked) {
            (Within::Everywhere, asked) => Ok(asked),
            (_, Some(site)) => self.reaches(site, "site").map(|()| Some(site)),
            (Within::Sites(sites), None) if sites.len() == 1 => Ok(sites.first().copied()),
            (_, None) => Err(Refusal::invalid(
                "site",
                "you see several sites of this tenant: name one of them",
            )),
        }
    }
}
