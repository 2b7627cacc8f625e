//! The document of what a host is configured to use: stanzas, pins, architectures and settings, with the digests of the
//! keys that each stanza trusts, and what the release in the host's own lists calls itself, which nobody has verified.

use super::{Document, DocumentError, DocumentKind, Wire, WireDigest, wire_struct, wire_words};
use crate::limits;
use crate::wire::is_default;
use domain::digest::Sha256Digest;
use domain::host::address::without_login;
use domain::host::channels::{
    ByHash, ChannelConfig, FingerprintChoice, PhasedChoice, Pin, PinMatcher, PinPriority, Settings, SignedBy,
    Stanza, Subkeys, Trust,
};
use serde::{Deserialize, Serialize};

/// What a host is configured to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelConfigDocument {
    /// dpkg's own architecture.
    pub native_architecture: String,
    /// Foreign architectures, in the host's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_architectures: Vec<String>,
    /// The sources of packages in apt's order, at most [`limits::STANZAS`].
    pub stanzas: Vec<WireStanza>,
    /// Preferences in apt's order, at most [`limits::PINS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<WirePin>,
    /// Settings of apt.conf, where they are not apt's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: WireSettings,
    /// Whether apt would see itself in a chroot, where phasing does not count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub in_chroot: bool,
    /// What of the host's files could not be followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<HostProblem>,
}

/// What of a host's files could not be followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostProblem {
    /// The file, inside the host's tree.
    pub file: String,
    /// The line, from 1; absent for the whole file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub line: u32,
    /// What is wrong and what to do.
    pub what: String,
    /// What follows from it.
    pub effect: ProblemEffect,
}

/// What a problem leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemEffect {
    /// Worth knowing; the answer is whole.
    Noted,
    /// The entry counts as written, but the truth may be another: the host's standing is unknown.
    Doubted,
    /// The entry was left out: the host's standing is unknown.
    Skipped,
    /// As `Skipped`, and apt itself refuses to work.
    AptRefuses,
}

/// What goes with a stanza and is not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StanzaEvidence {
    /// Digests of the key files that may vouch for it, sorted; empty if none could be had.
    pub keys: Vec<Sha256Digest>,
    /// What the release in the host's own lists calls itself; absent if the host has none.
    pub release: Option<ReleaseClaim>,
}

/// What a release calls itself. Nobody has verified it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseClaim {
    /// `Origin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// `Label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `Suite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// `Codename`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
}

/// One configured source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireStanza {
    /// The file that configures it.
    pub file: String,
    /// The line at which it begins.
    pub line: u32,
    /// Address of the archive. A login in it never travels.
    pub uri: String,
    /// Suite, or path of a flat repository.
    pub suite: String,
    /// Components.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Architectures to fetch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// Which keys may sign it; absent for the host's common ones.
    #[serde(default, skip_serializing_if = "is_default")]
    pub signed_by: WireSignedBy,
    /// Whether its signature matters.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: WireTrust,
    /// `check-valid-until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_valid_until: Option<bool>,
    /// `valid-until-min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until_min_seconds: Option<i64>,
    /// `valid-until-max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until_max_seconds: Option<i64>,
    /// `check-date`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_date: Option<bool>,
    /// `date-max-future`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_max_future_seconds: Option<i64>,
    /// `allow-weak` or `allow-insecure`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weakened: bool,
    /// `by-hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hash: Option<WireByHash>,
    /// Digests of the key files that may vouch for it, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<WireDigest>,
    /// What the release in the host's own lists calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseClaim>,
}

/// Which keys may sign a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum WireSignedBy {
    /// The host's common keys.
    #[default]
    Common,
    /// Named files and fingerprints.
    Named {
        /// Paths inside the host's tree.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<String>,
        /// Fingerprints, each as `Signed-By` writes it: an exclamation mark at the end accepts no subkey.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fingerprints: Vec<String>,
    },
    /// An armoured key in the stanza.
    Inline {
        /// Its lines.
        lines: Vec<String>,
    },
}

/// The `trusted` option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireTrust {
    /// The signature decides.
    #[default]
    Signature,
    /// Believed unsigned.
    Always,
    /// Never believed.
    Never,
}

/// The `by-hash` option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireByHash {
    /// If the release file says so.
    Yes,
    /// Never.
    No,
    /// Always.
    Force,
}

/// One record of preferences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePin {
    /// The file that holds it.
    pub file: String,
    /// The line at which it begins.
    pub line: u32,
    /// The words of `Package`.
    pub packages: Vec<String>,
    /// What it matches.
    pub matcher: WireMatcher,
    /// −32767 to 32767, never 0; absent for `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i16>,
}

