//! Which crate may use which: the houses and their floors of the design, as a table. A crate that is not in the table may
//! use nothing and be used by nothing, so that a new one needs a line here.

use super::Outcome;
use crate::metadata::{Metadata, Package};
use crate::tree::Tree;
use anyhow::{Context, Result};

/// Each crate, and the crates of the workspace that it may depend on. In tests every crate may also use [`TESTKIT`].
const FLOORS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    // Below what is durable: docs/adr/0007-fail-points.md
    ("failpoint", &[]),
    ("content", &["domain", "failpoint"]),
    // sources → content: docs/adr/0004-sources-store-what-they-verify.md
    ("sources", &["domain", "content"]),
    ("protocol", &["domain"]),
    ("store", &["domain", "failpoint"]),
    (
        "server",
        &["domain", "failpoint", "content", "protocol", "sources", "store"],
    ),
    ("agent", &["domain", "protocol"]),
    (
        "cli",
        &[
            "domain", "content", "sources", "agent", "protocol", "server", "store",
        ],
    ),
    // Beside the houses: nothing may use it.
    (
        "simulation",
        &["domain", "content", "protocol", "store", "server", "agent"],
    ),
    ("testkit", &["domain", "content", "sources", "agent"]),
    ("xtask", &[]),
];

/// Fakes and builders: a dependency of tests only.
const TESTKIT: &str = "testkit";

/// Crates from outside that a floor must not link, even though others may.
const KEPT_OUT: [(&str, &str); 5] = [
    ("domain", "serde"),
    ("domain", "serde_json"),
    ("domain", "tempfile"),
    ("domain", "rustix"),
    ("content", "ureq"),
];

/// Every dependency between crates of the workspace is an arrow of the table.
pub fn are_allowed(metadata: &Metadata) -> Outcome {
    let own: Vec<&Package> = metadata.own().collect();
    let mut broken = Vec::new();
    let mut count = 0;
    for package in &own {
        let Some((_, floor)) = FLOORS.iter().find(|(name, _)| *name == package.name) else {
            broken.push(format!("{}: a crate without a line in the table", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let is_test_only = dependency.kind.as_deref() == Some("dev");
            if own.iter().any(|other| other.name == dependency.name) {
                count += 1;
                let is_allowed =
                    floor.contains(&dependency.name.as_str()) || (is_test_only && dependency.name == TESTKIT);
                if !is_allowed {
                    broken.push(format!("{} → {}", package.name, dependency.name));
                }
            } else if !is_test_only && KEPT_OUT.contains(&(package.name.as_str(), dependency.name.as_str())) {
                broken.push(format!("{} must not link {}", package.name, dependency.name));
            }
        }
    }
    Outcome::of(broken, format!("{} crates, {count} edges", own.len()))
}

/// Each crate's manifest takes its dependencies from the workspace.
pub fn versions_stand_in_the_root(tree: &Tree) -> Result<Outcome> {
    let manifests = tree
        .texts()
        .iter()
        .filter(|file| file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml"));
    let mut broken = Vec::new();
    for file in manifests {
        let manifest: toml::Table = file.text.parse().with_context(|| format!("read {}", file.path))?;
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(lines) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            let is_inherited =
                |line: &toml::Value| line.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            let strangers = lines.iter().filter(|(_, line)| !is_inherited(line));
            broken.extend(strangers.map(|(name, _)| format!("{}: {name}", file.path)));
        }
    }
    Ok(Outcome::of(broken, "all from the root"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |&(name, kind): &(&str, Option<&str>)| Dependency {
            name: name.into(),
            kind: kind.map(String::from),
            req: "*".into(),
            path: None,
        };
        Package {
            name: name.into(),
            version: "0.1.0".into(),
            license: None,
            source: None,
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn broken(packages: Vec<Package>) -> Vec<String> {
        match are_allowed(&Metadata { packages }) {
            Outcome::Broken(places) => places,
            _ => Vec::new(),
        }
    }

    #[test]
    fn an_upward_arrow_is_named() {
        let found = broken(vec![
            package("domain", &[("content", None)]),
            package("content", &[("domain", None)]),
        ]);
        assert_eq!(found, ["domain → content"]);
    }

    #[test]
    fn testkit_serves_tests_only() {
        assert_eq!(
            broken(vec![
                package("agent", &[("testkit", Some("dev"))]),
                package("testkit", &[])
            ]),
            [""; 0]
        );
        assert_eq!(
            broken(vec![
                package("agent", &[("testkit", None)]),
                package("testkit", &[])
            ]),
            ["agent → testkit"]
        );
    }

    #[test]
    fn a_crate_outside_the_table_is_named() {
        assert_eq!(
            broken(vec![package("helpers", &[])]),
            ["helpers: a crate without a line in the table"]
        );
    }

    #[test]
    fn the_domain_links_no_serde() {
        assert_eq!(
            broken(vec![package("domain", &[("serde", None)])]),
            ["domain must not link serde"]
        );
    }
}
