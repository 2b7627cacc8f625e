//! Why apt or dpkg failed, as a kind, from their own words in the C locale (apt 2.2 to 3.0, dpkg 1.20 to 1.22). Words that are not
//! known are a failure of the package manager, and nothing more is claimed.

use domain::rollout::deployment::Failure;

/// Words and what they mean, the first that stands anywhere counting: a full disk also fails scripts, and a failed script also
/// makes apt complain.
const WORDS: [(&str, Failure); 16] = [
    ("No space left on device", Failure::DiskFull),
    ("You don't have enough free space", Failure::DiskFull),
    ("Disk quota exceeded", Failure::DiskFull),
    ("Could not get lock", Failure::Busy),
    ("Unable to acquire the dpkg frontend lock", Failure::Busy),
    ("Unable to lock the administration directory", Failure::Busy),
    ("is locked by another process", Failure::Busy),
    ("script subprocess returned error exit status", Failure::Script),
    ("script subprocess was killed by signal", Failure::Script),
    ("Sub-process /usr/bin/dpkg received signal", Failure::Interrupted),
    (
        "Sub-process /usr/bin/dpkg exited unexpectedly",
        Failure::Interrupted,
    ),
    ("dpkg was interrupted", Failure::Interrupted),
    ("needs to be reinstalled", Failure::Interrupted),
    ("Held packages were changed", Failure::HostChanged),
    ("Packages were downgraded and -y was used", Failure::HostChanged),
    ("unmet dependencies", Failure::Differs),
];

/// The kind of a failure, by what was said.
pub(crate) fn classify(text: &str) -> Failure {
    let found = WORDS.iter().find(|(words, _)| text.contains(words));
    found.map_or(Failure::PackageManager, |(_, kind)| *kind)
}

/// The sentence of a failure: the package that dpkg could not process with its reason, else apt's first error.
pub(crate) fn sentence(text: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let broken = lines
        .iter()
        .position(|line| line.starts_with("dpkg: error processing"));
    if let Some(at) = broken {
        let why = lines.get(at + 1).copied().unwrap_or_default();
        return Some(format!("{} {why}", lines[at]));
    }
    let is_error = |line: &&&str| line.starts_with("E:") || line.starts_with("dpkg: error");
    lines.iter().find(is_error).map(|line| (*line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debian 12 prints when a package's script fails.
    const SCRIPT: &str = "Setting up victim (2) ...\ndpkg: error processing package victim (--configure):\n installed victim \
        package post-installation script subprocess returned error exit status 3\nErrors were encountered while \
        processing:\n victim\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n";

    #[test]
    fn a_failure_is_named_by_the_package_managers_own_words() {
        assert_eq!(classify(SCRIPT), Failure::Script);
        let said = sentence(SCRIPT).unwrap_or_default();
        assert!(
            said.contains("victim (--configure)") && said.contains("exit status 3"),
            "{said}"
        );
        assert_eq!(
            classify("E: something of a later version"),
            Failure::PackageManager
        );
        assert_eq!(sentence("nothing of an error"), None);
    }
}
