//! When a stanza of a host means a source that is known: by what its releases call themselves and who signs them, never by
//! its address, so that thirty mirrors of one archive are one source.

use super::release::ReleaseFacts;
use std::collections::BTreeSet;

/// What the releases of a source call themselves. It stays as long as the source does: a Suite that moves on with time
/// (`stable`, then `oldstable`) is no part of it, except for the pocket after its first hyphen, without which Ubuntu's
/// `noble-updates` and `noble-security` (both of Codename `noble`) could not be told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIdentity {
    /// `Origin`; empty where a release has none, here and below.
    pub origin: String,
    /// `Label`.
    pub label: String,
    /// `Codename`, or `Suite` where there is none.
    pub codename: String,
    /// What follows the first hyphen of `Suite`, where there is a Codename too: `security` of `stable-security`.
    pub pocket: String,
}

/// What a release says of itself, as far as it identifies its source: out of a verified release, or as a host's own
/// lists have it, whom nobody has verified yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim<'a> {
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Label`.
    pub label: Option<&'a str>,
    /// `Suite`.
    pub suite: Option<&'a str>,
    /// `Codename`.
    pub codename: Option<&'a str>,
}

impl<'a> From<&'a ReleaseFacts> for Claim<'a> {
    fn from(release: &'a ReleaseFacts) -> Self {
        Self {
            origin: release.origin.as_deref(),
            label: release.label.as_deref(),
            suite: release.suite.as_deref(),
            codename: release.codename.as_deref(),
        }
    }
}

impl SourceIdentity {
    /// The identity that a claim amounts to; `None` for a release that says nothing at all of itself, which could be
    /// any.
    pub fn of(claim: Claim<'_>) -> Option<Self> {
        let filled = |text: Option<&str>| {
            text.map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let (suite, codename) = (filled(claim.suite), filled(claim.codename));
        let pocket = match (&codename, &suite) {
            (Some(_), Some(suite)) => suite.split_once('-').map(|(_, pocket)| pocket.to_owned()),
            _ => None,
        };
        let identity = Self {
            origin: filled(claim.origin).unwrap_or_default(),
            label: filled(claim.label).unwrap_or_default(),
            codename: codename.or(suite).unwrap_or_default(),
            pocket: pocket.unwrap_or_default(),
        };
        let says_nothing =
            identity.origin.is_empty() && identity.label.is_empty() && identity.codename.is_empty();
        (!says_nothing).then_some(identity)
    }
}

/// A source, as far as stanzas are matched with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSource<Id> {
    /// Its id, by whatever the caller calls it.
    pub id: Id,
    /// What its releases call themselves.
    pub identity: SourceIdentity,
    /// Fingerprints of the certificates that may sign it, upper-case hexadecimal.
    pub keys: BTreeSet<String>,
}

/// A stanza of a host, as far as it is matched with sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What the releases that the host has of it call themselves; absent where the host never fetched one.
    pub identity: Option<SourceIdentity>,
    /// Fingerprints of the certificates that the host lets sign it.
    pub keys: BTreeSet<String>,
}

/// The source that a stanza means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<Id> {
    /// This one.
    Source(Id),
    /// None that is known: it is to be proposed to the administrator.
    New,
    /// One is called so, but signed by other keys than the host accepts. It is another publisher's until somebody who
    /// knows says otherwise, so it is to be proposed too.
    OtherKeys(Id),
    /// Nobody can tell: the host never fetched its release file, or that says nothing of itself.
    Unnamed,
}

/// Finds the source that a stanza means. Equal in name is not enough: some certificate has to be trusted by the host and
/// be one that may sign the source. Whether what was signed holds with the very keys of the host is the verifier's
/// question, later.
pub fn find<Id: Copy>(asked: &Asked, known: &[KnownSource<Id>]) -> Match<Id> {
    let Some(identity) = &asked.identity else {
        return Match::Unnamed;
    };
    let mut namesake = None;
    for source in known.iter().filter(|source| source.identity == *identity) {
        if !source.keys.is_disjoint(&asked.keys) {
            return Match::Source(source.id);
        }
        namesake = namesake.or(Some(source.id));
    }
    namesake.map_or(Match::New, Match::OtherKeys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim<'a>(origin: &'a str, label: &'a str, suite: &'a str, codename: &'a str) -> Claim<'a> {
        Claim {
            origin: Some(origin),
            label: Some(label),
            suite: Some(suite),
            codename: Some(codename),
        }
    }

    fn keys(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_suite_that_moves_on_with_time_leaves_its_source_the_same() {
        // Fields as Debian's archive had them before and after trixie was released.
        let before = claim(
            "Debian",
            "Debian-Security",
            "stable-security",
            "bookworm-security",
        );
        let after = claim(
            "Debian",
            "Debian-Security",
            "oldstable-security",
            "bookworm-security",
        );
        assert_eq!(SourceIdentity::of(before), SourceIdentity::of(after));
        let stable = claim("Debian", "Debian", "stable", "bookworm");
        assert_eq!(
            SourceIdentity::of(stable),
            SourceIdentity::of(claim("Debian", "Debian", "oldstable", "bookworm"))
        );
        assert_ne!(SourceIdentity::of(stable), SourceIdentity::of(before));
    }

    #[test]
    fn pockets_of_one_codename_are_different_sources() {
        // Fields as Ubuntu's archive has them.
        let of = |suite| SourceIdentity::of(claim("Ubuntu", "Ubuntu", suite, "noble"));
        let all = [
            of("noble"),
            of("noble-updates"),
            of("noble-security"),
            of("noble-backports"),
        ];
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn a_release_that_says_nothing_of_itself_is_nobodys() {
        assert_eq!(SourceIdentity::of(Claim::default()), None);
        assert_eq!(SourceIdentity::of(claim("", " ", "", "")), None);
        let asked = Asked {
            identity: None,
            keys: keys(&["AA"]),
        };
        assert_eq!(find::<u8>(&asked, &[]), Match::Unnamed);
    }

    #[test]
    fn a_name_alone_matches_no_source_and_neither_do_keys_alone() {
        let debian =
            SourceIdentity::of(claim("Debian", "Debian", "stable", "bookworm")).expect("it has a name");
        let other = SourceIdentity::of(claim("Debian", "Debian", "stable", "trixie")).expect("it has a name");
        let known = [KnownSource {
            id: 1,
            identity: debian.clone(),
            keys: keys(&["AA", "BB"]),
        }];
        let asked = |identity: &SourceIdentity, fingerprints: &[&str]| Asked {
            identity: Some(identity.clone()),
            keys: keys(fingerprints),
        };
        assert_eq!(find(&asked(&debian, &["BB", "CC"]), &known), Match::Source(1));
        assert_eq!(find(&asked(&debian, &["CC"]), &known), Match::OtherKeys(1));
        assert_eq!(find(&asked(&debian, &[]), &known), Match::OtherKeys(1));
        assert_eq!(find(&asked(&other, &["AA", "BB"]), &known), Match::New);
    }

    #[test]
    fn of_two_sources_of_one_name_the_one_with_the_hosts_keys_is_meant() {
        let identity =
            SourceIdentity::of(claim("Example", "Example", "stable", "stable")).expect("it has a name");
        let source = |id, fingerprints: &[&str]| KnownSource {
            id,
            identity: identity.clone(),
            keys: keys(fingerprints),
        };
        let known = [source(1, &["AA"]), source(2, &["BB"])];
        let asked = Asked {
            identity: Some(identity.clone()),
            keys: keys(&["BB"]),
        };
        assert_eq!(find(&asked, &known), Match::Source(2));
    }
}
