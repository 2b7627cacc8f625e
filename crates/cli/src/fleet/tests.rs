//! Every command that asks a server, of a server that answers as its API promises and means harm with every text: what a
//! person or a program gets is harmless and well formed. The commands come from the command line's own tree, so that none
//! is left out.

mod fake;

use super::args::Asking;
use super::args::Format;
use super::client::{Client, May, Target};
use super::table::Column;
use super::{Asker, columns};
use crate::args::{Colour, Command, CommandLine};
use crate::text::{Style, refusal, width};
use clap::{Arg, CommandFactory, Parser};
use domain::text::is_steering;
use fake::{Fake, NAME};
use serde_json::Value;
use std::collections::BTreeSet;
use ureq::http::Method;

/// Commands that ask no server, or a server and files: tried in the integration tests.
const ELSEWHERE: &[&str] = &[
    "scan",
    "up",
    "listen",
    "install",
    "uninstall",
    "login",
    "completion",
    "restore",
    "db copy",
    "backup verify",
    "tenant remove",
    "tenant export",
    "source add",
    "change approve",
    "change key",
    // Watches until a host comes to an end that it knows: deploy/tests.rs.
    "change watch",
];

/// Commands that believe nothing that this server says: they check its signatures.
const REFUSES: &[&str] = &["audit checkpoint", "audit verify"];

/// What some commands need besides what they require.
const ALSO: &[(&str, &[&str])] = &[
    (
        "enrol",
        &["--site", NAME, "--address", "192.0.2.1:8443", "--no-wait"],
    ),
    ("source sync", &["--no-wait"]),
    ("source access", &["--remove"]),
    ("deploy", &["--preview"]),
    ("deployment back-out", &["--yes", "--no-wait"]),
    ("support-bundle", &["--preview"]),
    ("at-risk", &["--package", "openssl<3"]),
];

/// Which columns are shown of which answer, and where in it an item stands.
const BY_ROUTE: &[(&str, &str, &[Column])] = &[
    ("/api/v1/tenants/t/hosts", "/items/0", columns::HOSTS),
    ("/api/v1/tenants/t/hosts/h", "", columns::HOST),
    ("/api/v1/tenants/t/hosts/h/history", "/items/0", columns::HISTORY),
    (
        "/api/v1/tenants/t/hosts/h/findings",
        "/packages/0",
        columns::HOST_FINDINGS,
    ),
    ("/api/v1/tenants/t/updates", "/items/0", columns::UPDATES),
    ("/api/v1/tenants/t/updates", "/items/0", columns::FINDINGS),
    ("/api/v1/tenants/t/updates/u", "", columns::UPDATE),
    (
        "/api/v1/tenants/t/updates/u/hosts",
        "/items/0",
        columns::CONCERNED,
    ),
    ("/api/v1/tenants/t/hosts/h/changes", "/items/0", columns::CHANGES),
    ("/api/v1/tenants/t/coverage/gaps", "/items/0", columns::GAPS),
    (
        "/api/v1/tenants/t/hosts/h/coverage",
        "/sources/0",
        columns::STANZAS,
    ),
    (
        "/api/v1/tenants/t/hosts/h/coverage",
        "/packages/0",
        columns::PACKAGE_GAPS,
    ),
    ("/api/v1/tenants/t/sources", "/items/0", columns::SOURCES),
    ("/api/v1/tenants/t/sources/s", "", columns::SOURCE),
    ("/api/v1/tenants/t/sources/s", "", columns::SYNCED),
    ("/api/v1/tenants", "/items/0", columns::TENANTS),
    ("/api/v1/tenants/t/sites", "/items/0", columns::SITES),
    ("/api/v1/users", "/items/0", columns::USERS),
    ("/api/v1/tokens", "/items/0", columns::TOKENS),
    ("/api/v1/audit-records", "/items/0", columns::AUDIT),
    ("/api/v1/storage", "/causes/0", columns::STORAGE),
    ("/api/v1/tenants/t/changes", "/items/0", columns::CHANGES_OF_HOSTS),
    ("/api/v1/tenants/t/changes/c", "", columns::CHANGE),
    (
        "/api/v1/tenants/t/changes/c/deployments",
        "/items/0",
        columns::DEPLOYMENTS,
    ),
    ("/api/v1/tenants/t/deployments", "/items/0", columns::DEPLOYMENTS),
    ("/api/v1/tenants/t/deployments/d", "", columns::DEPLOYMENT),
    (
        "/api/v1/tenants/t/deployments/d",
        "/packages/0",
        columns::DEPLOYED,
    ),
    (
        "/api/v1/tenants/t/deployments/d",
        "/packages/0",
        columns::BROUGHT_BACK,
    ),
    ("/api/v1/tenants/t/approval-policy", "", columns::APPROVAL_POLICY),
];

/// A command without parts, by its words, and what has to be said with it.
struct Leaf {
    words: String,
    arguments: Vec<String>,
}

