//! `cargo xtask tidy`: the project's written rules, each a check with one line of output. A check names every place that
//! breaks its rule, and what to do about it. Checks of files and words are functions of a [`Tree`]; the others run a tool.

pub mod dependencies;
pub mod edges;
pub mod files;
pub mod invariants;
pub mod links;
pub mod migrations;
pub mod tools;
pub mod words;

use crate::metadata::Metadata;
use crate::tree::Tree;
use anyhow::{Result, bail};

/// What a check found.
pub enum Outcome {
    /// The rule is kept; what was looked at, in a few words.
    Kept(String),
    /// The rule is broken at these places.
    Broken(Vec<String>),
    /// It could not be checked here, and why.
    Skipped(String),
}

impl Outcome {
    /// Kept where nothing was found, else broken.
    pub fn of(broken: Vec<String>, looked_at: impl Into<String>) -> Self {
        if broken.is_empty() {
            Self::Kept(looked_at.into())
        } else {
            Self::Broken(broken)
        }
    }
}

struct Check<'a> {
    name: &'static str,
    remedy: &'static str,
    look: Box<dyn Fn() -> Result<Outcome> + 'a>,
}

/// Runs every check, prints one line for each, and fails if any rule is broken.
pub fn run(tree: &Tree) -> Result<()> {
    let metadata = Metadata::of(tree.root())?;
    let mut broken = Vec::new();
    for check in checks(tree, &metadata) {
        match (check.look)()? {
            Outcome::Kept(note) => println!("✓ {} ({note})", check.name),
            Outcome::Skipped(why) => println!("– {}: not checked, {why}", check.name),
            Outcome::Broken(places) => {
                println!("✗ {}: {}", check.name, check.remedy);
                for place in places {
                    println!("    {place}");
                }
                broken.push(check.name);
            }
        }
    }
    if !broken.is_empty() {
        bail!("tidy: {} broken: {}", broken.len(), broken.join(", "));
    }
    Ok(())
}

/// The cheap ones first: who breaks a rule hears it within a second.
fn checks<'a>(tree: &'a Tree, metadata: &'a Metadata) -> Vec<Check<'a>> {
    let check = |name, remedy, look: Box<dyn Fn() -> Result<Outcome> + 'a>| Check { name, remedy, look };
    vec![
        check(
            "file heads",
            "open each .rs file with one `//!` paragraph: what lives here, what does not",
            Box::new(|| Ok(files::heads(tree))),
        ),
        check(
            "file sizes",
            "split the file: it wants another name",
            Box::new(|| Ok(files::sizes(tree))),
        ),
        check(
            "module files",
            "put `foo.rs` beside `foo/`",
            Box::new(|| Ok(files::no_mod_rs(tree))),
        ),
        check(
            "words",
            "leave out host names of registries and paths of one machine; write archive.example",
            Box::new(|| Ok(words::foreign(tree))),
        ),
        check(
            "links",
            "a link in a document leads to a file or heading that is there",
            Box::new(|| Ok(links::resolve(tree))),
        ),
        check(
            "invariants",
            "write `**I1** ... — kept by `test_name`` in ARCHITECTURE.md, and the test",
            Box::new(|| Ok(invariants::are_kept(tree))),
        ),
        check(
            "crate edges",
            "arrows point down; the table is in crates/xtask/src/tidy/edges.rs",
            Box::new(|| Ok(edges::are_allowed(metadata))),
        ),
        check(
            "migrations",
            "add the other engine's file under the same name, with the next number",
            Box::new(|| Ok(migrations::are_in_pairs(tree))),
        ),
        check(
            "SQL",
            "move the statement into a function of the crate store",
            Box::new(|| Ok(migrations::sql_stands_in_the_store(tree))),
        ),
        check(
            "versions",
            "name versions only under [workspace.dependencies] in the root manifest",
            Box::new(|| edges::versions_stand_in_the_root(tree)),
        ),
        check(
            "licences and bans",
            "see deny.toml",
            Box::new(|| dependencies::are_allowed(tree, metadata)),
        ),
        check(
            "cargo-deny",
            "see its output above",
            Box::new(|| tools::cargo_deny(tree)),
        ),
        check("format", "run `cargo fmt`", Box::new(|| tools::format(tree))),
        check("clippy", "see its output above", Box::new(|| tools::clippy(tree))),
    ]
}
