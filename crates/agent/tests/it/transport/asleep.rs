//! A host that slept while the server's certificate was renewed: by its own time the new one does not count yet.

use super::HOUR;
use super::peers::{Answer, Authority, NOW, Server};
use agent::journal::Journal;
use agent::network::{Network, once};
use agent::service::Places;
use agent::service::log::Log;
use agent::session::{Memory, Phase, Seed};
use agent::transport::ProxySettings;
use protocol::link::Link;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// Longer than any host sleeps, and than any clock of a test is wrong.
const LATER: i64 = 40 * 365 * 24 * HOUR;

/// An enrolled host's memory; `heard` is when a server last told it the time, in microseconds since 1970.
fn memory(authority: &Authority, server: &Server, heard: Option<i64>) -> Memory {
    let memory = Memory {
        phase: Phase::Enrolled {
            host: "01920000-0000-7000-8000-000000000001".parse().unwrap(),
            site: "main".to_owned(),
            certificates: Vec::new(),
            not_before: 0,
            not_after: i64::MAX,
            link: Link {
                count: 1,
                mac: [7; 16],
            },
            stop: None,
        },
        key: Some(Seed([7; 32])),
        pins: authority.pins().0,
        addresses: vec![server.address.parse().unwrap()],
        ..Memory::default()
    };
    let mut text = serde_json::to_value(memory).unwrap();
    text["time"] = heard.map_or(Value::Null, |heard| {
        let boot = "00".repeat(16);
        json!({ "heard": heard, "boot": boot, "boot_micros": 0, "floor": heard, "ahead_seconds": 0 })
    });
    serde_json::from_value(text).unwrap()
}

/// How many messages reach a server whose certificate begins to count much later.
fn messages_to_a_later_server(heard: Option<i64>) -> usize {
    let authority = Authority::new("Ours");
    let server = authority.serve(&["127.0.0.1"], (LATER, LATER + HOUR), Answer::Ok(Vec::new()));
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        state: folder.path().to_owned(),
        settings: folder.path().join("agent.toml"),
    };
    std::fs::create_dir(places.identity()).unwrap();
    std::fs::set_permissions(places.identity(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let journal = Journal::open(&places.identity()).unwrap();
    journal.write(&memory(&authority, &server, heard)).unwrap();
    drop(journal);
    let mut network = Network {
        places,
        proxies: ProxySettings::default(),
        log: Log::Nowhere,
        bell: None,
    };
    once(&mut network).unwrap();
    server.requests().len()
}

#[test]
fn a_host_that_slept_believes_a_certificate_of_its_authority_that_begins_later() {
    assert_eq!(messages_to_a_later_server(Some(NOW * 1_000_000)), 1);
}

#[test]
fn a_host_that_never_heard_a_server_does_not_send_before_its_certificate_begins() {
    assert_eq!(messages_to_a_later_server(None), 0);
}
