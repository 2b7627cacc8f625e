//! Source lists: the indexes that are read equal those that `apt-get indextargets` lists, in its order.

use crate::oracle::{apt, put};
use agent::apt_conf::AptConf;
use agent::apt_conf::read::{ConfOptions, read as read_conf};
use agent::problem::{Effect, Problem};
use agent::sources_list::{Architectures, parse, read};
use agent::tree::Tree;
use domain::host::address::{list_file_name, release_uri};
use domain::host::channels::{SignedBy, Stanza, Subkeys, Trust};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::path::Path;

const NATIVE: &str = "amd64";
const CONF: &str = "APT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; \"i386\"; };\n";
const FORMAT: &str =
    "$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ARCHITECTURE)|$(SOURCESENTRY)|$(FILENAME)";

fn architectures() -> Architectures {
    let configured = vec![NATIVE.to_owned(), "i386".to_owned()];
    Architectures {
        native: NATIVE.to_owned(),
        configured,
        barbarian: Vec::new(),
    }
}

fn stanzas(root: &Path) -> (Vec<Stanza>, Vec<Problem>) {
    let tree = Tree::open(root).unwrap();
    let (conf, problems) = read_conf(&tree, &ConfOptions::default());
    assert_eq!(problems, []);
    read(&tree, &conf, &architectures())
}

/// The index files of stanzas in order; those for all architectures, which apt adds by itself, are left out.
fn indexes(stanzas: &[Stanza]) -> Vec<String> {
    let mut lines = Vec::new();
    for stanza in stanzas {
        let Stanza { uri, suite, file, .. } = stanza;
        let place = if stanza.file.ends_with(".list") {
            format!("{file}:{}", stanza.line)
        } else {
            file.clone()
        };
        if stanza.is_flat() {
            let release = if suite == "/" { "" } else { suite };
            let name = list_file_name(&format!("{}Packages", release_uri(uri, suite)));
            lines.push(format!(
                "{uri}|{release}|$(COMPONENT)|$(ARCHITECTURE)|{place}|{name}"
            ));
        }
        for component in &stanza.components {
            for architecture in stanza.architectures.iter().filter(|name| *name != "all") {
                let index = format!("{component}/binary-{architecture}/Packages");
                let name = list_file_name(&(release_uri(uri, suite) + &index));
                lines.push(format!("{uri}|{suite}|{component}|{architecture}|{place}|{name}"));
            }
        }
    }
    lines
}

/// The same from apt's words.
fn apt_indexes(root: &Path, text: &str) -> Vec<String> {
    let prefix = root.display().to_string();
    let packages = text.lines().filter_map(|line| line.strip_prefix("Packages|"));
    let mut lines = Vec::new();
    for line in packages {
        let mut fields: Vec<String> = line.split('|').map(str::to_owned).collect();
        if fields[3] == "all" {
            continue;
        }
        let place = fields[4].replace(&prefix, "");
        // In a deb822 file apt counts stanzas, here lines are counted.
        let (file, _) = place.rsplit_once(':').unwrap();
        fields[4] = if file.ends_with(".list") {
            place.clone()
        } else {
            file.to_owned()
        };
        fields[5] = fields[5].rsplit('/').next().unwrap().to_owned();
        lines.push(fields.join("|"));
    }
    lines
}

fn pick<'a>(random: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices.choose(random).unwrap()
}

const URIS: [&str; 9] = [
    "http://deb.example/debian",
    "https://deb.example/debian/",
    "http://security.example/debian-security",
    "file:/srv/mirror",
    "http://user:pw@deb.example:8080/x//y",
    "cdrom:[Debian]/",
    "http://[2001:db8::1]:80/d",
    "mirror+file:/etc/apt/mirrors/$(ARCH).list",
    "http://under_score.example/~x",
];
const SUITES: [&str; 8] = [
    "stable",
    "stable-security",
    "stable/updates",
    "./",
    "/",
    "sub/$(ARCH)/",
    "a%20b",
    "x_y",
];
const COMPONENTS: [&str; 6] = [
    "main",
    "main contrib",
    "main main",
    "contrib main non-free",
    "updates/main",
    "",
];

