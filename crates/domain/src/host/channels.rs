//! Where a host's packages may come from, and what it prefers: stanzas, pins, architectures and the settings of
//! apt.conf that change the answer. This is what the host says; what is published there is in [`crate::catalog`].

/// All that a host is configured to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelConfig {
    /// dpkg's own architecture, such as `amd64`.
    pub native_architecture: String,
    /// Foreign architectures in the order in which they were added.
    pub foreign_architectures: Vec<String>,
    /// The sources of packages, in apt's order; disabled ones and deb-src are left out.
    pub stanzas: Vec<Stanza>,
    /// Preferences in apt's order: what comes first wins.
    pub pins: Vec<Pin>,
    /// apt.conf settings that change which update is offered.
    pub settings: Settings,
}

impl ChannelConfig {
    /// Native first, then foreign, as apt orders them.
    pub fn architectures(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.native_architecture.as_str())
            .chain(self.foreign_architectures.iter().map(String::as_str))
    }
}

/// One configured source: one address, one suite (sources.list(5)). A deb822 stanza with several URIs or suites is several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// The file that configures it, as seen from inside the host's tree.
    pub file: String,
    /// The line in that file at which it begins, from 1.
    pub line: u32,
    /// Address of the archive, always with a trailing slash.
    pub uri: String,
    /// Suite such as `bookworm-security`; for a flat repository a path that ends in a slash (`./`).
    pub suite: String,
    /// Components; empty for a flat repository.
    pub components: Vec<String>,
    /// Architectures to fetch, after the stanza's own `arch` options were applied.
    pub architectures: Vec<String>,
    /// Which keys may sign it.
    pub signed_by: SignedBy,
    /// `trusted=`: whether its signature matters.
    pub trust: Trust,
    /// `check-valid-until=`; absent means apt.conf decides.
    pub check_valid_until: Option<bool>,
    /// `valid-until-min=` in seconds.
    pub valid_until_min_seconds: Option<i64>,
    /// `valid-until-max=` in seconds.
    pub valid_until_max_seconds: Option<i64>,
    /// `check-date=`; absent means apt.conf decides.
    pub check_date: Option<bool>,
    /// `date-max-future=` in seconds.
    pub date_max_future_seconds: Option<i64>,
    /// `allow-weak=`, `allow-insecure=`: named in explanations, never obeyed.
    pub weakened: bool,
    /// `by-hash=`: absent means as the release file says.
    pub by_hash: Option<ByHash>,
}

impl Stanza {
    /// A stanza without options, as `deb uri suite component...` in `/etc/apt/sources.list` would be read.
    pub fn new(uri: &str, suite: &str, components: &[&str], architectures: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            file: "/etc/apt/sources.list".to_owned(),
            line: 1,
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            components: owned(components),
            architectures: owned(architectures),
            signed_by: SignedBy::Common,
            trust: Trust::Signature,
            check_valid_until: None,
            valid_until_min_seconds: None,
            valid_until_max_seconds: None,
            check_date: None,
            date_max_future_seconds: None,
            weakened: false,
            by_hash: None,
        }
    }

    /// Whether this is a flat repository: no `dists/`, no components.
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }
}

/// Which keys may sign a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The host's common keys: `/etc/apt/trusted.gpg` and `/etc/apt/trusted.gpg.d/`.
    Common,
    /// Named key files and fingerprints.
    Named {
        /// Absolute paths inside the host's tree.
        files: Vec<String>,
        /// Upper-case hexadecimal fingerprints. apt's rule: a fingerprint without files limits the common keys;
        /// `exact` after a fingerprint (`!`) accepts no subkey of it.
        fingerprints: Vec<FingerprintChoice>,
    },
    /// An armoured key block inside the stanza.
    Inline(String),
}

/// A key named by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintChoice {
    /// 40 or 64 upper-case hexadecimal digits.
    pub fingerprint: String,
    /// Whether subkeys of it may sign too.
    pub subkeys: Subkeys,
}

/// Whether a named key stands for its subkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subkeys {
    /// The key or any of its subkeys.
    Included,
    /// This very key (`!`).
    Excluded,
}

/// The `trusted` option of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The signature decides.
    #[default]
    Signature,
    /// `trusted=yes`: the host believes it unsigned. Patchyard shows its packages as unverified.
    Always,
    /// `trusted=no`: the host never believes it.
    Never,
}

/// The `by-hash` option of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHash {
    /// Only if the release file says so.
    Yes,
    /// Never.
    No,
    /// Always.
    Force,
}

/// One record of preferences (apt_preferences(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The file that holds it.
    pub file: String,
    /// The line at which its record begins, from 1.
    pub line: u32,
    /// The `Package` field's words; `*` alone makes it a rule for listings.
    pub packages: Vec<String>,
    /// What it matches.
    pub matcher: PinMatcher,
    /// Its priority.
    pub priority: PinPriority,
}

/// The `Pin` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinMatcher {
    /// `version`: a version, a prefix with `*`, a glob or a /regular expression/.
    Version(String),
    /// `source-version`: the same of the source package's version (apt 2.9.9 and later).
    SourceVersion(String),
    /// `release`: the text after the word, such as `a=stable, o=Debian`.
    Release(String),
    /// `origin`: a host name, quoted or not.
    Origin(String),
}

/// The `Pin-Priority` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PinPriority {
    /// `never`: no version from there is ever offered.
    Never,
    /// −32767 to 32767, never 0.
    Value(i16),
}

/// Settings of apt.conf(5) that change which update is offered or which snapshot is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `APT::Default-Release`.
    pub default_release: Option<String>,
    /// `APT::Get::Always-Include-Phased-Updates`, or update-manager's setting of the same name.
    pub phased: PhasedChoice,
    /// `APT::Get::Phase-Policy`: phasing lowers the candidate's priority instead of keeping it back.
    pub phase_policy: bool,
    /// `APT::Ignore-Hold`.
    pub ignore_hold: bool,
    /// `Acquire::Check-Valid-Until` (default true).
    pub check_valid_until: bool,
    /// `Acquire::Check-Date` (default true).
    pub check_date: bool,
    /// `Acquire::Max-ValidTime` and per-label forms are resolved here, in seconds; 0 is no limit.
    pub max_valid_seconds: i64,
    /// `Acquire::Min-ValidTime` in seconds; 0 is none.
    pub min_valid_seconds: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_release: None,
            phased: PhasedChoice::ByMachineId,
            phase_policy: false,
            ignore_hold: false,
            check_valid_until: true,
            check_date: true,
            max_valid_seconds: 0,
            min_valid_seconds: 0,
        }
    }
}

/// Whether the host takes updates that are still being phased in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhasedChoice {
    /// The machine-id decides.
    #[default]
    ByMachineId,
    /// All at once.
    Always,
    /// Only once they reach everyone.
    Never,
}
