//! The stanza scanner against libapt's, on damaged files and on whole indexes.

use crate::oracle::{self, Chance};
use domain::deb822::{self, Damage, Malformed, Scanner, Uncommented};
use std::io::{Read, Write};

/// Files in, each after its length as text in a line; for each, as bytes: the number of stanzas with fields (or the number
/// before libapt gave up, then `!`) in a line, then for each the number of fields in a line, then names and values, each
/// after its length as a line.
const SCAN: &str = "
read, write = sys.stdin.buffer, sys.stdout.buffer.write
def put(bytes):
    write(b'%d\\n' % len(bytes)); write(bytes)
while True:
    line = read.readline()
    if not line: break
    fd = os.memfd_create('case')
    with open(fd, 'w+b', closefd=True) as file:
        file.write(read.read(int(line))); file.flush(); file.seek(0)
        stanzas, end = [], b''
        try:
            with apt_pkg.TagFile(file, bytes=True) as tags:
                while tags.step(): # not by iteration: that copies stanzas and loses some that end in a carriage return
                    section = tags.section
                    keys = [key.rstrip() for key in section.keys()]
                    if keys: stanzas.append([(key.encode('utf-8', 'surrogateescape'), section[key]) for key in keys])
        except Exception as error:
            end = b'!'
    write(b'%d%s\\n' % (len(stanzas), end))
    for stanza in stanzas:
        write(b'%d\\n' % len(stanza))
        for key, value in stanza:
            put(key); put(value)
";

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

struct Answer {
    stanzas: Vec<Fields>,
    gave_up: bool,
}

fn read_line(from: &mut dyn std::io::BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line of the answer");
    line.trim_end().to_owned()
}

fn read_bytes(from: &mut dyn std::io::BufRead) -> Vec<u8> {
    let mut bytes = vec![0; read_line(from).parse().expect("a length")];
    from.read_exact(&mut bytes).expect("that many bytes");
    bytes
}

fn read_answer(from: &mut dyn std::io::BufRead) -> Answer {
    let line = read_line(from);
    let (count, gave_up) = line
        .strip_suffix('!')
        .map_or((&*line, false), |count| (count, true));
    let stanzas = (0..count.parse().expect("a count"))
        .map(|_| {
            let fields: usize = read_line(from).parse().expect("a count");
            (0..fields)
                .map(|_| (read_bytes(from), read_bytes(from)))
                .collect()
        })
        .collect();
    Answer { stanzas, gave_up }
}

fn as_libapt_scans<T>(files: &[Vec<u8>], mut check: impl FnMut(&[u8], Answer) -> T) -> Vec<T> {
    let ask = |to: &mut dyn Write| {
        for file in files {
            writeln!(to, "{}", file.len()).expect("python reads");
            to.write_all(file).expect("python reads");
        }
    };
    oracle::ask_libapt(SCAN, ask, |answers: &mut dyn Read| {
        let mut answers = std::io::BufReader::with_capacity(1 << 16, answers);
        files
            .iter()
            .map(|file| check(file, read_answer(&mut answers)))
            .collect()
    })
}

fn scan(bytes: &[u8]) -> Vec<Result<Fields, Malformed>> {
    let fields = |stanza: deb822::Stanza<'_>| {
        stanza
            .fields()
            .map(|field| (field.name.to_vec(), field.value.to_vec()))
            .collect()
    };
    deb822::stanzas(bytes).map(|stanza| stanza.map(fields)).collect()
}

fn lacks_a_colon(file: &[u8]) -> bool {
    file.split(|byte| *byte == b'\n').any(|line| {
        let first = line.iter().find(|byte| **byte != b'\r');
        first.is_some_and(|first| !matches!(first, b' ' | b'\t' | 0x0b | 0x0c)) && !line.contains(&b':')
    })
}

/// A file put together from lines that go wrong easily.
fn nasty_file(chance: &mut Chance) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..chance.below(14) {
        let line = chance.of(&[
            "Package: a",
            "Version: 1",
            "VERSION:2",
            "Size : 3",
            "Tag:x",
            "X:",
            "Y: ",
            "Z:\t\r",
            "W:\x0b\x0c",
            "Long-Name-Of-A-Field: v",
            "\u{e9}: v",
            "oops",
            "#: c",
            "-: d",
            ":",
            ": e",
            "a b: f",
            " more",
            "\tmore",
            " .",
            " ",
            "\t",
            "",
            "",
            "",
            "\r",
            "\rQ: q",
            "\x0bvertical",
            "Tail: t \t ",
            "Colons:a:b::c ",
            "\x7f: del",
            "\x1b: esc",
            "Umlaut: \u{fc}",
        ]);
        file.extend_from_slice(line.as_bytes());
        file.extend_from_slice(
            chance
                .of(&[
                    "\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\n\n", "\n\r\n", " \n", "",
                ])
                .as_bytes(),
        );
    }
    file
}

