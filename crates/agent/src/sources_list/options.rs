//! The options of a source: their names in both syntaxes and what their values mean.

use super::{Architectures, Context};
use crate::apt_conf::{AptConf, split_list};
use crate::words::{decimal, split_spaces, strip, truth};
use domain::host::channels::{ByHash, FingerprintChoice, SignedBy, Subkeys, Trust};
use std::collections::BTreeMap;

/// deb822's field, the one-line option that it is, and whether its words are a list.
pub(super) const FIELDS: [(&str, &str, bool); 18] = [
    ("Architectures", "arch", true),
    ("Architectures-Add", "arch+", true),
    ("Architectures-Remove", "arch-", true),
    ("Languages", "lang", true),
    ("Languages-Add", "lang+", true),
    ("Languages-Remove", "lang-", true),
    ("Targets", "target", true),
    ("Targets-Add", "target+", true),
    ("Targets-Remove", "target-", true),
    ("Trusted", "trusted", false),
    ("Check-Valid-Until", "check-valid-until", false),
    ("Valid-Until-Min", "valid-until-min", false),
    ("Valid-Until-Max", "valid-until-max", false),
    ("Check-Date", "check-date", false),
    ("Date-Max-Future", "date-max-future", false),
    ("Signed-By", "signed-by", false),
    ("PDiffs", "pdiffs", false),
    ("By-Hash", "by-hash", false),
];

/// Options that only the one-line syntax has.
const ONE_LINE_ONLY: [&str; 5] = [
    "allow-insecure",
    "allow-weak",
    "allow-downgrade-to-insecure",
    "inrelease-path",
    "snapshot",
];

/// The beginning of an armoured key block.
const KEY_BLOCK: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Architectures that one source may name.
const ARCHITECTURES: usize = 64;

/// What is wrong with an option's value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OptionError {
    #[error("Signed-By names neither an absolute path nor a fingerprint of 40 digits: “{0}”")]
    SignedBy(String),
    #[error("more than {ARCHITECTURES} architectures")]
    Architectures,
}

/// The options of one entry under their one-line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options(BTreeMap<String, String>);

impl Options {
    /// Sets an option; the last value of a name counts.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names that apt does not know.
    pub(super) fn unknown(&self, conf: &AptConf) -> Vec<String> {
        let targets = conf.names_below("Acquire::IndexTargets::deb");
        let is_known = |name: &str| {
            FIELDS.iter().any(|(_, option, _)| *option == name)
                || ONE_LINE_ONLY.contains(&name)
                || targets.iter().any(|target| target == name)
        };
        self.0.keys().filter(|name| !is_known(name)).cloned().collect()
    }

    /// The architectures to fetch for, without the `all` that apt adds by itself.
    pub(super) fn architectures(&self, known: &Architectures) -> Result<Vec<String>, OptionError> {
        let default = || known.configured.iter().chain(&known.barbarian).cloned().collect();
        let architectures = self.plus_minus("arch", default);
        if architectures.len() > ARCHITECTURES {
            Err(OptionError::Architectures)
        } else {
            Ok(architectures)
        }
    }

    /// Whether apt would never fetch an index of architecture-independent packages for it.
    pub(super) fn refuses_all(&self) -> bool {
        self.get("arch-")
            .is_some_and(|removed| split_list(removed, ',').iter().any(|name| name == "all"))
    }

    /// Whether package indexes are fetched at all.
    pub(super) fn wants_packages(&self, context: &Context<'_>) -> bool {
        const PACKAGES: &str = "Packages";
        let below = "Acquire::IndexTargets::deb";
        let default = || {
            let targets = context.conf.names_below(below).into_iter();
            targets
                .filter(|name| {
                    context
                        .conf
                        .truth(&format!("{below}::{name}::DefaultEnabled"), true)
                })
                .collect()
        };
        let wanted = self
            .plus_minus("target", default)
            .iter()
            .any(|target| target == PACKAGES);
        match self.get(PACKAGES) {
            // apt adds the target for any value that is not plainly false.
            Some(value) => truth(value).unwrap_or(true),
            None => wanted,
        }
    }