fn option(random: &mut StdRng) -> &'static str {
    pick(
        random,
        &[
            "arch=amd64",
            "arch=i386,amd64",
            "arch+=arm64",
            "arch-=i386",
            "arch=all",
            "arch=amd64,all",
            "lang=none",
            "target-=Packages",
            "Packages=no",
            "target=Packages",
            "by-hash=force",
            "pdiffs=no",
            "unknown=1",
            "arch-=amd64",
            "trusted=yes",
            "signed-by=/usr/share/keyrings/x.gpg",
            "check-valid-until=no",
            "valid-until-max=86400",
            "signed-by=0123456789abcdef0123456789ABCDEF01234567",
            "signed-by=short",
            "arch= ",
            "noequals",
            "allow-weak=yes",
        ],
    )
}

fn one_line(random: &mut StdRng) -> String {
    let kind = pick(
        random,
        &[
            "deb", "deb", "deb", "deb", "deb-src", "deb\t", "  deb", "dep", "#deb", "",
        ],
    );
    let options = match random.gen_range(0..8) {
        0 => format!("[ {} ]", option(random)),
        1 => format!("[{}]", option(random)),
        2 => format!("[{} {}]", option(random), option(random)),
        3 if random.gen_bool(0.2) => format!("[{}", option(random)),
        _ => String::new(),
    };
    let (uri, suite, components) = (
        pick(random, &URIS),
        pick(random, &SUITES),
        pick(random, &COMPONENTS),
    );
    let components = if suite.ends_with('/') && random.gen_bool(0.9) {
        ""
    } else {
        components
    };
    let comment = pick(random, &["", "", "", " # why", "#x", " "]);
    format!("{kind} {options} {uri} {suite} {components}{comment}\n")
}

fn deb822(random: &mut StdRng) -> String {
    let mut text = String::new();
    if random.gen_bool(0.2) {
        text.push_str("# a comment\n");
    }
    text.push_str(pick(
        random,
        &[
            "Types: deb\n",
            "types: deb deb-src\n",
            "Types: deb\n",
            "Types: deb-src\n",
            "Types: rpm\n",
        ],
    ));
    if random.gen_bool(0.15) {
        text.push_str(pick(
            random,
            &[
                "Enabled: no\n",
                "Enabled: yes\n",
                "Enabled: 0\n",
                "Enabled: maybe\n",
                "Enabled:\n",
            ],
        ));
    }
    let uris = format!(
        "{} {}",
        pick(random, &URIS),
        if random.gen_bool(0.2) {
            pick(random, &URIS)
        } else {
            ""
        }
    );
    text.push_str(&format!(
        "URIs: {}\n",
        uris.replace("cdrom:[Debian]/", "cdrom:[D]/")
    ));
    let suites = match random.gen_range(0..3) {
        0 => pick(random, &["./", "/", "sub/$(ARCH)/"]).to_owned(),
        1 => "stable\n stable-updates $(ARCH)".to_owned(),
        _ => pick(random, &SUITES).to_owned(),
    };
    text.push_str(&format!("Suites: {suites}\n"));
    if !suites.ends_with('/') || random.gen_bool(0.1) {
        text.push_str(&format!("Components: {}\n", pick(random, &COMPONENTS)));
    }
    for field in [
        "Architectures: amd64\n",
        "Architectures-Add: arm64\n",
        "Architectures-Remove: i386\n",
        "# inside\n",
        "Targets: Packages\n",
        "Targets-Remove: Packages\n",
        "X-Own: field\n",
        "Unknown: field\n",
        "By-Hash: no\n",
    ] {
        if random.gen_bool(0.1) {
            text.push_str(field);
        }
    }
    text.push('\n');
    text
}

