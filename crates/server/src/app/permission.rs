//! Who may do what: the one table of permissions (verb × noun), how far a grant reaches, and what follows from a set of
//! grants. Roles are data made of these words; nothing is allowed that no grant allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use domain::id::{SiteId, TenantId};

/// A text that names no permission of the table.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no permission; they are listed at /api/v1/permissions")]
pub struct NoPermission(pub String);

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$item:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {$($(#[$item])* $name,)*}

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its word in texts.
            pub const fn text(self) -> &'static str {
                match self {$(Self::$name => $text),*}
            }

            fn parse(text: &str) -> Option<Self> {
                match text {$($text => Some(Self::$name),)* _ => None}
            }
        }
    };
}

words! {
    /// What is done.
    Verb {
        /// See it.
        Read = "read",
        /// Make a new one.
        Create = "create",
        /// Change one that is there.
        Change = "change",
        /// End one: retire, revoke or delete it.
        Remove = "remove",
        /// Let a waiting one in.
        Approve = "approve",
        /// Have the server do its work on it now.
        Run = "run",
    }
}

words! {
    /// What it is done to, in the words of the glossary.
    Noun {
        /// Customers and departments.
        Tenant = "tenant",
        /// Places of hosts.
        Site = "site",
        /// Managed computers.
        Host = "host",
        /// Tokens with which hosts enrol.
        EnrolmentToken = "enrolment-token",
        /// People who log in.
        User = "user",
        /// Named sets of permissions.
        Role = "role",
        /// Tokens of programs, other people's included.
        Token = "token",
        /// Upstream feeds.
        Source = "source",
        /// What a source published at one sync.
        Snapshot = "snapshot",
        /// What vendors release.
        Update = "update",
        /// What hosts are missing.
        Finding = "finding",
        /// What is to be done to hosts, and what becomes of it.
        Change = "change",
        /// Which packages a verified source answers for.
        Coverage = "coverage",
        /// Who did what.
        Audit = "audit",
        /// Room on disk.
        Storage = "storage",
        /// How the server does.
        Health = "health",
        /// The root authority that agents trust.
        Authority = "authority",
    }
}

/// What a noun belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// To the server: only a grant that reaches the whole server counts.
    Server,
    /// To a tenant: a grant for the tenant counts too.
    Tenant,
    /// To a site or its tenant: a grant for the site counts too.
    Site,
}

/// The table: each noun, where it belongs, and what can be done to it.
pub const TABLE: &[(Noun, Level, &[Verb])] = &[
    (
        Noun::Tenant,
        Level::Tenant,
        &[Verb::Read, Verb::Create, Verb::Change, Verb::Remove],
    ),
    (
        Noun::Site,
        Level::Site,
        &[Verb::Read, Verb::Create, Verb::Change, Verb::Remove],
    ),
    (
        Noun::Host,
        Level::Site,
        &[Verb::Read, Verb::Change, Verb::Remove, Verb::Approve],
    ),
    (
        Noun::EnrolmentToken,
        Level::Site,
        &[Verb::Read, Verb::Create, Verb::Remove],
    ),
    (
        Noun::User,
        Level::Tenant,
        &[Verb::Read, Verb::Create, Verb::Change, Verb::Remove],
    ),
    (
        Noun::Role,
        Level::Tenant,
        &[Verb::Read, Verb::Create, Verb::Change, Verb::Remove],
    ),
    (
        Noun::Token,
        Level::Tenant,
        &[Verb::Read, Verb::Create, Verb::Remove],
    ),
    (
        Noun::Source,
        Level::Tenant,
        &[
            Verb::Read,
            Verb::Create,
            Verb::Change,
            Verb::Remove,
            Verb::Approve,
            Verb::Run,
        ],
    ),
    (Noun::Snapshot, Level::Tenant, &[Verb::Read]),
    (Noun::Update, Level::Tenant, &[Verb::Read]),
    (Noun::Finding, Level::Site, &[Verb::Read]),
    (Noun::Coverage, Level::Site, &[Verb::Read]),
    (
        Noun::Change,
        Level::Tenant,
        &[Verb::Read, Verb::Create, Verb::Change, Verb::Approve],
    ),
    (Noun::Audit, Level::Tenant, &[Verb::Read]),
    (Noun::Storage, Level::Server, &[Verb::Read, Verb::Run]),
    (Noun::Health, Level::Server, &[Verb::Read]),
    (Noun::Authority, Level::Server, &[Verb::Read, Verb::Change]),
];

/// One thing that may be done: a verb and a noun of [`TABLE`]. Its text is `verb:noun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    noun: Noun,
    verb: Verb,
}

impl Permission {
    /// The permission of a verb and a noun, if the table has it.
    pub const fn of(verb: Verb, noun: Noun) -> Option<Self> {
        let mut row = 0;
        while row < TABLE.len() {
            if TABLE[row].0 as u8 == noun as u8 {
                let mut at = 0;
                while at < TABLE[row].2.len() {
                    if TABLE[row].2[at] as u8 == verb as u8 {
                        return Some(Self { noun, verb });
                    }
                    at += 1;
                }
            }
            row += 1;
        }
        None
    }