    /// A list that an option replaces, and its forms with `+` and `-` change.
    fn plus_minus(&self, name: &str, default: impl FnOnce() -> Vec<String>) -> Vec<String> {
        let list = |suffix: &str| {
            self.get(&format!("{name}{suffix}"))
                .map(|value| split_list(value, ','))
        };
        let mut values = list("").unwrap_or_else(default);
        for added in list("+").unwrap_or_default() {
            if !values.contains(&added) {
                values.push(added);
            }
        }
        let removed = list("-").unwrap_or_default();
        values.retain(|value| !value.is_empty() && !removed.contains(value));
        values
    }

    pub(super) fn trust(&self) -> Trust {
        match self.get("trusted").map(|value| truth(value).unwrap_or(false)) {
            None => Trust::Signature,
            Some(true) => Trust::Always,
            Some(false) => Trust::Never,
        }
    }

    /// A truth value of three: yes, no, not said. Words that mean neither count as yes: what cannot be understood
    /// never switches a check off.
    pub(super) fn check(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| truth(value).unwrap_or(true))
    }

    /// Names of checks whose value means neither yes nor no.
    pub(super) fn unclear_checks(&self) -> impl Iterator<Item = &str> {
        let checks = ["check-valid-until", "check-date"];
        checks
            .into_iter()
            .filter(|name| self.get(name).is_some_and(|value| truth(value).is_none()))
    }

    /// Seconds; zero and absent are one.
    pub(super) fn seconds(&self, name: &str) -> Option<i64> {
        self.get(name).map(decimal).filter(|&seconds| seconds != 0)
    }

    pub(super) fn by_hash(&self) -> Option<ByHash> {
        self.get("by-hash").map(|value| match truth(value) {
            _ if value == "force" => ByHash::Force,
            Some(false) => ByHash::No,
            _ => ByHash::Yes,
        })
    }

    /// Which of the three ways to weaken a source are open, by option or by configuration.
    pub(super) fn weakenings(&self, conf: &AptConf) -> [bool; 3] {
        let is_on = |option: &str, setting: &str| {
            let default = conf.truth(setting, false);
            self.get(option)
                .map_or(default, |value| truth(value).unwrap_or(default))
        };
        [
            is_on("allow-insecure", "Acquire::AllowInsecureRepositories"),
            is_on("allow-weak", "Acquire::AllowWeakRepositories"),
            is_on(
                "allow-downgrade-to-insecure",
                "Acquire::AllowDowngradeToInsecureRepositories",
            ),
        ]
    }

    /// An own place of the InRelease file, relative to the suite.
    pub(super) fn inrelease_path(&self) -> Option<&str> {
        self.get("inrelease-path")
    }

    /// A snapshot by id, which apt 3.0 resolves to another address.
    pub(super) fn snapshot(&self) -> Option<&str> {
        self.get("snapshot").filter(|value| truth(value) != Some(false))
    }

    /// The keys that the entry names; `None` if it names none.
    pub(super) fn signed_by(&self) -> Result<Option<SignedBy>, OptionError> {
        let Some(value) = self.get("signed-by").filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if value.contains(KEY_BLOCK) {
            let lines = value
                .lines()
                .map(strip)
                .map(|line| if line == "." { "" } else { line });
            return Ok(Some(SignedBy::Inline(
                lines.flat_map(|line| [line, "\n"]).collect(),
            )));
        }
        let invalid = |word: &str| OptionError::SignedBy(word.to_owned());
        let (mut files, mut fingerprints) = (Vec::new(), Vec::new());
        for word in split_spaces(value)
            .flat_map(|word| word.split(','))
            .filter(|word| !word.is_empty())
        {
            if word.starts_with('/') {
                files.push(word.to_owned());
            } else {
                fingerprints.push(fingerprint(word).ok_or_else(|| invalid(word))?);
            }
        }
        if files.is_empty() && fingerprints.is_empty() {
            return Err(invalid(value));
        }
        Ok(Some(SignedBy::Named { files, fingerprints }))
    }
}

fn fingerprint(word: &str) -> Option<FingerprintChoice> {
    let (digits, subkeys) = match word.strip_suffix('!') {
        Some(digits) => (digits, Subkeys::Excluded),
        None => (word, Subkeys::Included),
    };
    let is_fingerprint = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_fingerprint.then(|| FingerprintChoice {
        fingerprint: digits.to_ascii_uppercase(),
        subkeys,
    })
}
