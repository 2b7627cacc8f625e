//! Shell patterns against fnmatch(3), regular expressions against regcomp(3), both of the C library at hand.

use crate::oracle::{self, Chance};
use domain::assess::expression::{Expression, ExpressionError};
use domain::assess::glob::{Case, Glob};
use std::io::Write;

/// Pattern and text a line, tab-separated; a character a line out.
const FNMATCH: &str = "
import ctypes
libc = ctypes.CDLL(None)
out = sys.stdout
for line in sys.stdin.buffer:
    pattern, text = line[:-1].split(b'\\t')
    out.write('1' if libc.fnmatch(pattern, text, 16) == 0 else '0')
";

/// The same; `e` for an expression that does not compile.
const REGEX: &str = "
import ctypes
libc = ctypes.CDLL(None)
out = sys.stdout
for line in sys.stdin.buffer:
    pattern, text = line[:-1].split(b'\\t')
    compiled = ctypes.create_string_buffer(512)
    if libc.regcomp(compiled, pattern, 1 | 2 | 8) != 0:
        out.write('e')
        continue
    out.write('1' if libc.regexec(compiled, text, 0, None, 0) == 0 else '0')
    libc.regfree(compiled)
";

fn joined(chance: &mut Chance, pieces: &[&str], most: usize) -> String {
    (0..chance.below(most + 1)).map(|_| chance.of(pieces)).collect()
}

fn ask(script: &str, cases: &[(String, String)]) -> Vec<u8> {
    let write = |to: &mut dyn Write| {
        for (pattern, text) in cases {
            writeln!(to, "{pattern}\t{text}").expect("python reads");
        }
    };
    let mut answer = Vec::new();
    oracle::ask_libapt(script, write, |from| {
        from.read_to_end(&mut answer).expect("python writes")
    });
    assert_eq!(answer.len(), cases.len());
    answer
}

#[test]
fn a_pattern_matches_what_fnmatch_matches() {
    if !oracle::has_libapt() {
        return;
    }
    let pieces = [
        "a",
        "b",
        "A",
        "B",
        "z",
        "9",
        "0",
        "-",
        "-",
        "[",
        "[",
        "]",
        "]",
        "!",
        "^",
        "*",
        "?",
        "\\",
        ".",
        ":",
        "=",
        "+",
        "/",
        "[:alpha:]",
        "[:digit:]",
        "[[:upper:]]",
        "[:bogus:]",
        "[:ALPHA:]",
        "[=a=]",
        "[.a.]",
        "[.-.]",
        "[a-c]",
        "[A-Z]",
        "[!a]",
        "[]a]",
        "lib",
    ];
    let texts = [
        "a", "b", "A", "B", "Z", "9", "0", "-", "[", "]", "!", "^", "\\", ".", ":", "=", "+", "/", "*", "lib",
    ];
    let mut chance = Chance(0x5eed_0001);
    let cases: Vec<(String, String)> = (0..oracle::number("PATCHYARD_PATTERNS", 200_000))
        .map(|_| (joined(&mut chance, &pieces, 6), joined(&mut chance, &texts, 4)))
        .collect();
    let answers = ask(FNMATCH, &cases);
    let mut differences = Vec::new();
    for ((pattern, text), theirs) in cases.iter().zip(&answers) {
        if Glob::new(pattern, Case::Fold).matches(text) != (*theirs == b'1') {
            differences.push((pattern, text, char::from(*theirs)));
        }
    }
    assert!(answers.contains(&b'1') && answers.contains(&b'0'));
    assert!(
        differences.is_empty(),
        "{} differ: {:?}",
        differences.len(),
        &differences[..differences.len().min(20)]
    );
}

#[test]
fn an_expression_matches_what_regexec_matches() {
    if !oracle::has_libapt() {
        return;
    }
    let pieces = [
        "a",
        "b",
        "A",
        "9",
        "-",
        "-",
        "[",
        "]",
        "^",
        "$",
        "*",
        "+",
        "?",
        "|",
        "(",
        ")",
        "\\",
        ".",
        ":",
        "=",
        "{",
        "}",
        "{2}",
        "{1,}",
        "{,2}",
        "{0,1}",
        "{2,1}",
        ",",
        "[a-c]",
        "[^a]",
        "[[:digit:]]",
        "[[:upper:]]",
        "[[:bogus:]]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[[.a.]]",
        "[[=b=]]",
        "\\w",
        "\\S",
        "\\b",
        "\\<",
        "\\.",
        "\\1",
        "(a|b)",
        "&",
        "#",
        "~",
        "/",
        "<",
    ];
    let texts = [
        "a", "b", "A", "B", "9", "-", "[", "]", "^", "$", "\\", ".", ":", "=", " ", "&", "#", "~", "{", "/",
        "<",
    ];
    let mut chance = Chance(0x5eed_0002);
    let cases: Vec<(String, String)> = (0..oracle::number("PATCHYARD_PATTERNS", 200_000))
        .map(|_| (joined(&mut chance, &pieces, 6), joined(&mut chance, &texts, 5)))
        .collect();
    let answers = ask(REGEX, &cases);
    let (mut differences, mut refused) = (Vec::new(), 0);
    for ((pattern, text), theirs) in cases.iter().zip(&answers) {
        let ours = match Expression::new(pattern) {
            Ok(expression) if expression.matches(text) => b'1',
            Ok(_) => b'0',
            Err(ExpressionError::BackReference | ExpressionError::Unsupported) if *theirs != b'e' => {
                refused += 1;
                continue;
            }
            Err(_) => b'e',
        };
        if ours != *theirs {
            differences.push((pattern, text, char::from(ours), char::from(*theirs)));
        }
    }
    assert!(answers.contains(&b'1') && answers.contains(&b'0') && answers.contains(&b'e'));
    assert!(refused * 5 < cases.len(), "{refused} of {} refused", cases.len());
    assert!(
        differences.is_empty(),
        "{} differ: {:?}",
        differences.len(),
        &differences[..differences.len().min(20)]
    );
}

#[test]
fn a_hostile_pattern_costs_little() {
    let text = "a".repeat(2000);
    assert!(!Glob::new(&format!("{}b", "*a".repeat(1500)), Case::Fold).matches(&text));
    assert!(
        !Glob::new(&"*".repeat(5000), Case::Fold).matches(&text),
        "longer than is read"
    );
    let nested = format!("{}a{}b", "(".repeat(40), "*)".repeat(40));
    assert!(Expression::new(&nested).is_ok_and(|expression| !expression.matches(&text)));
    assert!(Expression::new("((a{1000}){1000}){1000}").is_err());
    assert!(Expression::new(&"(".repeat(1000)).is_err());
}