fn root_without_sources() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "etc/apt/apt.conf", CONF);
    put(root.path(), "var/lib/dpkg/status", "");
    std::fs::create_dir_all(root.path().join("var/lib/apt/lists/partial")).unwrap();
    std::fs::create_dir_all(root.path().join("etc/apt/sources.list.d")).unwrap();
    root
}

/// Found by fuzzing, which held an empty suite for a fault of ours.
#[test]
fn an_empty_suite_or_component_in_quotes_is_one_as_apt_has_it() {
    for line in [
        "deb http://archive.example/debian/ \"\" main",
        "deb http://archive.example/debian/ \"\" \"\"",
        "deb http://archive.example/debian/ stable \"\" main",
        "deb http://]/ \"\" main",
    ] {
        let root = root_without_sources();
        put(root.path(), "etc/apt/sources.list", format!("{line}\n"));
        let arguments = ["indextargets", "--no-release-info", "--format", FORMAT];
        let Some(answer) = apt(root.path(), "apt-get", &arguments) else {
            return;
        };
        let (stanzas, problems) = stanzas(root.path());
        assert_eq!(problems, [], "{line}");
        let theirs = apt_indexes(root.path(), &answer.unwrap());
        assert!(!theirs.is_empty(), "{line}");
        assert_eq!(indexes(&stanzas), theirs, "{line}");
    }
}

#[test]
fn generated_sources_give_the_indexes_that_apt_lists_in_its_order() {
    let mut random = StdRng::seed_from_u64(11);
    let (mut refused, mut accepted, mut files, mut listed) = (0, 0, 0, 0);
    for case in 0..300 {
        let root = root_without_sources();
        let mut shown = Vec::new();
        for name in [
            "sources.list",
            "sources.list.d/b.list",
            "sources.list.d/a.sources",
            "sources.list.d/c.list.save",
        ] {
            if random.gen_bool(0.5) {
                let is_deb822 = name.ends_with(".sources");
                let entry = |random: &mut StdRng| {
                    if is_deb822 {
                        deb822(random)
                    } else {
                        one_line(random)
                    }
                };
                let text: String = (0..random.gen_range(1..4)).map(|_| entry(&mut random)).collect();
                put(root.path(), &format!("etc/apt/{name}"), &text);
                files += 1;
                shown.push((name, text));
            }
        }
        let arguments = ["indextargets", "--no-release-info", "--format", FORMAT];
        let Some(answer) = apt(root.path(), "apt-get", &arguments) else {
            return;
        };
        let (stanzas, problems) = stanzas(root.path());
        let is_refused = problems
            .iter()
            .any(|problem| problem.effect == Effect::AptRefuses);
        match answer {
            Err(said) => {
                refused += 1;
                // apt before 3.0 also refuses a source whose later entry names no key; we know better and say so.
                let is_noted =
                    said.contains("Signed-By") && problems.iter().any(|p| p.what.contains("before 3.0"));
                assert!(
                    is_refused || is_noted,
                    "case {case}: apt refuses ({said}), we do not: {shown:#?}"
                );
            }
            Ok(text) => {
                accepted += 1;
                assert!(
                    !is_refused,
                    "case {case}: apt accepts, we do not: {problems:#?}\n{shown:#?}"
                );
                let theirs = apt_indexes(root.path(), &text);
                listed += theirs.len();
                assert_eq!(indexes(&stanzas), theirs, "case {case}: {shown:#?}\n{text}");
            }
        }
    }
    assert!(
        files > 400 && accepted > 80 && refused > 50 && listed > 300,
        "{files} {accepted} {refused} {listed}"
    );
}

fn parsed(file: &str, text: &str) -> (Vec<Stanza>, Vec<Problem>) {
    parse(file, text.as_bytes(), &AptConf::builtin(), &architectures())
}

