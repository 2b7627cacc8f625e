//! The rows of `mutants/*.toml`, one file for each crate. mutants/README.md explains their fields.

use crate::tree::Tree;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;

/// One deliberate break.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Short and unique, in kebab case: what is broken.
    pub name: String,
    /// The promise that the break takes away.
    pub promise: String,
    /// The file to break, from the checkout's root.
    pub file: String,
    /// A text that stands exactly once in that file.
    pub find: String,
    /// What stands there instead.
    pub replace: String,
    /// The package whose test must notice.
    pub package: String,
    /// The test binary: `it` for `tests/it`, `lib` for unit tests of the library, `bin:NAME` for those of a program.
    #[serde(default = "integration")]
    pub target: String,
    /// The full path of the test, as `cargo test` prints it.
    pub test: String,
}

fn integration() -> String {
    String::from("it")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    mutant: Vec<Row>,
}

/// Every row of every file, in the order of the files.
pub fn all(tree: &Tree) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let files = tree
        .texts()
        .iter()
        .filter(|file| file.path.starts_with("mutants/") && file.path.ends_with(".toml"));
    for file in files {
        rows.extend(parse(&file.text).with_context(|| format!("read {}", file.path))?);
    }
    let mut names = BTreeSet::new();
    for row in &rows {
        ensure!(names.insert(&row.name), "two rows have the name {}", row.name);
    }
    Ok(rows)
}

fn parse(text: &str) -> Result<Vec<Row>> {
    let Rows { mutant } = toml::from_str(text)?;
    for row in &mutant {
        ensure!(
            !row.find.is_empty() && row.find != row.replace,
            "{}: `replace` changes nothing",
            row.name
        );
    }
    Ok(mutant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "[[mutant]]\nname = 'a'\npromise = 'b'\nfile = 'c'\npackage = 'd'\ntest = 'e'\nfind = '''\nif x {'''\n";

    #[test]
    fn a_row_reads_its_text_literally() {
        let rows = parse(&format!("{ROW}replace = '''\nif !x {{'''\n")).expect("the row is well formed");
        assert_eq!(
            (
                rows[0].find.as_str(),
                rows[0].replace.as_str(),
                rows[0].target.as_str()
            ),
            ("if x {", "if !x {", "it")
        );
    }

    #[test]
    fn a_row_that_breaks_nothing_is_refused() {
        parse(&format!("{ROW}replace = 'if x {{'\n")).expect_err("the same text is no break");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        parse(&format!("{ROW}replace = 'x'\ncomment = 'y'\n")).expect_err("a mistyped field must not pass");
    }
}