fn leaves() -> Vec<Leaf> {
    let mut found = Vec::new();
    gather(&CommandLine::command(), &mut Vec::new(), &mut found);
    found.retain(|leaf| !ELSEWHERE.contains(&leaf.words.as_str()));
    assert!(found.len() > 30, "{} commands", found.len());
    found
}

fn gather(command: &clap::Command, words: &mut Vec<String>, found: &mut Vec<Leaf>) {
    let parts: Vec<_> = command
        .get_subcommands()
        .filter(|part| part.get_name() != "help")
        .collect();
    for part in &parts {
        words.push(part.get_name().to_owned());
        gather(part, words, found);
        words.pop();
    }
    if parts.is_empty() {
        let words = words.join(" ");
        let also = ALSO.iter().find(|(command, _)| *command == words);
        let mut arguments: Vec<String> = also.map_or_else(Vec::new, |(_, also)| {
            also.iter().map(|word| (*word).to_owned()).collect()
        });
        let (positional, options): (Vec<&Arg>, Vec<&Arg>) = command
            .get_arguments()
            .filter(|argument| argument.is_required_set())
            .partition(|argument| argument.is_positional());
        for option in options {
            arguments.extend([
                format!("--{}", option.get_long().expect("an option has a name")),
                said(option),
            ]);
        }
        arguments.push("--".to_owned());
        arguments.extend(positional.into_iter().map(said));
        found.push(Leaf { words, arguments });
    }
}

/// What a person says for it.
fn said(argument: &Arg) -> String {
    let possible = argument.get_possible_values();
    possible
        .first()
        .map_or_else(|| NAME.to_owned(), |value| value.get_name().to_owned())
}

/// Runs a command against this server, and gives what is printed; a refusal as the program prints it.
fn ran(fake: &Fake, leaf: &Leaf, options: &[&str], columns: Option<usize>) -> Result<String, String> {
    let words = leaf.words.split(' ');
    let line = std::iter::once("patchyard")
        .chain(words)
        .chain(options.iter().copied());
    let line = line.chain(["--tenant", NAME]);
    let line = line.chain(leaf.arguments.iter().map(String::as_str));
    let parsed = CommandLine::try_parse_from(line).unwrap_or_else(|error| panic!("{}: {error}", leaf.words));
    let Command::Fleet(command) = parsed.command else {
        panic!("{} asks no server: name it above", leaf.words);
    };
    let now = "2026-01-02T03:04:06Z".parse().expect("a moment");
    let open = |asking: &Asking| {
        let target = Target {
            url: "https://192.0.2.1:8443".to_owned(),
            root_pem: String::new(),
            token: "a-token".to_owned(),
        };
        let may = match asking.format() {
            Format::Csv => May::Read,
            Format::People | Format::Json => May::Change,
        };
        Ok(Asker {
            client: Client::through(Box::new(fake.clone()), target, may),
            asking: asking.clone(),
            style: Style::new(Colour::Never, |name| {
                columns
                    .filter(|_| name == "COLUMNS")
                    .map(|columns| columns.to_string())
            }),
            now,
        })
    };
    match super::run(&command, &open, now) {
        Ok(done) => Ok(done.text),
        Err(error) => Err(refusal(&error)),
    }
}

/// Every command, again and again until it has been told every text that there is, or twice where it is told none.
fn told_everything(
    options: &[&str],
    columns: Option<usize>,
    look: impl Fn(&Leaf, &Fake, &Result<String, String>),
) {
    let texts: Vec<String> = testkit::hostile::texts()
        .into_iter()
        .map(|hostile| hostile.text)
        .collect();
    let all = texts.len();
    let fake = Fake::new(texts);
    for leaf in leaves() {
        let begun = fake.said();
        for round in 0..all {
            if round > 1 && (fake.said() == begun || fake.said() - begun > all) {
                break;
            }
            let output = ran(&fake, &leaf, options, columns);
            look(&leaf, &fake, &output);
        }
    }
}

fn is_harmless(text: &str, may_be: &[char]) -> bool {
    !text.chars().any(|c| is_steering(c) && !may_be.contains(&c))
}

#[test]
fn every_command_answers_a_server_that_keeps_its_promises() {
    let fake = Fake::new(vec!["alpha".to_owned()]);
    for leaf in leaves()
        .iter()
        .filter(|leaf| !REFUSES.contains(&leaf.words.as_str()))
    {
        for options in [&[][..], &["--json"]] {
            let output = ran(&fake, leaf, options, Some(80));
            let output = output.unwrap_or_else(|refused| panic!("{} {options:?}: {refused}", leaf.words));
            assert!(!output.trim().is_empty(), "{} says nothing", leaf.words);
            assert!(output.ends_with('\n'), "{}: {output:?}", leaf.words);
        }
    }
}

#[test]
fn no_text_of_a_server_steers_a_terminal_whichever_command_shows_it() {
    for columns in [Some(80), Some(120), None] {
        told_everything(&[], columns, |leaf, _, output| {
            let (Ok(text) | Err(text)) = output;
            assert!(is_harmless(text, &['\n']), "{}: {text:?}", leaf.words);
        });
    }
}

