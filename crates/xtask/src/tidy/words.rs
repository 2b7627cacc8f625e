//! Words that must not stand in the project: host names of package registries and archives, and paths of the machine at
//! hand. Both would tie the project, or who reads it, to one place.

use super::Outcome;
use crate::tree::Tree;
use std::fs;
use std::path::Path;

/// Well-known registries. Spelled with spaces, so that this file does not break its own rule.
const REGISTRIES: [&str; 13] = [
    "deb debian org",
    "ftp debian org",
    "security debian org",
    "snapshot debian org",
    "archive debian org",
    "archive ubuntu com",
    "security ubuntu com",
    "ports ubuntu com",
    "crates io",
    "registry npmjs org",
    "pypi org",
    "files pythonhosted org",
    "proxy golang org",
];

/// Files in which cargo itself writes the registry's name.
const EXEMPT: [&str; 1] = ["Cargo.lock"];

/// No file names a registry's host or a path of this machine.
pub fn foreign(tree: &Tree) -> Outcome {
    let mut words: Vec<String> = REGISTRIES.iter().map(|name| name.replace(' ', ".")).collect();
    words.extend(configured_hosts(Path::new("/etc/apt")));
    words.sort();
    words.dedup();
    if let Some(place) = place_of(tree.root()) {
        words.push(place);
    }
    let mut broken = Vec::new();
    for file in tree
        .texts()
        .iter()
        .filter(|file| !EXEMPT.contains(&file.path.as_str()))
    {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| stands_in(line, word)) {
                broken.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    Outcome::of(
        broken,
        format!("{} words in {} files", words.len(), tree.texts().len()),
    )
}

/// Whether `word` stands in `line` on its own, not as the end or beginning of a longer name or path.
fn stands_in(line: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let mut after = line[at + word.len()..].chars();
        let ends = word.ends_with('/')
            || !after
                .next()
                .is_some_and(|next| next.is_alphanumeric() || "-_".contains(next));
        !before.is_some_and(is_name) && ends
    })
}

/// The folder that the checkout stands in, with a slash at its end; nothing where that is a folder that every machine
/// has, which says nothing about this one.
fn place_of(root: &Path) -> Option<String> {
    const EVERYWHERE: [&str; 8] = [
        "/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/src", "/var/tmp",
    ];
    let parent = root.parent()?.to_str()?;
    (!EVERYWHERE.contains(&parent)).then(|| format!("{parent}/"))
}

/// Host names of the sources that this machine is configured to use, documentation names (RFC 2606), addresses and
/// loopback left out.
fn configured_hosts(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut hosts = Vec::new();
    for file in listed.chain([folder.join("sources.list")]) {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let lines = text
            .lines()
            .filter(|line| line.starts_with("deb") || line.starts_with("URIs:"));
        let words = lines.flat_map(str::split_whitespace);
        hosts.extend(words.filter_map(host_of).map(String::from));
    }
    hosts
}

fn host_of(address: &str) -> Option<&str> {
    let rest = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"))?;
    let host = rest.split(['/', ':']).next()?;
    let is_public = host.contains('.')
        && host.contains(|character: char| character.is_ascii_alphabetic())
        && ![".example", ".test", ".invalid", ".localhost"]
            .iter()
            .any(|end| host.ends_with(end));
    is_public.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_only_on_its_own() {
        assert!(stands_in(
            "see http://pkgs.vendor.test/debian",
            "pkgs.vendor.test"
        ));
        assert!(stands_in("at /srv/build/main/x", "/srv/build/"));
        assert!(!stands_in("more.pkgs.vendor.test", "pkgs.vendor.test"));
        assert!(!stands_in("pkgs.vendor.testing", "pkgs.vendor.test"));
        assert!(!stands_in("target/srv/build/main", "/srv/build/"));
    }

    #[test]
    fn only_public_hosts_of_sources_count() {
        assert_eq!(
            host_of("http://pkgs.vendor.org:8080/debian"),
            Some("pkgs.vendor.org")
        );
        assert_eq!(host_of("http://archive.example/debian"), None);
        assert_eq!(host_of("http://127.0.0.1:3142/debian"), None);
        assert_eq!(host_of("http://localhost/debian"), None);
        assert_eq!(host_of("file:/srv/archive"), None);
    }
}
