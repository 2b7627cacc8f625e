//! apt.conf files: the tree that is read equals the one that `apt-config dump` prints.

use crate::oracle::{apt, put};
use agent::apt_conf::AptConf;
use agent::apt_conf::read::{ConfOptions, read};
use agent::problem::{Effect, Problem};
use agent::tree::Tree;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::fmt::Write as _;
use std::path::Path;

fn conf_of(root: &Path) -> (AptConf, Vec<Problem>) {
    read(&Tree::open(root).unwrap(), &ConfOptions::default())
}

fn is_refused(problems: &[Problem]) -> bool {
    problems
        .iter()
        .any(|problem| problem.effect == Effect::AptRefuses)
}

/// Lines as `apt-config dump` prints them: names with what its `QuoteString` escapes written as `%25`.
fn dump(conf: &AptConf) -> Vec<String> {
    let line = |(name, value): (String, &str)| {
        let mut quoted = String::new();
        for byte in name.bytes() {
            match byte {
                b'=' | b'"' | b'%' | 0..=0x20 | 0x7f.. => write!(quoted, "%{byte:02x}").unwrap(),
                _ => quoted.push(char::from(byte)),
            }
        }
        format!("{quoted} \"{value}\";")
    };
    conf.settings().into_iter().map(line).collect()
}

fn is_generated(line: &&str) -> bool {
    line.starts_with("T::") || line.starts_with("T ") || line.starts_with("U")
}

fn names(random: &mut StdRng) -> &'static str {
    [
        "T",
        "T::a",
        "t::A",
        "T::b::c",
        "T::list::",
        "T::list",
        "U",
        "U::d-e::",
        "T::\"quo ted\"",
        "T::%41b",
        "::T",
    ]
    .choose(random)
    .unwrap()
}

fn values(random: &mut StdRng) -> &'static str {
    [
        "\"x\"",
        "\"two words\"",
        "bare",
        "\"http://deb.example/#no\"",
        "\"/* no */\"",
        "\"\"",
        "\"a\" \"b\"",
        "\"%20\"",
        "un%20quoted",
        "\"tab\there\"",
        "[br ack]",
        "1",
        "\"open",
        "a\"b c\"d",
    ]
    .choose(random)
    .unwrap()
}

fn statement(random: &mut StdRng, depth: u32) -> String {
    let (name, value) = (names(random), values(random));
    match random.gen_range(0..16) {
        0..=4 => format!("{name} {value};\n"),
        5 => format!("{name}\n   {value}\n ;"),
        6 => format!("{name} {{ {value}; {}; }};\n", values(random)),
        7 | 8 if depth < 3 => {
            let inner: String = (0..random.gen_range(0..3))
                .map(|_| statement(random, depth + 1))
                .collect();
            let after = if random.gen_bool(0.5) { ";" } else { "" };
            format!("{name} {{\n{inner}}}{after}\n")
        }
        9 => "// a comment \"with quote\n".to_owned(),
        10 => "# another\n".to_owned(),
        11 => "/* over\n * lines; */ ".to_owned(),
        12 => format!("#clear {name};\n"),
        13 => format!("{name} {value}; // after\n"),
        14 => format!("{name} {value} {{ inner \"y\"; }};"),
        _ => format!("{name} \"1\" /* between */ ;# end\n"),
    }
}

