//! From a check-in to the folder of files, over a real connection: what is offered and wanted lies there under its digest,
//! whole, and nothing else does.

use super::HOUR;
use super::peers::{Answer, Authority, NOW, Said, Server, Then, time};
use crate::session::host::Host;
use crate::session::server;
use agent::executor::asks::{self, Ask};
use agent::executor::spool::{Board, Wish};
use agent::journal::Journal;
use agent::network::{Network, once};
use agent::service::Places;
use agent::service::log::Log;
use agent::session::Phase;
use agent::transport::ProxySettings;
use domain::digest::Sha256Digest;
use protocol::message::orders::OfferedOrder;
use protocol::sha256;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Longer than any machine is up.
const LATER: i64 = 40 * 365 * 24 * HOUR;

/// What the server has, by the name under which it is asked for.
type Content = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

struct World {
    folder: tempfile::TempDir,
    content: Content,
    /// Kept so that it lives as long.
    server: Server,
}

impl World {
    /// An enrolled host, and a server that offers it this bundle.
    fn new(bundle: &[u8]) -> Self {
        let authority = Authority::new("Ours");
        let mut server = server::Server::new(time(NOW));
        let mut host = Host::new(1);
        host.enrol(&mut server);
        server.of_orders.ticket = Some("ticket".to_owned());
        server.of_orders.orders = vec![OfferedOrder {
            bundle: sha256(bundle),
            size_bytes: bundle.len() as u64,
            number: 1,
        }];
        let content: Content = Arc::default();
        content
            .lock()
            .unwrap()
            .insert(sha256(bundle).to_string(), bundle.to_vec());
        let (state, files) = (Mutex::new(server), Arc::clone(&content));
        let answer = Answer::By(Box::new(move |head, body| match head.split(' ').nth(1) {
            Some("/agent/v1/exchange") => said("200 OK", &state.lock().unwrap().answer(body)),
            Some(path) => {
                assert!(
                    head.to_lowercase().contains("authorization: bearer ticket\r\n"),
                    "{head}"
                );
                let name = path.strip_prefix("/content/").expect("a file");
                let files = files.lock().unwrap();
                match (files.get(name), from(head)) {
                    (None, _) => said("404 Not Found", b""),
                    (Some(bytes), 0) => said("200 OK", bytes),
                    (Some(bytes), from) => {
                        let range = format!(
                            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                            bytes.len() - 1,
                            bytes.len()
                        );
                        said(&range, &bytes[from..])
                    }
                }
            }
            None => said("400 Bad Request", b""),
        }));
        let served = authority.serve(&["127.0.0.1"], (-HOUR, LATER), answer);
        let mut memory = host.journal.clone();
        memory.addresses = vec![served.address.parse().unwrap()];
        memory.good_address = None;
        memory.pins.extend(authority.pins().0);
        // The session's server certifies keys for no TLS, and nothing is renewed here however long this machine has been up.
        if let Phase::Enrolled {
            certificates,
            not_after,
            ..
        } = &mut memory.phase
        {
            certificates.clear();
            *not_after = i64::MAX;
        }
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            content,
            server: served,
        };
        let places = world.places();
        for folder in [places.identity(), places.asks(), places.files(), places.outbox()] {
            std::fs::create_dir(&folder).unwrap();
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        Journal::open(&places.identity()).unwrap().write(&memory).unwrap();
        world
    }

    fn places(&self) -> Places {
        Places {
            state: self.folder.path().to_owned(),
            settings: self.folder.path().join("agent.toml"),
        }
    }

    /// One round of the network process, which begins with what its journal holds.
    fn round(&self) -> Vec<String> {
        let mut network = Network {
            places: self.places(),
            proxies: ProxySettings::default(),
            log: Log::Nowhere,
            bell: None,
        };
        let standing = once(&mut network).unwrap();
        let sentences = standing.troubles.into_iter().map(|trouble| trouble.sentence);
        // The session's server lives in another year.
        sentences
            .filter(|said| !said.starts_with("This host's clock"))
            .collect()
    }

    /// The executor is at an order, so that nothing is tidied away.
    fn at_work(&self) {
        let board = Board {
            is_active: true,
            ..Board::default()
        };
        board.publish(&self.places(), None).unwrap();
    }

    fn wants(&self, wants: &[(&[u8], u64)]) {
        let wish = |(bytes, size_bytes): &(&[u8], u64)| Wish {
            digest: sha256(bytes),
            size_bytes: *size_bytes,
        };
        let board = Board {
            wants: wants.iter().map(wish).collect(),
            is_active: !wants.is_empty(),
            ..Board::default()
        };
        board.publish(&self.places(), None).unwrap();
    }

    fn has(&self, bytes: &[u8]) {
        let name = sha256(bytes).to_string();
        self.content.lock().unwrap().insert(name, bytes.to_vec());
    }

    fn file(&self, digest: Sha256Digest) -> PathBuf {
        self.places().files().join(digest.to_string())
    }

