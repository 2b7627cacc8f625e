//! What apt prints, read: the list of upgradable packages and simulated upgrades. Of apt 2.2, 2.6 and 3.0.

use anyhow::{Context, bail};
use std::collections::BTreeSet;

/// The format in which `apt list` is asked to print: one package a line, its words parted by `|`.
pub const LIST_FORMAT: &str =
    "${Package}|${Architecture}|${installed:Version}|${candidate:Version}|${Origin}|${db::Status-Abbrev}";

/// An installed package with a newer candidate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pending {
    /// Name, without architecture.
    pub name: String,
    /// Architecture of the installed version, `all` included.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// The version that apt would install.
    pub candidate: String,
}

/// What a simulated upgrade would do, by package names as apt prints them: `name`, or `name:architecture` for a
/// foreign one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulated {
    /// Installed packages that get another version: name, version before, version after.
    pub upgraded: BTreeSet<(String, String, String)>,
    /// Packages that would be newly installed: name, version.
    pub new: BTreeSet<(String, String)>,
    /// Packages that would be removed.
    pub removed: BTreeSet<String>,
    /// Packages listed under "have been kept back".
    pub kept_back: BTreeSet<String>,
    /// Packages listed under "have been deferred due to phasing" (apt 2.5.4 and later; earlier ones count them as kept back).
    pub deferred: BTreeSet<String>,
}

/// Reads what `apt list --upgradable` prints in [`LIST_FORMAT`].
pub fn parse_list(text: &str) -> anyhow::Result<BTreeSet<Pending>> {
    let mut pending = BTreeSet::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && *line != "Listing...")
    {
        let line = line.strip_prefix("Listing... ").unwrap_or(line);
        let words: Vec<&str> = line.split('|').collect();
        let [name, architecture, installed, candidate, _suites, _status] = words.as_slice() else {
            bail!("apt list printed a line of another form: {line}");
        };
        pending.insert(Pending {
            name: (*name).to_owned(),
            architecture: (*architecture).to_owned(),
            installed: (*installed).to_owned(),
            candidate: (*candidate).to_owned(),
        });
    }
    Ok(pending)
}

/// Reads what `apt-get -s` prints.
pub fn parse_simulation(text: &str) -> anyhow::Result<Simulated> {
    let mut simulated = Simulated::default();
    let mut section = Section::Other;
    for line in text.lines() {
        if let Some(names) = line.strip_prefix("  ") {
            let names = names.split_whitespace().map(str::to_owned);
            match section {
                Section::KeptBack => simulated.kept_back.extend(names),
                Section::Deferred => simulated.deferred.extend(names),
                Section::Other => {}
            }
            continue;
        }
        section = Section::of(line);
        if let Some(rest) = line.strip_prefix("Inst ") {
            let action =
                inst(rest).with_context(|| format!("apt-get printed a line of another form: {line}"))?;
            match action {
                (name, Some(before), after) => simulated.upgraded.insert((name, before, after)),
                (name, None, after) => simulated.new.insert((name, after)),
            };
        } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
            simulated
                .removed
                .extend(rest.split_whitespace().next().map(str::to_owned));
        }
    }
    Ok(simulated)
}

#[derive(Clone, Copy)]
enum Section {
    KeptBack,
    Deferred,
    Other,
}

impl Section {
    fn of(line: &str) -> Self {
        match line {
            _ if line.contains("kept back") => Section::KeptBack,
            _ if line.contains("due to phasing") => Section::Deferred,
            _ => Section::Other,
        }
    }
}

/// `name[:arch] [before] (after suites [arch]) ...` as (name, before, after).
fn inst(text: &str) -> Option<(String, Option<String>, String)> {
    let (name, rest) = text.split_once(' ')?;
    let (before, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest
            .split_once("] ")
            .map(|(before, rest)| (Some(before.to_owned()), rest))?,
        None => (None, rest),
    };
    let after = rest.strip_prefix('(')?.split([' ', ')']).next()?;
    Some((name.to_owned(), before, after.to_owned()))
}