#[test]
fn damaged_files_are_cut_into_stanzas_as_libapt_cuts_them() {
    if !oracle::has_libapt() {
        return;
    }
    let mut chance = Chance(0xdeb8_2200);
    let files: Vec<_> = (0..oracle::number("PATCHYARD_DEB822_FILES", 8_000))
        .map(|_| nasty_file(&mut chance))
        .collect();
    let compared = as_libapt_scans(&files, |file, theirs| {
        let ours = scan(file);
        let shown = String::from_utf8_lossy(file);
        let well_formed = ours.iter().all(Result::is_ok);
        let kept: Vec<&Fields> = ours.iter().flatten().collect();
        if well_formed {
            assert!(!theirs.gave_up, "libapt gives up on {shown:?}");
            assert_eq!(kept, theirs.stanzas.iter().collect::<Vec<_>>(), "{shown:?}");
        } else if !theirs.gave_up && !lacks_a_colon(file) {
            // Damage may empty stanzas in libapt's eyes, but what is kept here it reads alike, in that order. A line
            // without a colon is another matter: libapt's name then reaches to the next colon, stanzas away.
            let mut rest = theirs.stanzas.iter();
            for stanza in &kept {
                assert!(rest.any(|other| other == *stanza), "{stanza:?} of {shown:?}");
            }
        }
        (well_formed && !kept.is_empty(), !well_formed && !kept.is_empty())
    });
    let whole = compared.iter().filter(|(whole, _)| *whole).count();
    let partly = compared.iter().filter(|(_, partly)| *partly).count();
    assert!(
        whole > files.len() / 20 && partly > files.len() / 20,
        "{whole} whole, {partly} in part"
    );
}

#[test]
fn whole_indexes_are_read_as_libapt_reads_them() {
    if !oracle::has_libapt() {
        return;
    }
    let mut files: Vec<Vec<u8>> = oracle::package_indexes()
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    if files.is_empty() {
        return oracle::skip("apt has no lists on this machine (apt-get update)");
    }
    files.push(std::fs::read("/var/lib/dpkg/status").expect("a machine with apt has dpkg's status"));
    as_libapt_scans(&files, |file, theirs| {
        let mut scanner = Scanner::new(file);
        for theirs in &theirs.stanzas {
            let ours = scanner
                .next_stanza()
                .expect("as many stanzas")
                .expect("well-formed");
            let ours = ours.iter().map(|field| (field.name, field.value));
            assert!(
                ours.eq(theirs.iter().map(|(name, value)| (&**name, &**value))),
                "{theirs:?}"
            );
        }
        assert_eq!(scanner.next_stanza(), None);
        assert_eq!(deb822::stanzas(file).count(), theirs.stanzas.len());
        assert!(!theirs.gave_up);
    });
}

#[test]
fn a_malformed_stanza_is_named_and_the_rest_is_used() {
    let long = (0..=deb822::MAX_FIELDS)
        .map(|number| format!("F{number}: x\n"))
        .collect::<String>();
    for (bad, line, why) in [
        ("Package: b\noops\nVersion: 2\n", 2, Damage::NoColon),
        ("Package: b\nVer sion: 2\n", 2, Damage::BadName),
        (": b\n", 1, Damage::BadName),
        ("Package: b\n\x1b[31m: 2\n", 2, Damage::BadName),
        ("#Package: b\n", 1, Damage::BadName),
        (" b\nPackage: b\n", 1, Damage::NothingToContinue),
        (
            "Package: b\nDepends: x\n y\nPACKAGE: c\nSize: 1\n",
            4,
            Damage::Duplicate("PACKAGE".to_owned()),
        ),
        (&long, 257, Damage::TooManyFields),
    ] {
        let file = format!("Package: a\nVersion: 1\n\n{bad}\nPackage: c\nVersion: 3\n");
        let found: Vec<_> = deb822::stanzas(file.as_bytes())
            .map(|stanza| stanza.map(|stanza| stanza.value("version").map(<[u8]>::to_vec)))
            .collect();
        let bad = Malformed { line: line + 3, why };
        assert_eq!(
            found,
            [Ok(Some(b"1".to_vec())), Err(bad), Ok(Some(b"3".to_vec()))],
            "{file:?}"
        );
    }
}