    /// Every permission there is.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE
            .iter()
            .flat_map(|&(noun, _, verbs)| verbs.iter().map(move |&verb| Self { noun, verb }))
    }

    /// What is done.
    pub const fn verb(self) -> Verb {
        self.verb
    }

    /// What it is done to.
    pub const fn noun(self) -> Noun {
        self.noun
    }

    /// What the noun belongs to.
    pub fn level(self) -> Level {
        let row = TABLE.iter().find(|(noun, ..)| *noun == self.noun);
        row.expect("a permission is made from a row of the table").1
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.verb.text(), self.noun.text())
    }
}

impl FromStr for Permission {
    type Err = NoPermission;

    fn from_str(text: &str) -> Result<Self, NoPermission> {
        let (verb, noun) = text
            .split_once(':')
            .ok_or_else(|| NoPermission(text.to_owned()))?;
        Verb::parse(verb)
            .zip(Noun::parse(noun))
            .and_then(|(verb, noun)| Self::of(verb, noun))
            .ok_or_else(|| NoPermission(text.to_owned()))
    }
}

/// How far a grant reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// The server itself and all its tenants.
    Server,
    /// One tenant.
    Tenant(TenantId),
    /// One site of a tenant.
    Site(TenantId, SiteId),
}

impl Reach {
    /// Does a grant that reaches `self` reach `other` too?
    pub fn has(self, other: Self) -> bool {
        match (self, other) {
            (Self::Server, _) => true,
            (Self::Tenant(mine), Self::Tenant(other) | Self::Site(other, _)) => mine == other,
            (Self::Site(..), Self::Site(..)) => self == other,
            _ => false,
        }
    }

    /// What two reaches have in common.
    fn meet(self, other: Self) -> Option<Self> {
        if self.has(other) {
            Some(other)
        } else {
            other.has(self).then_some(self)
        }
    }

    /// The tenant that it lies in.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Server => None,
            Self::Tenant(tenant) | Self::Site(tenant, _) => Some(tenant),
        }
    }
}

/// Where in a tenant something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Within {
    /// Nowhere.
    Nowhere,
    /// In these sites only; never empty.
    Sites(BTreeSet<SiteId>),
    /// In all of it.
    Everywhere,
}

/// All that somebody may do: what each permission reaches. Made from grants; a token's from its own and its maker's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(BTreeMap<Permission, BTreeSet<Reach>>);

impl Rights {
    /// Everything, everywhere.
    pub fn all() -> Self {
        Self::of([(Permission::all().collect(), Reach::Server)])
    }

    /// The sum of grants: each a role's permissions and how far they reach. A grant below the level that a noun
    /// belongs to gives nothing: nobody manages the server's roles by a grant for a site.
    pub fn of(grants: impl IntoIterator<Item = (BTreeSet<Permission>, Reach)>) -> Self {
        let mut rights = Self::default();
        for (permissions, reach) in grants {
            for permission in permissions {
                rights.add(permission, reach);
            }
        }
        rights
    }

    fn add(&mut self, permission: Permission, reach: Reach) {
        let counts = match permission.level() {
            Level::Server => reach == Reach::Server,
            Level::Tenant => !matches!(reach, Reach::Site(..)),
            Level::Site => true,
        };
        let reaches = self.0.get(&permission);
        if counts && !reaches.is_some_and(|reaches| reaches.iter().any(|wider| wider.has(reach))) {
            let reaches = self.0.entry(permission).or_default();
            reaches.retain(|narrower| !reach.has(*narrower));
            reaches.insert(reach);
        }
    }

    /// May this be done there?
    pub fn allow(&self, permission: Permission, there: Reach) -> bool {
        self.0
            .get(&permission)
            .is_some_and(|reaches| reaches.iter().any(|reach| reach.has(there)))
    }

    /// Where in a tenant this may be done.
    pub fn within(&self, permission: Permission, tenant: TenantId) -> Within {
        if self.allow(permission, Reach::Tenant(tenant)) {
            return Within::Everywhere;
        }
        let reaches = self.0.get(&permission).into_iter().flatten();
        let sites: BTreeSet<_> = reaches
            .filter_map(|reach| match reach {
                Reach::Site(of, site) if *of == tenant => Some(*site),
                _ => None,
            })
            .collect();
        if sites.is_empty() {
            Within::Nowhere
        } else {
            Within::Sites(sites)
        }
    }

    /// May the caller know that this tenant exists?
    pub fn know(&self, tenant: TenantId) -> bool {
        self.0
            .values()
            .flatten()
            .any(|reach| reach.tenant() == Some(tenant))
            || self.0.iter().any(|(permission, reaches)| {
                permission.level() != Level::Server && reaches.contains(&Reach::Server)
            })
    }

