//! Migrations: each step of the schema is a pair of files of one name, one an engine, numbered without gaps, and SQL stands
//! in the crate `store` alone.

use super::Outcome;
use crate::tree::Tree;
use std::collections::BTreeSet;

/// Where the steps are.
const FOLDERS: [&str; 2] = [
    "crates/store/migrations/sqlite/",
    "crates/store/migrations/postgres/",
];

/// Each step has its twin, and steps are numbered from 0001 on.
pub fn are_in_pairs(tree: &Tree) -> Outcome {
    let [sqlite, postgres] = FOLDERS.map(|folder| steps(tree, folder));
    let mut broken: Vec<String> = sqlite
        .symmetric_difference(&postgres)
        .map(|name| format!("{name} is there for one engine only"))
        .collect();
    for (name, number) in sqlite.iter().zip(1..) {
        if !name.starts_with(&format!("{number:04}_")) {
            broken.push(format!("{name} should be number {number:04}"));
        }
    }
    Outcome::of(broken, format!("{} steps", sqlite.len()))
}

fn steps<'a>(tree: &'a Tree, folder: &str) -> BTreeSet<&'a str> {
    tree.paths()
        .iter()
        .filter_map(|path| path.strip_prefix(folder))
        .collect()
}

/// What only a statement says, at the beginning of a text.
const STATEMENTS: [&str; 5] = [
    "\"SELECT ",
    "\"INSERT INTO ",
    "\"UPDATE ",
    "\"DELETE FROM ",
    "sqlx::",
];

/// No other crate speaks SQL.
pub fn sql_stands_in_the_store(tree: &Tree) -> Outcome {
    let mut broken = Vec::new();
    let mut count = 0;
    for file in tree.with_extension("rs") {
        let is_elsewhere = file.path.starts_with("crates/")
            && !["crates/store/", "crates/xtask/", "crates/testkit/"]
                .iter()
                .any(|home| file.path.starts_with(home))
            && file.path.contains("/src/");
        if !is_elsewhere {
            continue;
        }
        count += 1;
        let lines = file.text.lines().enumerate();
        let hits = lines.filter(|(_, line)| STATEMENTS.iter().any(|word| line.contains(word)));
        broken.extend(hits.map(|(number, line)| format!("{}:{}: {}", file.path, number + 1, line.trim())));
    }
    Outcome::of(broken, format!("{count} files without"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn broken(outcome: Outcome) -> Vec<String> {
        match outcome {
            Outcome::Broken(places) => places,
            _ => Vec::new(),
        }
    }

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let tree = Tree::of_files(Path::new(folder.path()), paths).expect("a tree");
        (folder, tree)
    }

    #[test]
    fn a_step_without_its_twin_and_a_gap_in_the_numbers_are_named() {
        let (_folder, tree) = tree(&[
            ("crates/store/migrations/sqlite/0001_a.sql", ""),
            ("crates/store/migrations/postgres/0001_a.sql", ""),
            ("crates/store/migrations/sqlite/0003_c.sql", ""),
        ]);
        assert_eq!(
            broken(are_in_pairs(&tree)),
            [
                "0003_c.sql is there for one engine only",
                "0003_c.sql should be number 0002"
            ]
        );
    }

    #[test]
    fn a_statement_outside_the_store_is_named() {
        let (_folder, tree) = tree(&[
            (
                "crates/server/src/app.rs",
                "fn f() {\n    run(\"SELECT 1\");\n}\n",
            ),
            ("crates/store/src/host.rs", "run(\"SELECT 1\");\n"),
        ]);
        assert_eq!(
            broken(sql_stands_in_the_store(&tree)),
            ["crates/server/src/app.rs:2: run(\"SELECT 1\");"]
        );
    }
}
