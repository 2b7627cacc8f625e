//! The command against a server that keeps to a script: what is asked of it, what a person is told, and how it ends.

use super::super::client::port::{Answer, Port};
use super::super::client::{Client, May, Target};
use super::*;
use crate::args::{Colour, Command, CommandLine};
use crate::fleet::args::FleetCommand;
use crate::text::Style;
use clap::Parser;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use ureq::http::{Method, Request};

const HOSTS: [&str; 3] = ["web1", "web2", "db1"];

/// A server of three hosts, each of which is where the script says at each look.
#[derive(Clone)]
struct Scripted(Rc<Script>);

#[derive(Default)]
struct Script {
    /// What the preview says of each host.
    outcomes: Vec<&'static str>,
    /// Where each host is, look by look; the last one stays.
    looks: Vec<[&'static str; 3]>,
    looked: Cell<usize>,
    /// So often the preview has changed by the time of the answer.
    changes: Cell<usize>,
    /// Looks at which the server is away.
    away: Vec<usize>,
    asked: RefCell<Vec<(Method, String, Value)>>,
    printed: RefCell<String>,
}

impl Scripted {
    fn new(script: Script) -> Self {
        Self(Rc::new(script))
    }

    /// The bodies that were posted to this path.
    fn posted(&self, end: &str) -> Vec<Value> {
        let asked = self.0.asked.borrow();
        let to = asked
            .iter()
            .filter(|(method, path, _)| *method == Method::POST && path.ends_with(end));
        to.map(|(_, _, body)| body.clone()).collect()
    }

    fn run(&self, words: &[&str]) -> Result<Done, String> {
        let line = ["patchyard", "deploy"].iter().chain(words);
        let Command::Fleet(FleetCommand::Deploy(wanted)) =
            CommandLine::try_parse_from(line).expect("a command line").command
        else {
            panic!("another command");
        };
        let target = Target {
            url: "https://192.0.2.1:8443".to_owned(),
            root_pem: String::new(),
            token: "a-token".to_owned(),
        };
        let asker = Asker {
            client: Client::through(Box::new(self.clone()), target, May::Change),
            asking: wanted.asking.clone(),
            style: Style::new(Colour::Never, |name| (name == "LC_ALL").then(|| "C".to_owned())),
            now: "2026-01-02T03:04:05Z".parse().expect("a moment"),
        };
        let mut printed = Vec::new();
        let mut room = Room {
            text: String::new(),
            out: Box::new(&mut printed),
            pause: &|| (),
        };
        let done = run_in(&asker, &wanted.command, &mut room);
        drop(room);
        self.0.printed.replace(String::from_utf8(printed).expect("text"));
        done.map_err(|error| crate::text::refusal(&error))
    }

    fn answer(&self, method: &Method, path: &str, query: &str) -> Result<(u16, Value), Box<ureq::Error>> {
        let script = &self.0;
        let tenant = "/api/v1/tenants/t1";
        let list = |items: Vec<Value>| (200, json!({ "items": items, "next": null }));
        Ok(match (method, path.strip_prefix(tenant)) {
            (_, None) => list(vec![json!({ "id": "t1", "name": "north" })]),
            (&Method::GET, Some("/updates")) => list(vec![
                json!({ "id": "u1", "source": "openssl", "source_version": "3.0.22-1", "classification": "security", "origin": "Debian" }),
                json!({ "id": "u2", "source": "openssl-blacklist", "source_version": "1" }),
            ]),
            (&Method::GET, Some("/hosts")) => {
                assert!(
                    query.contains("tag=web") && query.contains("state=active"),
                    "{query}"
                );
                list(vec![
                    json!({ "id": "h1", "name": "web1" }),
                    json!({ "id": "h2", "name": "web2" }),
                ])
            }
            (&Method::POST, Some("/deployments/preview")) => (200, self.preview()),
            (&Method::POST, Some("/deployments")) => match script.changes.get() {
                0 => (201, json!({ "id": "c1", "state": "running" })),
                left => {
                    script.changes.set(left - 1);
                    (
                        409,
                        json!({ "code": "preview-changed", "detail": "a host has changed since" }),
                    )
                }
            },
            (&Method::GET, Some("/changes/c1/deployments")) => {
                let look = script.looked.get();
                script.looked.set(look + 1);
                if script.away.contains(&look) {
                    return Err(Box::new(ureq::Error::ConnectionFailed));
                }
                let states = script.looks.get(look).or(script.looks.last()).expect("a look");
                list(
                    HOSTS
                        .iter()
                        .zip(states)
                        .map(|(name, state)| at(name, state))
                        .collect(),
                )
            }
            (_, Some(other)) => panic!("{method} {other} is not in the script"),
        })
    }