#[test]
fn lists_fit_a_terminal_of_80_and_of_120_columns() {
    let more = ["at-risk", "host packages", "host history", "update hosts"];
    let is_list = |leaf: &Leaf| leaf.words.ends_with(" list") || more.contains(&leaf.words.as_str());
    for columns in [80, 120] {
        told_everything(&[], Some(columns), |leaf, _, output| {
            if let (true, Ok(text)) = (is_list(leaf), output) {
                let widest = text.lines().map(width).max().unwrap_or(0);
                assert!(
                    widest <= columns,
                    "{} takes {widest} columns:\n{text}",
                    leaf.words
                );
            }
        });
    }
}

#[test]
fn json_is_json_and_harmless_whichever_command_prints_it() {
    told_everything(&["--json"], None, |leaf, _, output| {
        let (Ok(text) | Err(text)) = output;
        assert!(is_harmless(text, &['\n']), "{}: {text:?}", leaf.words);
        if let Ok(json) = output {
            let read: Result<Value, _> = serde_json::from_str(json);
            assert!(read.is_ok(), "{}: {json}", leaf.words);
        }
    });
}

#[test]
fn csv_is_given_of_what_changes_nothing_and_a_change_is_refused_before_it_is_asked_for() {
    let mut lists = BTreeSet::new();
    let seen = std::cell::RefCell::new(Vec::new());
    told_everything(&["--csv"], Some(80), |leaf, fake, output| {
        let changes = fake
            .asked()
            .into_iter()
            .any(|method| method != Method::GET && leaf.words != "at-risk");
        assert!(!changes, "{} --csv changes something", leaf.words);
        let (Ok(text) | Err(text)) = output;
        assert!(is_harmless(text, &['\r', '\n']), "{}: {text:?}", leaf.words);
        if let Ok(csv) = output {
            seen.borrow_mut().push((leaf.words.clone(), csv.clone()));
        }
    });
    let seen = seen.into_inner();
    lists.extend(seen.iter().map(|(words, _)| words.as_str()));
    assert!(
        lists.contains("host list") && lists.contains("at-risk"),
        "{lists:?}"
    );
    assert!(!lists.contains("host retire"), "{lists:?}");
    let Some(read) = read_by_python(&seen) else { return };
    for ((words, csv), rows) in seen.iter().zip(read) {
        let widths: BTreeSet<usize> = rows.iter().map(Vec::len).collect();
        assert_eq!(widths.len(), 1, "{words}: rows of {widths:?} fields in {csv:?}");
        for field in rows.iter().flatten() {
            let formula = field
                .trim_start()
                .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
            assert!(!formula, "{words}: {field:?}");
        }
    }
}

/// The fields as Python's reader of CSV has them, which nobody here wrote.
fn read_by_python(outputs: &[(String, String)]) -> Option<Vec<Vec<Vec<String>>>> {
    const PROGRAM: &str = "import csv, io, json, sys\n\
        texts = json.load(sys.stdin)\n\
        csv.field_size_limit(1 << 24)\n\
        json.dump([list(csv.reader(io.StringIO(text, newline=''), strict=True)) for text in texts], sys.stdout)";
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("input");
    let texts: Vec<&String> = outputs.iter().map(|(_, text)| text).collect();
    std::fs::write(&input, serde_json::to_vec(&texts).expect("texts are JSON")).expect("write");
    let output = std::process::Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(std::fs::File::open(&input).expect("open"))
        .output();
    let Ok(output) = output else {
        testkit::skip::skip(&"python3 is not here");
        return None;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn every_command_takes_json() {
    let mut found = Vec::new();
    gather(&CommandLine::command(), &mut Vec::new(), &mut found);
    for leaf in found {
        let mut command = CommandLine::command();
        command.build();
        let mut part = &command;
        for word in leaf.words.split(' ') {
            part = part.find_subcommand(word).expect("a command of the tree");
        }
        let takes = part
            .get_arguments()
            .any(|argument| argument.get_long() == Some("json"));
        // What it prints is a program already.
        let is_excused = leaf.words == "completion";
        assert!(takes || is_excused, "{} has no --json", leaf.words);
    }
}

#[test]
fn every_column_is_one_that_the_api_promises() {
    let fake = Fake::new(vec!["alpha".to_owned()]);
    for (route, items, shown) in BY_ROUTE {
        let answer = fake.get(route);
        let item = answer
            .pointer(items)
            .unwrap_or_else(|| panic!("{route} gives no {items}"));
        for column in *shown {
            // Names of sites are put there by the command; what a host says of itself has no promised shape.
            let is_added = column.pointer == "/site_name" || column.pointer.starts_with("/facts/");
            let is_free = ["/last_outcome/", "/totals/"]
                .iter()
                .any(|free| column.pointer.starts_with(free));
            if !is_added && !is_free {
                assert!(
                    item.pointer(column.pointer).is_some(),
                    "{route} has no {}",
                    column.pointer
                );
            }
        }
    }
}