    fn part(&self, digest: Sha256Digest) -> PathBuf {
        self.places().files().join(format!(".{digest}"))
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.places().files()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// The asks for orders that lie there.
    fn asked(&self) -> Vec<Ask> {
        let taken = asks::take(&self.places().asks(), None).into_iter();
        let taken = taken.map(|ask| ask.expect("our own asks are understood"));
        taken.filter(|ask| !matches!(ask, Ask::Card { .. })).collect()
    }

    fn content_requests(&self) -> usize {
        let requests = self.server.requests();
        requests
            .iter()
            .filter(|request| request.starts_with("GET "))
            .count()
    }
}

fn said(status: &str, body: &[u8]) -> Said {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Said {
        bytes: [head.as_bytes(), body].concat(),
        then: Then::Closes,
    }
}

/// Where the range that is asked for begins.
fn from(head: &str) -> usize {
    let head = head.to_lowercase();
    let range = head
        .split("\r\nrange: bytes=")
        .nth(1)
        .and_then(|rest| rest.split('-').next());
    range.map_or(0, |from| from.parse().unwrap())
}

#[test]
fn a_bundle_lies_under_its_digest_before_the_executor_is_asked_to_take_it() {
    let bundle = vec![5; 200_000];
    let world = World::new(&bundle);
    assert_eq!(world.round(), [] as [&str; 0]);
    assert_eq!(std::fs::read(world.file(sha256(&bundle))).unwrap(), bundle);
    assert_eq!(
        world.asked(),
        [Ask::Order {
            bundle: sha256(&bundle)
        }]
    );
}

#[test]
fn what_has_another_digest_is_not_kept_and_asked_for_again() {
    let world = World::new(b"a bundle");
    let name = sha256(b"a bundle").to_string();
    world.content.lock().unwrap().insert(name, b"a bandle".to_vec());
    let troubles = world.round();
    assert!(troubles[0].contains("has another digest"), "{troubles:?}");
    assert_eq!((world.files(), world.asked()), (vec![], vec![]));
    world.has(b"a bundle");
    world.round();
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn a_part_that_is_here_is_gone_on_with_and_a_wrong_one_is_thrown_away() {
    let bundle: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
    let world = World::new(&bundle);
    std::fs::write(world.part(sha256(&bundle)), &bundle[..123_456]).unwrap();
    world.at_work();
    world.round();
    assert_eq!(std::fs::read(world.file(sha256(&bundle))).unwrap(), bundle);
    let last = world.server.requests().pop().unwrap().to_lowercase();
    assert!(last.contains("range: bytes=123456-"), "{last}");
    std::fs::remove_file(world.file(sha256(&bundle))).unwrap();
    std::fs::write(world.part(sha256(&bundle)), vec![9; 1_000]).unwrap();
    assert!(world.round()[0].contains("has another digest"));
    assert_eq!(world.files(), [] as [&str; 0]);
    world.round();
    assert_eq!(std::fs::read(world.file(sha256(&bundle))).unwrap(), bundle);
}

#[test]
fn a_part_longer_than_the_file_is_thrown_away() {
    let world = World::new(b"short");
    world.at_work();
    std::fs::write(world.part(sha256(b"short")), vec![9; 1_000]).unwrap();
    assert_eq!(world.round(), [] as [&str; 0]);
    assert_eq!(std::fs::read(world.file(sha256(b"short"))).unwrap(), b"short");
}

#[test]
fn what_is_wanted_is_fetched_once_and_what_is_wanted_no_more_is_removed() {
    let world = World::new(b"a bundle");
    let (one, two) = (vec![1; 3_000], vec![2; 4_000]);
    world.has(&one);
    world.has(&two);
    // A release file's size is known only as the most that it may be.
    world.wants(&[(&one, 3_000), (&two, 1 << 20)]);
    world.round();
    assert_eq!(std::fs::read(world.file(sha256(&one))).unwrap(), one);
    assert_eq!(std::fs::read(world.file(sha256(&two))).unwrap(), two);
    assert_eq!(world.content_requests(), 3, "the bundle and two files");
    world.round();
    // Nothing that is here is fetched again, not even by a process that has just started.
    assert_eq!(world.content_requests(), 3);
    world.wants(&[]);
    std::fs::write(world.places().files().join("notes"), "of a stranger").unwrap();
    world.round();
    assert_eq!(
        world.files(),
        [sha256(b"a bundle").to_string()],
        "it is offered again"
    );
    assert_eq!(world.content_requests(), 4);
}

#[test]
fn a_file_one_byte_larger_than_it_may_be_is_not_kept() {
    let world = World::new(b"a bundle");
    let file = vec![1; 3_000];
    world.has(&file);
    world.wants(&[(&file, 2_999)]);
    let troubles = world.round();
    assert!(troubles[0].contains("other bytes"), "{troubles:?}");
    assert!(!world.file(sha256(&file)).exists());
    world.wants(&[(&file, 3_000)]);
    world.round();
    assert!(world.file(sha256(&file)).exists());
}

#[test]
fn a_link_in_the_place_of_a_part_is_not_followed() {
    let world = World::new(b"a bundle");
    let target = world.folder.path().join("target");
    std::fs::write(&target, "untouched").unwrap();
    std::os::unix::fs::symlink(&target, world.part(sha256(b"a bundle"))).unwrap();
    world.at_work();
    assert!(world.round()[0].contains("Cannot keep"));
    assert_eq!(std::fs::read_to_string(target).unwrap(), "untouched");
}