    /// The tenants for which this is allowed, or none when it is allowed for all of them.
    pub fn tenants_of(&self, permission: Permission) -> Option<BTreeSet<TenantId>> {
        let reaches = self.0.get(&permission).into_iter().flatten();
        reaches.map(|reach| reach.tenant()).collect()
    }

    /// Is everything that these allow allowed by the others too?
    pub fn are_within(&self, others: &Self) -> bool {
        self.pairs()
            .all(|(permission, reach)| others.allow(permission, reach))
    }

    /// What both allow.
    #[must_use]
    pub fn meet(&self, others: &Self) -> Self {
        let mut both = Self::default();
        for (permission, mine) in self.pairs() {
            for other in others.0.get(&permission).into_iter().flatten() {
                if let Some(reach) = mine.meet(*other) {
                    both.add(permission, reach);
                }
            }
        }
        both
    }

    /// Each permission with each of its reaches.
    pub fn pairs(&self) -> impl Iterator<Item = (Permission, Reach)> {
        self.0
            .iter()
            .flat_map(|(permission, reaches)| reaches.iter().map(move |reach| (*permission, *reach)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const TENANTS: [TenantId; 2] = [TenantId([1; 16]), TenantId([2; 16])];
    const SITES: [SiteId; 2] = [SiteId([1; 16]), SiteId([2; 16])];

    fn places() -> Vec<Reach> {
        let sites = TENANTS
            .iter()
            .flat_map(|&tenant| SITES.iter().map(move |&site| Reach::Site(tenant, site)));
        [Reach::Server]
            .into_iter()
            .chain(TENANTS.map(Reach::Tenant))
            .chain(sites)
            .collect()
    }

    type Grants = Vec<(BTreeSet<Permission>, Reach)>;

    fn grants() -> impl Strategy<Value = Grants> {
        let permissions = btree_set(select(Permission::all().collect::<Vec<_>>()), 0..6);
        vec((permissions, select(places())), 0..5)
    }

    /// The rule word by word, over the grants as they were given.
    fn is_granted(grants: &Grants, permission: Permission, there: Reach) -> bool {
        grants.iter().any(|(permissions, reach)| {
            let belongs = match permission.level() {
                Level::Server => *reach == Reach::Server,
                Level::Tenant => matches!(reach, Reach::Server | Reach::Tenant(_)),
                Level::Site => true,
            };
            let reaches = match (reach, there) {
                (Reach::Server, _) => true,
                (Reach::Tenant(a), Reach::Tenant(b)) => *a == b,
                (Reach::Tenant(a), Reach::Site(b, _)) => *a == b,
                (Reach::Site(a, s), Reach::Site(b, t)) => *a == b && *s == t,
                _ => false,
            };
            permissions.contains(&permission) && belongs && reaches
        })
    }

    proptest! {
        #[test]
        fn rights_allow_what_some_grant_allows_and_nothing_else(grants in grants()) {
            let rights = Rights::of(grants.clone());
            for permission in Permission::all() {
                for there in places() {
                    prop_assert_eq!(rights.allow(permission, there), is_granted(&grants, permission, there));
                }
            }
        }

        #[test]
        fn a_token_never_has_more_than_its_maker(maker in grants(), wanted in grants()) {
            let (maker, wanted) = (Rights::of(maker), Rights::of(wanted));
            let token = wanted.meet(&maker);
            for permission in Permission::all() {
                for there in places() {
                    let both = wanted.allow(permission, there) && maker.allow(permission, there);
                    prop_assert_eq!(token.allow(permission, there), both);
                }
            }
            prop_assert!(token.are_within(&maker));
            prop_assert_eq!(wanted.are_within(&maker), token == wanted);
        }

        #[test]
        fn a_tenant_is_known_only_to_whom_something_is_granted_in_it(grants in grants()) {
            let rights = Rights::of(grants.clone());
            for tenant in TENANTS {
                let something = Permission::all().filter(|permission| permission.level() != Level::Server).any(|permission| {
                    is_granted(&grants, permission, Reach::Tenant(tenant))
                        || SITES.iter().any(|&site| is_granted(&grants, permission, Reach::Site(tenant, site)))
                });
                prop_assert_eq!(rights.know(tenant), something);
            }
        }
    }

    #[test]
    fn each_permission_reads_back_its_text() {
        for permission in Permission::all() {
            assert_eq!(permission.to_string().parse(), Ok(permission));
        }
        for wrong in [
            "",
            "read",
            "read:",
            ":host",
            "create:host",
            "read:hosts",
            "READ:host",
            "read:host ",
        ] {
            assert!(wrong.parse::<Permission>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_noun_has_one_row() {
        for noun in Noun::ALL {
            assert_eq!(
                TABLE.iter().filter(|(of, ..)| of == noun).count(),
                1,
                "{}",
                noun.text()
            );
        }
    }
}