#[test]
fn keys_of_a_source_are_paths_fingerprints_or_a_block() {
    let finger = "0123456789abcdef0123456789ABCDEF01234567";
    let text = format!(
        "Types: deb\nURIs: http://deb.example\nSuites: s\nComponents: main\nSigned-By: /a.gpg,/b.asc\n {finger}!\n"
    );
    let (stanzas, problems) = parsed("x.sources", &text);
    assert_eq!(problems, []);
    let SignedBy::Named { files, fingerprints } = &stanzas[0].signed_by else {
        panic!("{:?}", stanzas[0])
    };
    assert_eq!(files, &["/a.gpg", "/b.asc"]);
    assert_eq!(fingerprints[0].fingerprint, finger.to_uppercase());
    assert_eq!(fingerprints[0].subkeys, Subkeys::Excluded);
    let text = "Types: deb\nURIs: http://deb.example\nSuites: s\nComponents: main\nSigned-By:\n \
                -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n  abc\n -----END PGP PUBLIC KEY BLOCK-----\n";
    let (stanzas, _) = parsed("x.sources", text);
    let block = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n";
    assert_eq!(stanzas[0].signed_by, SignedBy::Inline(block.to_owned()));
}

#[test]
fn a_malformed_entry_is_named_by_its_line_and_the_others_are_used() {
    let text = "deb http://deb.example stable main\n\ndeb nonsense\ndeb http://deb.example other main\n";
    let (stanzas, problems) = parsed("/etc/apt/sources.list", text);
    assert_eq!(stanzas.len(), 2);
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].line, problems[0].effect), (3, Effect::AptRefuses));
    assert!(
        problems[0].to_string().contains("apt itself refuses"),
        "{}",
        problems[0]
    );
    let text =
        "Types: deb\nURIs: http://deb.example\nSuites: s\nComponents: main\n\n# why\nTypes: deb\nSuites: s\n";
    let (stanzas, problems) = parsed("x.sources", text);
    assert_eq!((stanzas.len(), problems[0].line), (1, 7));
}

#[test]
fn a_flat_source_whose_release_file_is_also_that_of_another_is_named_and_left_out() {
    let both = [
        "deb http://a.example/d stable main",
        "deb http://a.example/d/dists/ stable/",
    ];
    for (first, second) in [(0, 1), (1, 0)] {
        let text = format!("{}\n{}\n", both[first], both[second]);
        let (stanzas, problems) = parsed("/etc/apt/sources.list", &text);
        assert_eq!(stanzas.len(), 1, "{stanzas:?}");
        assert_eq!(stanzas[0].is_flat(), stanzas[0].components.is_empty());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!((problems[0].line, problems[0].effect), (2, Effect::Skipped));
    }
}

#[test]
fn a_check_is_never_switched_off_by_a_word_that_is_not_understood() {
    let text = "deb [check-valid-until=maybe check-date=nope trusted=perhaps] http://deb.example s main\n";
    let (stanzas, problems) = parsed("x.list", text);
    assert_eq!(
        (stanzas[0].check_valid_until, stanzas[0].check_date),
        (Some(true), Some(true))
    );
    assert_eq!(stanzas[0].trust, Trust::Never);
    assert_eq!(problems.len(), 2);
}

#[test]
fn a_list_of_ten_million_indexes_is_refused_in_bounded_memory() {
    let many = |prefix: &str| (0..2_000).map(|n| format!("{prefix}{n} ")).collect::<String>();
    let text = format!(
        "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
        many("http://a/"),
        many("s"),
        many("c")
    );
    let (stanzas, problems) = parsed("x.sources", &text);
    assert_eq!((stanzas.len(), problems.len()), (0, 1));
    let lines = "deb http://deb.example s main\n".repeat(20_000);
    let (stanzas, problems) = parsed("x.list", &lines);
    assert_eq!((stanzas.len(), problems.len()), (1, 1));
}

#[test]
fn control_characters_of_a_list_never_reach_a_message() {
    let (_, problems) = parsed("x.list", "\u{1b}[2J\u{7}deb \u{1b}]0;x\u{7} \u{202e}\n");
    assert!(
        problems
            .iter()
            .all(|problem| !problem.to_string().chars().any(char::is_control))
    );
    assert_eq!(problems.len(), 1);
}
