//! Relations between packages, read as libapt reads them.

use crate::oracle;
use domain::assess::relation::{Alternative, groups};
use domain::deb822::stanzas;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};

/// A field a line; the answer has its groups after commas, alternatives after bars, and `E` for what is none.
const PARSE: &str = "
signs = {'': '', '=': '=', '<': '<<', '<=': '<=', '>': '>>', '>=': '>='}
def one(name, version, sign):
    return f'{name} {signs[sign]} {version}' if sign else name
for line in sys.stdin:
    try:
        groups = apt_pkg.parse_depends(line.strip(), False)
        print(','.join('|'.join(one(*way) for way in group) for group in groups))
    except Exception:
        print('E')
";

fn shown(alternative: &Alternative<'_>) -> String {
    let qualifier = alternative
        .qualifier
        .map_or(String::new(), |qualifier| format!(":{qualifier}"));
    let bound = alternative
        .bound
        .map_or(String::new(), |bound| format!(" {bound}"));
    format!("{}{qualifier}{bound}", alternative.name)
}

fn ours(field: &str) -> String {
    let Ok(groups) = groups(field) else {
        return "E".to_owned();
    };
    let group = |group: &Vec<Alternative<'_>>| group.iter().map(shown).collect::<Vec<_>>().join("|");
    groups.iter().map(group).collect::<Vec<_>>().join(",")
}

#[test]
fn every_relation_in_this_machines_lists_is_read_as_libapt_reads_it() {
    if !oracle::has_libapt() {
        return;
    }
    let mut fields = BTreeSet::new();
    for (_, index) in oracle::package_indexes() {
        for stanza in stanzas(&index).flatten() {
            for name in ["Depends", "Pre-Depends", "Provides", "Breaks"] {
                if let Ok(Some(text)) = stanza.text(name) {
                    fields.insert(text.split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }
        }
    }
    let ask = |to: &mut dyn Write| {
        for field in &fields {
            writeln!(to, "{field}").expect("python reads");
        }
    };
    oracle::ask_libapt(PARSE, ask, |answers| {
        let mut answers = BufReader::new(answers).lines();
        for field in &fields {
            let theirs = answers
                .next()
                .expect("an answer to each field")
                .expect("it is text");
            assert_eq!(ours(field), theirs, "{field}");
        }
    });
    if fields.is_empty() {
        oracle::skip("apt holds no lists on this machine");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic_and_what_it_reads_it_reads_again(text in "[a-z0-9:()<>=|, .~+-]{0,60}") {
        if let Ok(read) = groups(&text) {
            let again: Vec<String> = read.iter().map(|group| {
                let ways = group.iter().map(|way| match way.bound {
                    None => shown(way),
                    Some(bound) => format!("{} ({bound})", shown(&Alternative { bound: None, ..*way })),
                });
                ways.collect::<Vec<_>>().join(" | ")
            }).collect();
            let joined = again.join(", ");
            prop_assert_eq!(groups(&joined), Ok(read));
        }
    }
}
