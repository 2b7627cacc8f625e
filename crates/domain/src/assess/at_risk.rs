//! Which installed packages a warning is about, before any source says so: packages in a range of versions, or what a
//! vendor's notice names by hand as fixed in which version. Versions are compared in Debian's order.

use super::fleet::PackageKey;
use crate::version::deb;
use std::cmp::Ordering;

/// What a warning is about. A package is meant if any of its ranges holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warning {
    /// The ranges.
    pub ranges: Vec<Range>,
}

/// Packages of one name in a range of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which packages.
    pub name: Name,
    /// The first version that is meant; absent: the first there ever was.
    pub from: Option<String>,
    /// The first version that is not meant any more; absent: there is none yet.
    pub fixed: Option<String>,
    /// Only hosts of this release (os-release `VERSION_CODENAME`), because each release has a fixed version of its own;
    /// absent: hosts of any.
    pub codename: Option<String>,
}

/// How a range names packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// By the installed package; its own version counts.
    Package(String),
    /// By the source package, as vendors' notices do; the source's version counts.
    Source(String),
}

/// A range that holds nothing: its end is not after its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no version is from {from} on and below {fixed}; the versions may be the wrong way round")]
pub struct EmptyRange {
    from: String,
    fixed: String,
}

impl Range {
    /// The same range, if it holds any version at all.
    ///
    /// # Errors
    /// [`EmptyRange`].
    pub fn checked(self) -> Result<Self, EmptyRange> {
        match (&self.from, &self.fixed) {
            (Some(from), Some(fixed)) if deb::compare(from, fixed) != Ordering::Less => Err(EmptyRange {
                from: from.clone(),
                fixed: fixed.clone(),
            }),
            _ => Ok(self),
        }
    }

    /// Whether it holds this package, on hosts of its release.
    pub fn holds(&self, package: PackageKey<'_>) -> bool {
        let (is_named, version) = match &self.name {
            Name::Package(name) => (*name == package.name, package.version),
            Name::Source(name) => (*name == package.source, package.source_version),
        };
        is_named
            && self
                .from
                .as_ref()
                .is_none_or(|from| deb::compare(version, from).is_ge())
            && self
                .fixed
                .as_ref()
                .is_none_or(|fixed| deb::compare(version, fixed).is_lt())
    }

    /// Whether it concerns hosts of this release. A host that does not say its release may be of any.
    pub fn is_for(&self, codename: Option<&str>) -> bool {
        match (&self.codename, codename) {
            (Some(only), Some(codename)) => only == codename,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::inventory::BuildFingerprint;

    fn package<'a>(
        name: &'a str,
        version: &'a str,
        source: &'a str,
        source_version: &'a str,
    ) -> PackageKey<'a> {
        PackageKey {
            name,
            architecture: "amd64",
            version,
            source,
            source_version,
            fingerprint: BuildFingerprint::default(),
        }
    }

    fn fixed_in(source: &str, version: &str) -> Range {
        Range {
            name: Name::Source(source.to_owned()),
            from: None,
            fixed: Some(version.to_owned()),
            codename: None,
        }
    }

    #[test]
    fn a_vendors_notice_is_about_every_package_of_the_source_that_is_below_the_fixed_version() {
        // DSA-5417-1: openssl 1.1.1n-0+deb11u5 and 3.0.9-1.
        let notice = fixed_in("openssl", "3.0.9-1");
        assert!(notice.holds(package("libssl3", "3.0.8-1", "openssl", "3.0.8-1")));
        assert!(!notice.holds(package("libssl3", "3.0.9-1", "openssl", "3.0.9-1")));
        assert!(!notice.holds(package("openssl", "3.0.8-1", "openssl-backported", "3.0.8-1")));
        // 3.0.9-1~deb12u1 comes before 3.0.9-1 in Debian's order.
        assert!(notice.holds(package(
            "libssl3",
            "3.0.9-1~deb12u1",
            "openssl",
            "3.0.9-1~deb12u1"
        )));
    }

    #[test]
    fn of_a_binary_rebuild_the_sources_version_counts() {
        let notice = fixed_in("bash", "5.2.15-2");
        let rebuilt = package("bash", "5.2.15-2+b7", "bash", "5.2.15-2");
        assert!(!notice.holds(rebuilt));
        let by_package = Range {
            name: Name::Package("bash".to_owned()),
            from: Some("5.2.15-2+b1".to_owned()),
            fixed: Some("5.2.15-2+b8".to_owned()),
            codename: None,
        };
        assert!(by_package.holds(rebuilt));
        assert!(!by_package.holds(package("bash", "5.2.15-2", "bash", "5.2.15-2")));
    }

    #[test]
    fn a_release_has_its_own_fixed_version_and_a_host_that_says_none_may_be_of_any() {
        let only = Range {
            codename: Some("bookworm".to_owned()),
            ..fixed_in("openssl", "3.0.9-1")
        };
        assert!(only.is_for(Some("bookworm")) && only.is_for(None));
        assert!(!only.is_for(Some("trixie")));
    }

    #[test]
    fn a_range_the_wrong_way_round_is_refused() {
        let range = |from: &str, fixed: &str| Range {
            from: Some(from.to_owned()),
            ..fixed_in("openssl", fixed)
        };
        assert!(range("3.0.0-1", "3.0.9-1").checked().is_ok());
        assert!(range("3.0.10-1", "3.0.9-1").checked().is_err());
        assert!(range("3.0.9-1", "3.0.9-1").checked().is_err());
    }
}
