//! What the workspace links, held against deny.toml: licences, banned crates, wildcard versions, foreign registries. The same
//! rules as cargo-deny has for these four, without its installation, which takes minutes.

use super::Outcome;
use crate::metadata::{Metadata, Package};
use crate::tree::Tree;
use anyhow::{Context, Result};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, ParseMode};
use std::collections::BTreeMap;

/// At most about this many crates may stand in the lock file. It has more than any binary links: the crates of other systems
/// and of the tests stand in it too; the server links about 300.
const MOST_CRATES: usize = 420;
/// The one registry that packages may come from, as cargo names it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// Everything that is linked is allowed by deny.toml.
pub fn are_allowed(tree: &Tree, metadata: &Metadata) -> Result<Outcome> {
    let text = tree.text("deny.toml").context("deny.toml is missing")?;
    Ok(held_against(
        &toml::from_str(text).context("read deny.toml")?,
        metadata,
    ))
}

fn held_against(rules: &Rules, metadata: &Metadata) -> Outcome {
    let mut broken = Vec::new();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &metadata.packages {
        *versions.entry(&package.name).or_default() += 1;
        if let Some(source) = &package.source {
            broken.extend(licence_fault(rules, package));
            if source != REGISTRY {
                broken.push(format!("{} comes from {source}", package.name));
            }
        } else {
            let wild = package
                .dependencies
                .iter()
                .filter(|line| line.req == "*" && line.path.is_none());
            broken.extend(wild.map(|line| format!("{} asks for any version of {}", package.name, line.name)));
        }
        let ban = rules.bans.deny.iter().find(|ban| ban.name == package.name);
        broken.extend(ban.map(|ban| format!("{} is banned: {}", ban.name, ban.reason)));
    }
    if metadata.packages.len() > MOST_CRATES {
        broken.push(format!(
            "{} crates in the lock file, at most {MOST_CRATES}",
            metadata.packages.len()
        ));
    }
    let twice = versions.values().filter(|count| **count > 1).count();
    Outcome::of(
        broken,
        format!(
            "{} crates, {twice} in more than one version",
            metadata.packages.len()
        ),
    )
}

fn licence_fault(rules: &Rules, package: &Package) -> Option<String> {
    let Package {
        name,
        version,
        license,
        ..
    } = package;
    let Some(license) = license else {
        return Some(format!("{name} {version} names no licence"));
    };
    let Ok(expression) = Expression::parse_mode(license, ParseMode::LAX) else {
        return Some(format!("{name} {version} has an unreadable licence: {license}"));
    };
    let is_allowed = |requirement: &LicenseReq| rules.licenses.allow.contains(&requirement.to_string());
    (!expression.evaluate(is_allowed)).then(|| format!("{name} {version} is {license}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn foreign(name: &str, license: Option<&str>) -> Package {
        Package {
            name: name.into(),
            version: "1.0.0".into(),
            license: license.map(String::from),
            source: Some(REGISTRY.into()),
            dependencies: Vec::new(),
        }
    }

    fn broken(packages: Vec<Package>) -> Vec<String> {
        let rules = "licenses.allow = ['MIT', 'Apache-2.0 WITH LLVM-exception']\nbans.deny = [{ crate = 'openssl', reason = 'no' }]";
        match held_against(
            &toml::from_str(rules).expect("the rules are valid TOML"),
            &Metadata { packages },
        ) {
            Outcome::Broken(places) => places,
            _ => Vec::new(),
        }
    }

    #[test]
    fn an_expression_needs_one_allowed_way() {
        assert_eq!(broken(vec![foreign("a", Some("GPL-3.0-only OR MIT"))]), [""; 0]);
        assert_eq!(broken(vec![foreign("a", Some("MIT/Apache-2.0"))]), [""; 0]);
        assert_eq!(
            broken(vec![foreign("a", Some("Apache-2.0 WITH LLVM-exception"))]),
            [""; 0]
        );
        assert_eq!(
            broken(vec![foreign("a", Some("GPL-3.0-only AND MIT"))]),
            ["a 1.0.0 is GPL-3.0-only AND MIT"]
        );
    }

    #[test]
    fn an_unknown_licence_stops() {
        assert_eq!(broken(vec![foreign("a", None)]), ["a 1.0.0 names no licence"]);
        assert_eq!(
            broken(vec![foreign("a", Some("see file"))]),
            ["a 1.0.0 has an unreadable licence: see file"]
        );
    }

    #[test]
    fn a_banned_crate_is_named_with_its_reason() {
        assert_eq!(
            broken(vec![foreign("openssl", Some("MIT"))]),
            ["openssl is banned: no"]
        );
    }

    #[test]
    fn another_registry_and_a_wildcard_are_named() {
        let stranger = Package {
            source: Some("git+https://forge.example/a".into()),
            ..foreign("a", Some("MIT"))
        };
        let wild = Dependency {
            name: "a".into(),
            kind: None,
            req: "*".into(),
            path: None,
        };
        let own = Package {
            source: None,
            dependencies: vec![wild],
            ..foreign("own", None)
        };
        assert_eq!(
            broken(vec![stranger, own]),
            [
                "a comes from git+https://forge.example/a",
                "own asks for any version of a"
            ]
        );
    }
}