/// The `Pin` field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireMatcher {
    /// A version.
    Version(String),
    /// A source version.
    SourceVersion(String),
    /// Words of a release.
    Release(String),
    /// A host name.
    Origin(String),
}

/// Settings of apt.conf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSettings {
    /// `APT::Default-Release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_release: Option<String>,
    /// Whether phased updates are taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phased: WirePhased,
    /// `APT::Get::Phase-Policy`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase_policy: bool,
    /// `APT::Ignore-Hold`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignore_hold: bool,
    /// `Acquire::Check-Valid-Until`; absent if it is true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub check_valid_until: bool,
    /// `Acquire::Check-Date`; absent if it is true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub check_date: bool,
    /// `Acquire::Max-ValidTime`; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_valid_seconds: i64,
    /// `Acquire::Min-ValidTime`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_valid_seconds: i64,
}

/// Whether phased updates are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WirePhased {
    /// The machine-id decides.
    #[default]
    ByMachineId,
    /// All at once.
    Always,
    /// Only once they reach everyone.
    Never,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Default for WireSettings {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

wire_words!(
    WireTrust = Trust {
        Signature,
        Always,
        Never
    }
);
wire_words!(WireByHash = ByHash { Yes, No, Force });
wire_words!(
    WirePhased = PhasedChoice {
        ByMachineId,
        Always,
        Never
    }
);
wire_struct!(
    WireSettings = Settings {
        default_release,
        phased,
        phase_policy,
        ignore_hold,
        check_valid_until,
        check_date,
        max_valid_seconds,
        min_valid_seconds
    }
);

impl Wire for WireMatcher {
    type Domain = PinMatcher;

    fn of(matcher: &PinMatcher) -> Self {
        match matcher.clone() {
            PinMatcher::Version(text) => Self::Version(text),
            PinMatcher::SourceVersion(text) => Self::SourceVersion(text),
            PinMatcher::Release(text) => Self::Release(text),
            PinMatcher::Origin(text) => Self::Origin(text),
        }
    }

    fn into_domain(self) -> PinMatcher {
        match self {
            Self::Version(text) => PinMatcher::Version(text),
            Self::SourceVersion(text) => PinMatcher::SourceVersion(text),
            Self::Release(text) => PinMatcher::Release(text),
            Self::Origin(text) => PinMatcher::Origin(text),
        }
    }
}

impl Wire for WirePin {
    type Domain = Pin;

    fn of(pin: &Pin) -> Self {
        Self {
            file: pin.file.clone(),
            line: pin.line,
            packages: pin.packages.clone(),
            matcher: Wire::of(&pin.matcher),
            priority: match pin.priority {
                PinPriority::Never => None,
                PinPriority::Value(priority) => Some(priority),
            },
        }
    }

    fn into_domain(self) -> Pin {
        Pin {
            file: self.file,
            line: self.line,
            packages: self.packages,
            matcher: self.matcher.into_domain(),
            priority: self.priority.map_or(PinPriority::Never, PinPriority::Value),
        }
    }
}

impl Wire for WireSignedBy {
    type Domain = SignedBy;

    fn of(signed_by: &SignedBy) -> Self {
        match signed_by {
            SignedBy::Common => Self::Common,
            SignedBy::Named { files, fingerprints } => Self::Named {
                files: files.clone(),
                fingerprints: fingerprints
                    .iter()
                    .map(|choice| {
                        let mark = if choice.subkeys == Subkeys::Excluded {
                            "!"
                        } else {
                            ""
                        };
                        format!("{}{mark}", choice.fingerprint)
                    })
                    .collect(),
            },
            SignedBy::Inline(key) => Self::Inline {
                lines: key.split('\n').map(str::to_owned).collect(),
            },
        }
    }

    fn into_domain(self) -> SignedBy {
        match self {
            Self::Common => SignedBy::Common,
            Self::Named { files, fingerprints } => SignedBy::Named {
                files,
                fingerprints: fingerprints
                    .into_iter()
                    .map(|text| match text.strip_suffix('!') {
                        Some(fingerprint) => FingerprintChoice {
                            fingerprint: fingerprint.to_owned(),
                            subkeys: Subkeys::Excluded,
                        },
                        None => FingerprintChoice {
                            fingerprint: text,
                            subkeys: Subkeys::Included,
                        },
                    })
                    .collect(),
            },
            Self::Inline { lines } => SignedBy::Inline(lines.join("\n")),
        }
    }
}

impl WireStanza {
    fn of(stanza: &Stanza, evidence: &StanzaEvidence) -> Self {
        Self {
            file: stanza.file.clone(),
            line: stanza.line,
            uri: without_login(&stanza.uri),
            suite: stanza.suite.clone(),
            components: stanza.components.clone(),
            architectures: stanza.architectures.clone(),
            signed_by: Wire::of(&stanza.signed_by),
            trust: Wire::of(&stanza.trust),
            check_valid_until: stanza.check_valid_until,
            valid_until_min_seconds: stanza.valid_until_min_seconds,
            valid_until_max_seconds: stanza.valid_until_max_seconds,
            check_date: stanza.check_date,
            date_max_future_seconds: stanza.date_max_future_seconds,
            weakened: stanza.weakened,
            by_hash: Wire::of(&stanza.by_hash),
            keys: evidence.keys.iter().copied().map(WireDigest).collect(),
            release: evidence.release.clone(),
        }
    }

    fn into_domain(self) -> (Stanza, StanzaEvidence) {
        let evidence = StanzaEvidence {
            keys: self.keys.into_iter().map(|digest| digest.0).collect(),
            release: self.release,
        };
        let stanza = Stanza {
            file: self.file,
            line: self.line,
            uri: self.uri,
            suite: self.suite,
            components: self.components,
            architectures: self.architectures,
            signed_by: self.signed_by.into_domain(),
            trust: self.trust.into_domain(),
            check_valid_until: self.check_valid_until,
            valid_until_min_seconds: self.valid_until_min_seconds,
            valid_until_max_seconds: self.valid_until_max_seconds,
            check_date: self.check_date,
            date_max_future_seconds: self.date_max_future_seconds,
            weakened: self.weakened,
            by_hash: self.by_hash.into_domain(),
        };
        (stanza, evidence)
    }
}

impl ChannelConfigDocument {
    /// The document of a channel config, with what goes with each stanza in its order; what is missing there is empty.
    /// Key digests are sorted; chroot and problems are to be added.
    pub fn of(config: &ChannelConfig, evidence: &[StanzaEvidence]) -> Self {
        let none = StanzaEvidence::default();
        let stanzas = config.stanzas.iter().enumerate().map(|(place, stanza)| {
            let mut stanza = WireStanza::of(stanza, evidence.get(place).unwrap_or(&none));
            stanza.keys.sort_unstable();
            stanza.keys.dedup();
            stanza
        });
        Self {
            native_architecture: config.native_architecture.clone(),
            foreign_architectures: config.foreign_architectures.clone(),
            stanzas: stanzas.collect(),
            pins: Wire::of(&config.pins),
            settings: Wire::of(&config.settings),
            in_chroot: false,
            problems: Vec::new(),
        }
    }

    /// The channel config, and what goes with each of its stanzas.
    pub fn into_domain(self) -> (ChannelConfig, Vec<StanzaEvidence>) {
        let (stanzas, evidence) = self.stanzas.into_iter().map(WireStanza::into_domain).unzip();
        let config = ChannelConfig {
            native_architecture: self.native_architecture,
            foreign_architectures: self.foreign_architectures,
            stanzas,
            pins: self.pins.into_domain(),
            settings: self.settings.into_domain(),
        };
        (config, evidence)
    }
}

impl Document for ChannelConfigDocument {
    const KIND: DocumentKind = DocumentKind::ChannelConfig;

    fn check(&self) -> Result<(), DocumentError> {
        limits::within("stanzas", self.stanzas.len(), limits::STANZAS)?;
        limits::within("pins", self.pins.len(), limits::PINS)?;
        limits::within("problems", self.problems.len(), limits::PROBLEMS)?;
        for stanza in &self.stanzas {
            limits::within(
                "key files of a stanza",
                stanza.keys.len(),
                limits::KEYS_PER_STANZA,
            )?;
            if !stanza.keys.is_sorted_by(|one, next| one < next) {
                return Err(DocumentError::NotCanonical(
                    "the keys of a stanza are not sorted, or one is there twice",
                ));
            }
            if without_login(&stanza.uri) != stanza.uri {
                return Err(DocumentError::NotCanonical(
                    "the address of a stanza has a login in it",
                ));
            }
        }
        if self
            .pins
            .iter()
            .any(|pin| matches!(pin.priority, Some(0 | i16::MIN)))
        {
            return Err(DocumentError::NotCanonical(
                "a pin has a priority that does not exist",
            ));
        }
        Ok(())
    }
}
