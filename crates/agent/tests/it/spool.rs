//! What the executor leaves for the network process, the local ceiling, and what is left behind when an identity is given up.

use agent::documents::{HostDocument, Reading};
use agent::executor::spool::{Board, List, Outbox, make_folders, publish, publish_output};
use agent::mode::{self, Mode};
use agent::prepare_image::{prepare, purge};
use agent::service::log::Log;
use agent::service::{Account, NOBODY, Places, Settings, network_account};
use agent::session::upload::{Shelf, collect};
use agent::status;
use domain::host::measures::Measures;
use jiff::Timestamp;
use protocol::document::DocumentKind;
use protocol::message::check_in::Wanted;

struct World {
    folder: tempfile::TempDir,
    places: Places,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        state: folder.path().join("state"),
        settings: folder.path().join("etc/agent.toml"),
    };
    make_folders(&places, None).unwrap();
    World { folder, places }
}

fn document(kind: DocumentKind, text: &str) -> HostDocument {
    let bytes = text.as_bytes();
    HostDocument {
        kind,
        digest: protocol::sha256(bytes),
        bytes: bytes.into(),
    }
}

fn reading(inventory: &str) -> Reading {
    Reading {
        inventory: Some(document(DocumentKind::Inventory, inventory)),
        channel_config: None,
        facts: document(DocumentKind::Facts, "facts"),
        key_files: vec![document(DocumentKind::KeyFile, "a key")],
        measures: Measures::default(),
        neighbours: None,
        hardware: None,
        troubles: vec!["One thing could not be told.".to_owned()],
    }
}

fn wanted(kind: DocumentKind, text: &str) -> Wanted {
    Wanted {
        kind,
        digest: protocol::sha256(text.as_bytes()),
        base: None,
        offset: 0,
    }
}

#[test]
fn a_reading_reaches_the_network_process_by_digest() {
    let world = world();
    assert_eq!(Outbox::open(&world.places).unwrap().list, List::default());
    publish(&world.places, &reading("old"), List::default(), None).unwrap();
    publish(&world.places, &reading("new"), List::default(), None).unwrap();
    let outbox = Outbox::open(&world.places).unwrap();
    assert_eq!(outbox.list.documents.len(), 2);
    assert_eq!(outbox.list.troubles, ["One thing could not be told."]);
    let ask = vec![
        wanted(DocumentKind::Inventory, "new"),
        wanted(DocumentKind::KeyFile, "a key"),
        wanted(DocumentKind::Facts, "other facts"),
    ];
    let upload = collect(ask.clone(), &outbox);
    assert_eq!(upload.bytes, b"newa key");
    assert_eq!((upload.missing, upload.left), (vec![ask[2]], Vec::new()));
    // The one before stays for a delta.
    assert!(
        outbox
            .read(DocumentKind::Inventory, protocol::sha256(b"old"), 0, 100)
            .is_some()
    );
}

#[test]
fn a_document_that_a_power_cut_tore_is_not_sent_as_if_it_were_whole() {
    let world = world();
    publish(&world.places, &reading("an inventory"), List::default(), None).unwrap();
    let digest = protocol::sha256(b"an inventory");
    let path = world.places.outbox().join(digest.to_string());
    std::fs::write(&path, "an inven").unwrap();
    let outbox = Outbox::open(&world.places).unwrap();
    let upload = collect(vec![wanted(DocumentKind::Inventory, "an inventory")], &outbox);
    assert_eq!((upload.parts.len(), upload.missing.len()), (0, 1));
}

#[test]
fn an_outbox_keeps_the_last_readings_and_not_all() {
    let world = world();
    for number in 0..40 {
        publish(
            &world.places,
            &reading(&format!("inventory {number}")),
            List::default(),
            None,
        )
        .unwrap();
    }
    let files = std::fs::read_dir(world.places.outbox()).unwrap().count();
    assert!((4..=20).contains(&files), "{files}");
}

#[test]
fn what_is_told_of_orders_outlives_readings_until_it_is_no_longer_told() {
    let world = world();
    assert_eq!(Board::open(&world.places).unwrap(), Board::default());
    let said = b"Unpacking openssl".to_vec();
    let digest = publish_output(&world.places, &said, None).unwrap();
    let board = Board {
        highest: 3,
        outputs: vec![digest.to_string()],
        ..Board::default()
    };
    board.publish(&world.places, None).unwrap();
    let read = || {
        for number in 0..40 {
            let text = format!("inventory {number}");
            publish(&world.places, &reading(&text), List::default(), None).unwrap();
        }
        let outbox = Outbox::open(&world.places).unwrap();
        outbox
            .read(DocumentKind::Output, digest, 0, 1 << 20)
            .map(|(bytes, _)| bytes)
    };
    assert_eq!(read(), Some(said));
    assert_eq!(Board::open(&world.places).unwrap(), board);
    Board::default().publish(&world.places, None).unwrap();
    assert_eq!(read(), None);
}