#[test]
fn a_stanza_with_the_most_fields_is_taken() {
    let file = (0..deb822::MAX_FIELDS)
        .map(|number| format!("F{number}: x\n"))
        .collect::<String>();
    let stanza = deb822::stanzas(file.as_bytes())
        .next()
        .expect("a stanza")
        .expect("well-formed");
    assert_eq!(stanza.fields().count(), deb822::MAX_FIELDS);
    assert_eq!(stanza.field("f255").map(|field| field.line), Some(256));
}

#[test]
fn a_value_that_is_no_text_is_refused_as_text_and_given_as_bytes() {
    let stanza = deb822::stanzas(b"Package: a\nMaintainer: J\xfcrgen\n")
        .next()
        .expect("a stanza")
        .expect("well-formed");
    assert_eq!(stanza.text("package"), Ok(Some("a")));
    assert_eq!(stanza.text("version"), Ok(None));
    assert_eq!(stanza.value("Maintainer"), Some(&b"J\xfcrgen"[..]));
    let refused = Malformed {
        line: 2,
        why: Damage::NotUtf8("Maintainer".to_owned()),
    };
    assert_eq!(stanza.text("maintainer"), Err(refused.clone()));
    assert_eq!(refused.to_string(), "line 2: the field Maintainer is not UTF-8");
}

#[test]
fn comments_are_no_part_of_stanzas_and_lines_keep_their_numbers() {
    let file = b"# head\n#\nTypes: deb\n# inside\nURIs: http://deb.example/\n# between\n  http://other.example/\n#\n\n#: x\n\n# next\nTypes: deb\noops\n#tail";
    let plain = Uncommented::new(file);
    let mut stanzas = plain.stanzas();
    let first = stanzas.next().expect("a stanza").expect("well-formed");
    assert_eq!(first.line(), 3);
    assert_eq!(first.fields().map(|field| field.line).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(
        first.text("uris"),
        Ok(Some("http://deb.example/\n  http://other.example/"))
    );
    assert_eq!(
        stanzas.next().expect("a stanza").expect_err("oops"),
        Malformed {
            line: 14,
            why: Damage::NoColon
        }
    );
    assert!(stanzas.next().is_none());
}

/// `apt_pkg.TagFile` knows no comments, but apt's source lists do.
const SOURCES: &str = "
read = sys.stdin.buffer
import tempfile
while True:
    line = read.readline()
    if not line: break
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + '/case.sources', 'wb') as file: file.write(read.read(int(line)))
        apt_pkg.config.set('Dir::Etc::sourcelist', '/dev/null')
        apt_pkg.config.set('Dir::Etc::sourceparts', folder)
        list = apt_pkg.SourceList()
        try:
            list.read_main_list()
            print(' '.join(entry.uri + entry.dist for entry in list.list), flush=True)
        except Exception:
            print('!', flush=True)
";

#[test]
fn comments_are_taken_out_as_apt_takes_them_out_of_source_lists() {
    if !oracle::has_libapt() {
        return;
    }
    let mut chance = Chance(0x0c0a_3e47);
    let files: Vec<String> = (0..400)
        .map(|_| {
            let mut file = String::new();
            for number in 0..chance.below(4) {
                for line in [
                    "Types: deb",
                    "URIs: http://deb.example/",
                    "Suites:",
                    &format!(" s{number}"),
                    &format!(" t{number}"),
                    "Components: main",
                ] {
                    file.push_str(chance.of(&["", "", "", "#\n", "# Suites: x\n", "#x\n#y\n"]));
                    file.push_str(line);
                    file.push('\n');
                }
                file.push_str(chance.of(&["\n", "\n#\n", "#\n\n", "\n#\n\n", "\n\n#z\n"]));
            }
            file
        })
        .collect();
    let ask = |to: &mut dyn Write| {
        for file in &files {
            write!(to, "{}\n{file}", file.len()).expect("python reads");
        }
    };
    oracle::ask_libapt(SOURCES, ask, |answers| {
        let mut answers = std::io::BufReader::new(answers);
        for file in &files {
            let plain = Uncommented::new(file.as_bytes());
            let mut ours = Vec::new();
            for stanza in plain.stanzas() {
                let stanza = stanza.expect("well-formed");
                for suite in stanza
                    .text("Suites")
                    .expect("text")
                    .unwrap_or_default()
                    .split_whitespace()
                {
                    ours.push(format!(
                        "{}{suite}",
                        stanza.text("URIs").expect("text").unwrap_or_default()
                    ));
                }
            }
            assert_eq!(ours.join(" "), read_line(&mut answers), "{file:?}");
        }
    });
}