fn damaged(text: String, random: &mut StdRng) -> String {
    if random.gen_bool(0.6) || text.is_empty() {
        return text;
    }
    let mut bytes = text.into_bytes();
    let at = random.gen_range(0..bytes.len());
    match random.gen_range(0..3) {
        0 => drop(bytes.remove(at)),
        1 => bytes.insert(at, *b"{};\"/*#: \n%[]x".choose(random).unwrap()),
        _ => bytes.truncate(at),
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn generated_configurations_read_as_apt_config_dumps_them() {
    let mut random = StdRng::seed_from_u64(7);
    let (mut refused, mut accepted) = (0, 0);
    for case in 0..400 {
        let root = tempfile::tempdir().unwrap();
        let files: Vec<(&str, String)> = [
            "etc/apt/apt.conf.d/10first",
            "etc/apt/apt.conf.d/9.conf",
            "etc/apt/apt.conf",
        ]
        .into_iter()
        .map(|path| {
            let text: String = (0..random.gen_range(0..5))
                .map(|_| statement(&mut random, 0))
                .collect();
            (path, damaged(text, &mut random))
        })
        .collect();
        files.iter().for_each(|(path, text)| put(root.path(), path, text));
        let Some(answer) = apt(root.path(), "apt-config", &["dump"]) else {
            return;
        };
        let (conf, problems) = conf_of(root.path());
        match answer {
            Err(said) => {
                refused += 1;
                assert!(
                    is_refused(&problems),
                    "case {case}: apt refuses ({said}), we do not: {files:#?}"
                );
            }
            Ok(theirs) => {
                accepted += 1;
                assert!(
                    !is_refused(&problems),
                    "case {case}: apt accepts, we do not: {problems:#?}\n{files:#?}"
                );
                let ours = dump(&conf);
                let ours: Vec<&str> = ours.iter().map(String::as_str).filter(is_generated).collect();
                // A value may hold no line break, so that each setting is one line.
                let theirs: Vec<&str> = theirs.lines().filter(is_generated).collect();
                assert_eq!(ours, theirs, "case {case}: {files:#?}");
            }
        }
    }
    assert!(
        refused > 50 && accepted > 150,
        "the generator is lopsided: {refused} refused, {accepted} accepted"
    );
}

#[test]
fn this_machines_configuration_reads_as_apt_config_dumps_it() {
    let empty = tempfile::tempdir().unwrap();
    let Some(builtin) = apt(empty.path(), "apt-config", &["dump"]) else {
        return;
    };
    let builtin = builtin.unwrap();
    let mut command = std::process::Command::new("apt-config");
    command.arg("dump").env_remove("APT_CONFIG").env("LC_ALL", "C");
    let theirs = crate::oracle::run("apt-config", &mut command).unwrap().unwrap();
    let (conf, problems) = conf_of(Path::new("/"));
    assert_eq!(problems, []);
    let ours = dump(&conf);
    // apt rewrites its languages when it starts, and asks dpkg for its architectures.
    let is_changed = |line: &str| {
        ["Acquire::Languages", "APT::Architecture", "Dir"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let has_value = |line: &&str| !line.ends_with(" \"\";") && !is_changed(line);
    let theirs_has = |line: &str| theirs.lines().any(|other| other == line);
    for line in ours.iter().map(String::as_str).filter(has_value) {
        assert!(theirs_has(line), "apt does not have {line}");
    }
    let added = theirs
        .lines()
        .filter(has_value)
        .filter(|line| !builtin.lines().any(|other| other == *line));
    for line in added {
        assert!(ours.iter().any(|other| other == line), "we do not have {line}");
    }
}

#[test]
fn names_of_configuration_files_count_as_for_apt() {
    let root = tempfile::tempdir().unwrap();
    let all = [
        "00a",
        "10b.conf",
        "20c.txt",
        "30d.conf.",
        ".40e",
        "50f.conf~",
        "60g.conf.dpkg-old",
        "70h h",
        "80i:j",
        "90k_l-m",
        "Z.conf",
        "a.b.conf",
        "ü.conf",
        "x.CONF",
    ];
    for name in all {
        put(
            root.path(),
            &format!("etc/apt/apt.conf.d/{name}"),
            format!("T::list:: \"{name}\";\n"),
        );
    }
    std::fs::create_dir(root.path().join("etc/apt/apt.conf.d/folder.conf")).unwrap();
    let Some(answer) = apt(root.path(), "apt-config", &["dump"]) else {
        return;
    };
    let (conf, problems) = conf_of(root.path());
    assert_eq!(problems, []);
    let ours = dump(&conf);
    let ours: Vec<&str> = ours.iter().map(String::as_str).filter(is_generated).collect();
    assert_eq!(
        ours,
        answer.unwrap().lines().filter(is_generated).collect::<Vec<_>>()
    );
    assert_eq!(conf.list("T::list").len(), 6);
}

#[test]
fn folders_are_put_together_as_apt_does() {
    let cases = [
        "",
        "Dir::Etc \"x/y\";",
        "Dir::Etc \"/abs\";",
        "Dir::Etc::preferences \"/p/q\";",
        "Dir::Etc::preferences \"./p\";",
        "Dir::Etc::preferences \"../p\";",
        "Dir::Etc::preferences \"/dev/null\";",
        "Dir::Etc::sourceparts \"/dev/null\";",
        "RootDir \"/\";",
        "Dir::State \"a//b/./c/\"; Dir::State::lists \"d\";",
        "Dir::State::lists \"\";",
    ];
    for text in cases {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "etc/apt/apt.conf", text);
        let arguments = [
            "shell",
            "A",
            "Dir::Etc::preferences/f",
            "B",
            "Dir::Etc::sourceparts/d",
            "C",
            "Dir::State::lists/d",
            "D",
            "Dir::Etc::main/f",
        ];
        let Some(answer) = apt(root.path(), "apt-config", &arguments) else {
            return;
        };
        let (conf, _) = conf_of(root.path());
        let ours = [
            ("A", conf.file("Dir::Etc::preferences")),
            ("B", conf.folder("Dir::Etc::sourceparts")),
            ("C", conf.folder("Dir::State::lists")),
            ("D", conf.file("Dir::Etc::main")),
        ];
        let prefix = root.path().display().to_string();
        let theirs = answer.unwrap().replace(&prefix, "");
        let ours: String = ours
            .iter()
            .map(|(name, path)| format!("{name}='{path}'\n"))
            .collect();
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "etc/apt/apt.conf",
        "#include \"/etc/apt/apt.conf\";\n#include \"/etc/apt/apt.conf\";\n",
    );
    let (_, problems) = conf_of(root.path());
    assert!(is_refused(&problems), "{problems:?}");
    assert!(problems.len() < 2_000);
}

#[test]
fn an_included_file_lies_inside_the_tree() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "etc/apt/apt.conf",
        "#include \"/more.conf\";\n#include \"/../../more.conf.d/\";\n",
    );
    put(root.path(), "more.conf", "T::a \"1\";");
    put(root.path(), "more.conf.d/x", "T::b \"2\";");
    let (conf, problems) = conf_of(root.path());
    assert_eq!(
        (conf.text("T::a"), conf.text("t::B"), problems.len()),
        (Some("1"), Some("2"), 0)
    );
}

#[test]
fn deep_long_and_countless_names_are_refused_in_bounded_time() {
    for text in [
        "a::".repeat(100_000) + " \"x\";",
        "a { ".repeat(100_000),
        "T:: \"x\";".repeat(100_010),
        format!("{} {{ {} }}", "a".repeat(500_000), "b \"x\"; ".repeat(50_000)),
    ] {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "etc/apt/apt.conf", text);
        assert!(is_refused(&conf_of(root.path()).1));
    }
}
