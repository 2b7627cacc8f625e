//! Each invariant that ARCHITECTURE.md promises names the test that keeps it, and that test exists. The form is a paragraph
//! or list item that begins with the number in bold and ends with the names:
//! ``**I1** The domain reads no clock. — kept by `the_domain_reads_no_clock` ``.

use super::Outcome;
use crate::tree::Tree;
use std::collections::BTreeSet;

/// What the architecture's page calls itself.
pub const PAGE: &str = "ARCHITECTURE.md";

/// Every invariant of the page names tests that exist.
pub fn are_kept(tree: &Tree) -> Outcome {
    let Some(page) = tree.text(PAGE) else {
        return Outcome::Broken(vec![format!("{PAGE} is missing")]);
    };
    let tests: BTreeSet<&str> = tree
        .with_extension("rs")
        .flat_map(|file| tests_in(&file.text))
        .collect();
    let invariants = invariants(page);
    let mut broken = Vec::new();
    if invariants.is_empty() {
        broken.push(format!("{PAGE} has no line that begins with **I1**"));
    }
    for Invariant { number, tests: named } in &invariants {
        if named.is_empty() {
            broken.push(format!("{number}: names no test"));
        }
        let missing = named.iter().filter(|name| !tests.contains(*name));
        broken.extend(missing.map(|name| format!("{number}: there is no test `{name}`")));
    }
    Outcome::of(
        broken,
        format!("{} invariants, {} tests to name", invariants.len(), tests.len()),
    )
}

struct Invariant<'a> {
    number: &'a str,
    tests: Vec<&'a str>,
}

/// Paragraphs that begin with `**I` and a number, and what they name after `kept by`.
fn invariants(page: &str) -> Vec<Invariant<'_>> {
    let starts = page.match_indices("**I").map(|(at, _)| at);
    let starts: Vec<usize> = starts
        .filter(|&at| page[at + 3..].starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([page.len()]);
    let pieces = starts.iter().zip(ends).map(|(&start, end)| &page[start..end]);
    pieces.map(invariant).collect()
}

fn invariant(piece: &str) -> Invariant<'_> {
    let paragraph = piece.split("\n\n").next().unwrap_or(piece);
    let number = paragraph[2..].split("**").next().unwrap_or_default();
    let names = paragraph.split_once("kept by").map_or("", |(_, names)| names);
    // Every second piece between back quotes is quoted; a path's last word is the function.
    let quoted = names.split('`').skip(1).step_by(2);
    Invariant {
        number,
        tests: quoted
            .map(|name| name.rsplit("::").next().unwrap_or(name))
            .collect(),
    }
}

/// The names of functions that stand below a `#[test]`, also inside `proptest!`, or a `#[tokio::test]` of any flavour.
fn tests_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let marks = ["#[test]", "#[tokio::test]", "#[tokio::test("];
    for (at, _) in marks.iter().flat_map(|mark| text.match_indices(mark)) {
        let rest = &text[at..];
        let name = rest
            .split_once("fn ")
            .and_then(|(_, after)| after.split(['(', '<']).next());
        names.extend(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_ends_where_the_next_begins() {
        let page = "Text.\n\n**I1** One\nthing — kept by `a_b`, `m::c_d`.\n- **I2** Other — kept by\n  `e`.\n\nSee `f`. **Important**\n";
        let found: Vec<(&str, Vec<&str>)> = invariants(page)
            .into_iter()
            .map(|found| (found.number, found.tests))
            .collect();
        assert_eq!(found, [("I1", vec!["a_b", "c_d"]), ("I2", vec!["e"])]);
    }

    #[test]
    fn helper_functions_are_no_tests() {
        let text = "fn helper() {}\n#[test]\n#[ignore]\nfn promise() {}\n";
        assert_eq!(tests_in(text), ["promise"]);
        let waiting = "#[tokio::test(flavor = \"multi_thread\")]\nasync fn one() {}\n#[tokio::test]\nasync fn two() {}\n";
        let mut names = tests_in(waiting);
        names.sort_unstable();
        assert_eq!(names, ["one", "two"]);
    }
}
