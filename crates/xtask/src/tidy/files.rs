//! How files are cut: their first line, their length, their names.

use super::Outcome;
use crate::tree::Tree;

/// No Rust file is longer, whatever stands in it.
pub const MOST_LINES: usize = 600;
/// A Rust file with more lines of code than this wants another name soon.
pub const MANY_LINES_OF_CODE: usize = 450;

/// Each Rust file opens with a `//!` paragraph.
pub fn heads(tree: &Tree) -> Outcome {
    let mut count = 0;
    let broken = tree
        .with_extension("rs")
        .inspect(|_| count += 1)
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    Outcome::of(broken, format!("{count} Rust files"))
}

/// No Rust file is longer than [`MOST_LINES`]; those beyond [`MANY_LINES_OF_CODE`] are named.
pub fn sizes(tree: &Tree) -> Outcome {
    let mut long = Vec::new();
    let mut broken = Vec::new();
    let mut longest = 0;
    for file in tree.with_extension("rs") {
        let lines = file.text.lines().count();
        longest = longest.max(lines);
        if lines > MOST_LINES {
            broken.push(format!("{}: {lines} lines, at most {MOST_LINES}", file.path));
        } else if lines_of_code(&file.text) > MANY_LINES_OF_CODE {
            long.push(file.path.as_str());
        }
    }
    let warning = if long.is_empty() {
        String::new()
    } else {
        format!("; more than {MANY_LINES_OF_CODE} of code: {}", long.join(", "))
    };
    Outcome::of(broken, format!("longest {longest} lines{warning}"))
}

/// Lines that are neither blank nor only a comment.
pub fn lines_of_code(text: &str) -> usize {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

/// A module's file stands beside its folder, not inside.
pub fn no_mod_rs(tree: &Tree) -> Outcome {
    let broken = tree
        .paths()
        .iter()
        .filter(|path| path.ends_with("/mod.rs"))
        .cloned()
        .collect();
    Outcome::of(broken, "no mod.rs")
}