    fn preview(&self) -> Value {
        let package = json!({ "name": "libssl3", "architecture": "amd64", "from": "3.0.20-1", "version": "3.0.22-1", "size_bytes": 2_097_152, "new": false });
        let hosts = HOSTS.iter().zip(&self.0.outcomes).map(|(name, outcome)| {
            let packages = if *outcome == "install" {
                vec![package.clone()]
            } else {
                vec![]
            };
            json!({ "host": name, "name": name, "outcome": outcome, "packages": packages, "bytes": 2_097_152, "way_back": "yes", "without_way_back": [] })
        });
        json!({ "hosts": hosts.collect::<Vec<_>>(), "approval": "aa".repeat(32), "bytes": 1 })
    }
}

fn at(name: &str, state: &str) -> Value {
    let (shown, waiting) = match state.split_once(':') {
        Some((shown, code)) => (
            shown,
            json!({ "code": code, "sentence": format!("it is {code}") }),
        ),
        None => (state, Value::Null),
    };
    json!({ "id": format!("d-{name}"), "name": name, "shown": shown, "waiting": waiting, "packages": [] })
}

impl Port for Scripted {
    fn exchange(&self, request: Request<String>) -> Result<Answer, Box<ureq::Error>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = serde_json::from_str(request.body()).unwrap_or(Value::Null);
        self.0
            .asked
            .borrow_mut()
            .push((method.clone(), path.clone(), body));
        let (status, body) = self.answer(&method, &path, &query)?;
        Ok(Answer {
            status,
            etag: None,
            body: body.to_string().into_bytes(),
        })
    }
}

fn all_verified() -> Script {
    Script {
        outcomes: vec!["install", "install", "nothing"],
        looks: vec![
            ["planned"; 3],
            ["taken", "installing", "nothing"],
            ["succeeded", "succeeded", "nothing"],
        ],
        ..Script::default()
    }
}

#[test]
fn what_was_shown_is_what_is_begun_and_it_is_watched_until_it_is_verified() {
    let server = Scripted::new(all_verified());
    let done = server.run(&[
        "--update",
        "openssl",
        "--hosts",
        "web1,web2,db1",
        "--now",
        "--yes",
    ]);
    let done = done.expect("it goes well");
    assert_eq!(done.exit_code, exit::DONE);
    assert_eq!(done.text, "Verified on 3 of 3 hosts.\n");
    let printed = server.0.printed.borrow();
    let (_, live) = printed
        .split_once("patchyard change stop c1\n")
        .expect("how to stop it");
    assert_eq!(
        live,
        "web1  planned\nweb2  planned\ndb1   planned\n\
         web1  fetching\nweb2  installing\ndb1   nothing to do\n\
         web1  verified\nweb2  verified\n"
    );
    let (previewed, begun) = (server.posted("/preview"), server.posted("/deployments"));
    let mut expected = previewed[0].clone();
    assert_eq!(
        expected["updates"],
        json!(["u1"]),
        "of this source, not of one that begins so"
    );
    assert_eq!(expected["hosts"], json!({ "names": HOSTS }));
    assert_eq!(expected["reboot"], json!({ "rule": "never" }));
    assert_eq!(expected["needs"], "install");
    expected["approval"] = json!("aa".repeat(32));
    assert_eq!(begun, [expected]);
}

