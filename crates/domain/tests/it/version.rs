//! The Debian version order against libapt's and dpkg's.

use crate::oracle::{self, Chance};
use domain::version::deb::{self, InvalidVersion};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Pairs a line in, one character a pair out.
const COMPARE: &str = "
compare = apt_pkg.version_compare
out = sys.stdout.buffer
def answer(line):
    a, b = line[:-1].decode().split('\\t')
    r = compare(a, b)
    return 60 if r < 0 else 62 if r > 0 else 61
while True:
    lines = sys.stdin.buffer.readlines(1 << 18)
    if not lines: break
    out.write(bytes(map(answer, lines)))
";

fn sign(order: Ordering) -> u8 {
    match order {
        Ordering::Less => b'<',
        Ordering::Equal => b'=',
        Ordering::Greater => b'>',
    }
}

/// Asks libapt about every pair that the iterator gives, twice from the same start.
fn assert_as_libapt<I: Iterator<Item = (String, String)> + Clone + Send>(pairs: I) -> [usize; 3] {
    let asked = pairs.clone();
    let ask = |to: &mut dyn Write| {
        for (a, b) in asked {
            writeln!(to, "{a}\t{b}").expect("python reads");
        }
    };
    oracle::ask_libapt(COMPARE, ask, |answers| {
        let mut counts = [0; 3];
        let mut answers = std::io::BufReader::new(answers);
        for (a, b) in pairs {
            let mut answer = [0];
            answers.read_exact(&mut answer).expect("an answer to each pair");
            let ours = sign(deb::compare(&a, &b));
            assert_eq!(char::from(ours), char::from(answer[0]), "{a:?} against {b:?}");
            counts[usize::from(ours - b'<')] += 1;
        }
        counts
    })
}

/// Versions that go wrong easily: epochs, tildes, rebuilds, numbers beyond any integer, leading zeros, empty parts,
/// letters against punctuation, hyphens and colons where none belong.
#[derive(Clone)]
struct NastyPairs {
    chance: Chance,
    left: usize,
}

const PIECES: [&str; 46] = [
    "0",
    "1",
    "2",
    "9",
    "10",
    "00",
    "01",
    "007",
    "18446744073709551616",
    "99999999999999999999999999",
    "a",
    "b",
    "z",
    "A",
    "Z",
    "rc",
    "beta",
    ".",
    "..",
    "+",
    "~",
    "~~",
    "-",
    "--",
    ":",
    "0:",
    "1:",
    "00:",
    "01:",
    "~1",
    "+b1",
    "+b10",
    "+b",
    "+ds",
    "+ds0",
    "+dfsg-1",
    "-0",
    "-1",
    "-1ubuntu1",
    "~bpo12+1",
    "+deb12u1",
    "~rc1",
    "_",
    "é",
    "/",
    " ",
];

impl NastyPairs {
    fn version(&mut self) -> String {
        let mut version = String::new();
        if self.chance.below(6) == 0 {
            version.push_str(self.chance.of(&["0:", "1:", "2:", "00:", ":", "a:"]));
        }
        for _ in 0..self.chance.below(7) {
            version.push_str(self.chance.of(&PIECES));
        }
        version
    }

    /// A neighbour: something put in, taken out or exchanged at one place.
    fn neighbour(&mut self, version: &str) -> String {
        let places: Vec<usize> = version
            .char_indices()
            .map(|(at, _)| at)
            .chain([version.len()])
            .collect();
        let from = places[self.chance.below(places.len())];
        let rest = &version[from..];
        let skip = rest
            .chars()
            .next()
            .filter(|_| self.chance.below(2) == 0)
            .map_or(0, char::len_utf8);
        let piece = if self.chance.below(3) == 0 {
            ""
        } else {
            self.chance.of(&PIECES)
        };
        format!("{}{piece}{}", &version[..from], &rest[skip..])
    }
}

impl Iterator for NastyPairs {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let a = self.version();
        let b = if self.chance.below(3) == 0 {
            self.version()
        } else {
            self.neighbour(&a)
        };
        Some(if self.chance.below(2) == 0 { (a, b) } else { (b, a) })
    }
}

#[test]
fn generated_versions_are_ordered_as_libapt_orders_them() {
    if !oracle::has_libapt() {
        return;
    }
    let left = oracle::number("PATCHYARD_VERSION_PAIRS", 500_000);
    let counts = assert_as_libapt(NastyPairs {
        chance: Chance(0x9a7c_4e11),
        left,
    });
    assert!(
        counts.iter().all(|count| *count > left / 10),
        "the generator is one-sided: {counts:?}"
    );
}