#[test]
fn an_outbox_of_somebody_else_is_not_believed() {
    let world = world();
    publish(&world.places, &reading("an inventory"), List::default(), None).unwrap();
    let list = world.places.outbox().join("list");
    if std::os::unix::fs::chown(&list, Some(54_321), None).is_err() {
        return testkit::skip::skip(&"only root can give a file to somebody else");
    }
    assert!(Outbox::open(&world.places).is_err());
}

#[test]
fn the_ceiling_is_monitor_until_set_and_whenever_it_is_not_understood() {
    let world = world();
    assert_eq!(mode::read(&world.places), Mode::Monitor);
    mode::set(&world.places, Mode::Install).unwrap();
    assert_eq!(mode::read(&world.places), Mode::Install);
    for text in ["", "everything", "full full", &"full ".repeat(100), "\u{0}full"] {
        std::fs::write(world.places.mode(), text).unwrap();
        assert_eq!(mode::read(&world.places), Mode::Monitor, "{text:?}");
    }
}

#[test]
fn an_image_keeps_settings_and_ceiling_and_nothing_that_names_this_host() {
    let world = world();
    std::fs::create_dir_all(world.places.settings.parent().unwrap()).unwrap();
    std::fs::write(&world.places.settings, "").unwrap();
    mode::set(&world.places, Mode::Download).unwrap();
    publish(&world.places, &reading("an inventory"), List::default(), None).unwrap();
    agent::journal::Journal::open(&world.places.identity())
        .unwrap()
        .write(&agent::session::Memory::default())
        .unwrap();
    prepare(&world.places).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(&world.places.state).unwrap().collect();
    assert_eq!(left.pop().unwrap().unwrap().path(), world.places.mode());
    assert!(left.is_empty() && world.places.settings.exists());
    purge(&world.places).unwrap();
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
    // Twice is no fault.
    purge(&world.places).unwrap();
}

#[test]
fn an_identity_in_use_is_not_given_up() {
    let world = world();
    let _running = status::take_service_lock(&world.places).unwrap().unwrap();
    assert_eq!(status::service(&world.places), status::Service::Runs);
    assert!(
        prepare(&world.places)
            .unwrap_err()
            .to_string()
            .contains("systemctl stop")
    );
    assert!(status::take_service_lock(&world.places).unwrap().is_none());
}

#[test]
fn a_log_in_a_file_never_grows_above_its_cap() {
    let world = world();
    let path = world.folder.path().join("agent.log");
    let log = Log::Capped {
        path: path.clone(),
        cap_bytes: 1_000,
    };
    for number in 0..200 {
        log.say(
            Timestamp::UNIX_EPOCH,
            &format!("Sentence {number}.\u{1b}[2J\nforged line"),
        );
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let old = std::fs::read_to_string(world.folder.path().join("agent.log.1")).unwrap();
    assert!(text.len() <= 1_000 && old.len() <= 1_000);
    assert!(
        text.ends_with("Sentence 199.\\u{1b}[2J\\u{a}forged line\n"),
        "{text}"
    );
    assert!(text.starts_with("1970-01-01T00:00:00Z Sentence "), "{text}");
}

#[test]
fn settings_with_an_unknown_name_are_refused_and_missing_ones_are_the_defaults() {
    let world = world();
    assert_eq!(
        Settings::read(&world.places.settings).unwrap(),
        Settings::default()
    );
    std::fs::create_dir_all(world.places.settings.parent().unwrap()).unwrap();
    std::fs::write(&world.places.settings, "proxy = \"http://proxy.example:3128\"\n").unwrap();
    let read = Settings::read(&world.places.settings).unwrap();
    assert_eq!(read.proxy.as_deref(), Some("http://proxy.example:3128"));
    for wrong in ["proxi = \"x\"", "proxy = 3", "= ="] {
        std::fs::write(&world.places.settings, wrong).unwrap();
        assert!(Settings::read(&world.places.settings).is_err(), "{wrong}");
    }
}

#[test]
fn the_network_process_never_becomes_root() {
    let world = world();
    let passwd = world.folder.path().join("passwd");
    let nobody = Account {
        uid: NOBODY,
        gid: NOBODY,
    };
    for (text, expected) in [
        ("", nobody),
        ("patchyard-agent:x:0:0::/:/bin/false\n", nobody),
        ("patchyard-agent:x:994:0::/:/bin/false\n", nobody),
        (
            "patchyard-agents:x:1:1::/:\npatchyard-agent:x:994:993::/:\n",
            Account { uid: 994, gid: 993 },
        ),
        ("patchyard-agent:x:many:1\n", nobody),
    ] {
        std::fs::write(&passwd, text).unwrap();
        assert_eq!(network_account(&passwd), expected, "{text}");
    }
    assert_eq!(network_account(&world.folder.path().join("missing")), nobody);
}