#[test]
fn hosts_on_which_the_same_happens_are_shown_together_and_nothing_is_begun_by_a_preview() {
    let server = Scripted::new(all_verified());
    let done = server
        .run(&["--update", "openssl", "--hosts", "tag=web", "--preview"])
        .expect("shown");
    assert_eq!(
        done.text,
        "update openssl 3.0.22-1  security  Debian\n\n\
         2 hosts: web1, web2\n  \
         libssl3:amd64  3.0.20-1 -> 3.0.22-1  2.0 MiB\n  \
         2.0 MiB to fetch for each - no service is restarted (--restart-services) - no reboot\n  \
         way back: the former versions can still be had\n\n\
         1 host: db1\n  nothing to do\n\n"
    );
    assert!(server.posted("/deployments").is_empty());
    assert_eq!(
        server.posted("/preview")[0]["hosts"],
        json!({ "ids": ["h1", "h2"] })
    );
}

#[test]
fn without_a_person_and_without_yes_nothing_is_begun() {
    for words in [&[][..], &["--json"]] {
        let server = Scripted::new(all_verified());
        let words = [&["--update", "openssl", "--hosts", "web1"], words].concat();
        let refused = server.run(&words).err().expect("nobody agreed");
        assert!(refused.contains("--yes"), "{refused}");
        assert!(server.posted("/deployments").is_empty());
    }
}

#[test]
fn hosts_that_only_watch_are_refused_with_the_command_that_lifts_it() {
    let script = || Script {
        outcomes: vec!["below_ceiling", "below_ceiling", "nothing"],
        ..all_verified()
    };
    let server = Scripted::new(script());
    let words = ["--update", "openssl", "--hosts", "all", "--yes"];
    let refused = server.run(&words).err().expect("no host allows it");
    assert!(
        refused.contains("2 hosts") && refused.contains("sudo patchyard-agent mode install"),
        "{refused}"
    );
    assert!(server.posted("/deployments").is_empty());
    let server = Scripted::new(script());
    let refused = server
        .run(&[&words[..], &["--reboot", "if-needed"]].concat())
        .err()
        .expect("refused");
    assert!(refused.contains("sudo patchyard-agent mode full"), "{refused}");
}

#[test]
fn a_preview_that_is_another_one_by_now_is_not_agreed_to_by_yes() {
    let server = Scripted::new(Script {
        changes: Cell::new(1),
        ..all_verified()
    });
    let refused = server
        .run(&["--update", "openssl", "--hosts", "all", "--yes"])
        .err()
        .expect("changed");
    assert!(refused.contains("a host has changed since"), "{refused}");
}

#[test]
fn a_server_that_is_restarted_meanwhile_ends_no_watching() {
    let server = Scripted::new(Script {
        away: vec![1, 2],
        ..all_verified()
    });
    let done = server
        .run(&["--update", "openssl", "--hosts", "all", "--yes"])
        .expect("it comes back");
    assert_eq!(done.exit_code, exit::DONE);
}

#[test]
fn the_exit_code_is_that_of_the_worst_host() {
    for (last, code) in [
        (["succeeded", "succeeded", "nothing"], exit::DONE),
        (["succeeded", "not_in_effect", "nothing"], exit::FOUND),
        (["succeeded", "planned:offline", "nothing"], exit::FOUND),
        (["succeeded", "cancelled", "nothing"], exit::FOUND),
        (["failed", "planned:below_ceiling", "succeeded"], exit::UNSURE),
    ] {
        let server = Scripted::new(Script {
            looks: vec![["planned"; 3], last],
            ..all_verified()
        });
        let done = server
            .run(&["--update", "openssl", "--hosts", "all", "--yes"])
            .expect("it ends");
        assert_eq!(done.exit_code, code, "{last:?}: {}", done.text);
    }
}

#[test]
fn programs_get_one_answer_at_the_end() {
    let server = Scripted::new(all_verified());
    let done = server
        .run(&["--update", "openssl", "--hosts", "all", "--yes", "--json"])
        .expect("done");
    let answer: Value = serde_json::from_str(&done.text).expect("JSON alone");
    assert_eq!(answer["change"]["id"], "c1");
    assert_eq!(answer["deployments"].as_array().map(Vec::len), Some(3));
    assert_eq!(*server.0.printed.borrow(), "");
    let begun = server.run(&[
        "--update",
        "openssl",
        "--hosts",
        "all",
        "--yes",
        "--json",
        "--no-wait",
    ]);
    let answer: Value = serde_json::from_str(&begun.expect("begun").text).expect("JSON alone");
    assert_eq!(answer["id"], "c1");
}