#[test]
fn versions_of_one_package_in_this_machines_lists_are_ordered_as_libapt_orders_them() {
    if !oracle::has_libapt() {
        return;
    }
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    let mut files = oracle::package_indexes();
    if files.is_empty() {
        return oracle::skip("apt has no lists on this machine (apt-get update)");
    }
    let status = std::fs::read("/var/lib/dpkg/status").expect("a machine with apt has dpkg's status");
    files.push(("status".to_owned(), status));
    for (file, bytes) in files {
        for stanza in domain::deb822::stanzas(&bytes) {
            let stanza = stanza.unwrap_or_else(|error| panic!("{file}: {error}"));
            let text = |name| {
                stanza
                    .text(name)
                    .expect("names and versions are text")
                    .map(str::to_owned)
            };
            if let (Some(name), Some(version)) = (text("Package"), text("Version")) {
                versions.entry(name).or_default().insert(version);
            }
        }
    }
    let mut pairs = Vec::new();
    for of_one in versions.values() {
        pairs.extend(
            of_one
                .iter()
                .flat_map(|a| of_one.iter().map(|b| (a.clone(), b.clone()))),
        );
    }
    // Real strings of different packages, too: each against its neighbours in the order of their text.
    let all: BTreeSet<&String> = versions.values().flatten().collect();
    let all: Vec<&String> = all.into_iter().collect();
    pairs.extend(all.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
    assert!(pairs.len() > 60_000, "only {} pairs", pairs.len());
    assert_as_libapt(pairs.into_iter());
}

/// Runs dpkg and says whether it agreed.
fn dpkg(arguments: &[&str]) -> Option<bool> {
    let run = Command::new("dpkg")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.ok().map(|status| status.success())
}

#[test]
fn valid_versions_are_ordered_as_dpkg_orders_them() {
    if dpkg(&["--version"]).is_none() {
        return oracle::skip("there is no dpkg here");
    }
    let pairs = NastyPairs {
        chance: Chance(0x0dbb_0001),
        left: usize::MAX,
    };
    let valid = pairs.filter(|(a, b)| deb::validate(a).is_ok() && deb::validate(b).is_ok());
    for (a, b) in valid.take(400) {
        let operator = match deb::compare(&a, &b) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        assert_eq!(
            dpkg(&["--compare-versions", &a, operator, &b]),
            Some(true),
            "{a} {operator} {b}"
        );
    }
}

#[test]
fn what_dpkg_refuses_as_a_version_is_refused() {
    if dpkg(&["--version"]).is_none() {
        return oracle::skip("there is no dpkg here");
    }
    let mut cases: Vec<String> = [
        "", " ", "1", " 1.0 ", "1 0", ":1", "x:1", "-1:1", "-0:1", "+1:1", "1:", "1:-1", "1-",
    ]
    .map(str::to_owned)
    .to_vec();
    cases.extend(
        [
            "2147483647:1",
            "2147483648:1",
            "99999999999999999999:1",
            "a1",
            "1_0",
            "1-1_1",
            "1:1:1-1",
            "1-a:1",
        ]
        .map(str::to_owned),
    );
    let pairs = NastyPairs {
        chance: Chance(0x0dbb_0002),
        left: 300,
    };
    cases.extend(pairs.map(|(a, _)| {
        if a.is_empty() {
            "1+".to_owned()
        } else {
            format!("1{a}")
        }
    }));
    let mut refused = 0;
    for case in cases {
        let ours = deb::validate(case.trim_matches(' '));
        let theirs = dpkg(&["--validate-version", "--", &case]).expect("dpkg was there a moment ago");
        assert_eq!(ours.is_ok(), theirs, "{case:?}: {ours:?}");
        refused += usize::from(ours.is_err());
    }
    assert!(refused > 50, "only {refused} were refused");
}

#[test]
fn a_refused_version_says_which_rule_it_breaks() {
    let mut seen = String::new();
    for version in [
        "",
        "1 0",
        ":1",
        "x:1",
        "-1:1",
        "9999999999:1",
        "1:",
        "1-",
        "1:-1",
        "a1",
        "1_0",
        "1-1_1",
    ] {
        let why = deb::validate(version).expect_err("invalid");
        writeln!(seen, "{why:?}").expect("a string takes all");
    }
    assert_eq!(
        seen,
        "Empty\nSpace\nEpochEmpty\nEpochNotANumber\nEpochNegative\nEpochTooBig\nNothingAfterEpoch\nRevisionEmpty\n\
         UpstreamEmpty\nUpstreamWithoutDigit\nUpstreamCharacter\nRevisionCharacter\n"
    );
    assert_eq!(deb::validate("1:2.0~rc1+dfsg-3+b1"), Ok(()));
    assert_eq!(deb::validate("1.0-"), Err(InvalidVersion::RevisionEmpty));
}

#[test]
fn a_rebuild_is_told_from_its_base() {
    for (version, base, suffix) in [
        ("1.2-3", "1.2-3", ""),
        ("1.2-3+b1", "1.2-3", "+b1"),
        ("1:9.52~dfsg-6+b12", "1:9.52~dfsg-6", "+b12"),
        ("1.2-3+b", "1.2-3+b", ""),
        ("1.2-3+b1~bpo12+1", "1.2-3+b1~bpo12+1", ""),
        ("1.2+b2-3", "1.2+b2-3", ""),
        ("1.0+b1+b2", "1.0+b1", "+b2"),
        ("+b1", "+b1", ""),
        ("", "", ""),
    ] {
        assert_eq!(deb::split_rebuild(version), (base, suffix));
    }
}

#[test]
fn a_crate_that_was_wrong_on_this_pair_is_not_repeated() {
    assert_eq!(deb::compare("1.16.2+ds-1+b3", "1.16.2+ds0-1"), Ordering::Greater);
}
