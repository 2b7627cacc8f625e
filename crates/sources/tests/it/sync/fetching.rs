//! Transfers that break, are taken up again, or meet an archive in the middle of its own update.

use super::world::{INDEX, INRELEASE, World, adopted, assert_sound, day, entries, now, packages};
use sources::apt::sync::{SourceRequest, SyncRequest, sync};
use sources::apt::targets::merge;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use testkit::archive::{Archive, Format};
use testkit::server::Lie;

/// A world whose index is 20,000 bytes and more.
fn large() -> World {
    let world = World::new();
    let archive = Archive::new("one")
        .arch("amd64")
        .formats(&[Format::Xz])
        .packages(packages("large", 600));
    world.publish(&archive.sign(&world.key).date(day(0)));
    world
}

/// What the index's file begins with, put where an earlier sync would have left it.
fn leave_partial(world: &World, bytes: &[u8]) {
    let size_bytes = fs::metadata(world.tree.path().join(INDEX)).unwrap().len();
    let mut partial = world
        .store()
        .partial(world.digest(INDEX), size_bytes)
        .unwrap()
        .unwrap();
    partial.write(bytes).unwrap();
}

fn index_bytes(world: &World) -> Vec<u8> {
    fs::read(world.tree.path().join(INDEX)).unwrap()
}

fn ranges(world: &World) -> Vec<(Option<String>, u16)> {
    let requests = world.server.requests();
    requests
        .into_iter()
        .filter(|request| request.path == INDEX)
        .map(|request| (request.range, request.status))
        .collect()
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_broke() {
    let world = large();
    let size = index_bytes(&world).len();
    world.server.lie(INDEX, Lie::ClosesAfter(size / 3 + 1));
    adopted(world.sync("one"));
    let asked = ranges(&world);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[1], (Some(format!("bytes={}-", size / 3 + 1)), 206));
    assert_eq!(entries(&world.store().folder().join("partial")), 0);
}

#[test]
fn a_transfer_that_breaks_again_and_again_is_given_up_and_taken_up_by_the_next_sync() {
    let world = large();
    let size = index_bytes(&world).len();
    world.server.lie(INDEX, Lie::ClosesAfter(size / 8));
    assert!(matches!(
        world.sync("one"),
        sources::apt::sync::Outcome::Failed(_)
    ));
    assert_eq!(ranges(&world).len(), 4, "once and three resumptions");
    world.server.be_honest();
    world.server.forget_requests();
    adopted(world.sync("one"));
    assert_eq!(ranges(&world), [(Some(format!("bytes={}-", size / 8 * 4)), 206)]);
}

#[test]
fn a_server_that_ignores_ranges_or_sends_another_one_is_asked_for_the_whole_file() {
    for (lie, statuses) in [
        (Lie::IgnoresRange, &[200][..]),
        (Lie::WrongContentRange, &[206, 200]),
    ] {
        let world = large();
        leave_partial(&world, &index_bytes(&world)[..5000]);
        world.server.lie(INDEX, lie.clone());
        adopted(world.sync("one"));
        let asked: Vec<u16> = ranges(&world).into_iter().map(|(_, status)| status).collect();
        assert_eq!(asked, statuses, "{lie:?}");
        assert_sound(&world.store());
    }
}

#[test]
fn a_partial_file_of_other_bytes_is_thrown_away_and_fetched_whole() {
    let world = large();
    leave_partial(&world, &[b'x'; 5000]);
    adopted(world.sync("one"));
    assert_eq!(
        ranges(&world),
        [(Some("bytes=5000-".to_owned()), 206), (None, 200)]
    );
    assert_sound(&world.store());
}

#[test]
fn a_partial_file_that_is_whole_already_is_not_asked_for() {
    let world = large();
    leave_partial(&world, &index_bytes(&world));
    adopted(world.sync("one"));
    assert_eq!(ranges(&world), []);
}

#[test]
fn a_redirect_within_the_limit_is_followed() {
    let world = large();
    fs::create_dir(world.tree.path().join("moved")).unwrap();
    fs::copy(
        world.tree.path().join(INDEX),
        world.tree.path().join("moved/Packages.xz"),
    )
    .unwrap();
    world
        .server
        .lie(INDEX, Lie::Redirect("../../../../moved/Packages.xz".to_owned()));
    world.server.lie(
        "dists/one/main/binary-amd64/../../../../moved/Packages.xz",
        Lie::Redirect("/moved/Packages.xz".to_owned()),
    );
    adopted(world.sync("one"));
    assert_eq!(world.server.count("moved/Packages.xz"), 1);
}

/// The heads of the requests that a server got.
type Heads = Arc<Mutex<Vec<String>>>;

/// A server whose n-th answer for a path is the n-th of a list; the last one stays.
fn serve_in_turn(answers: BTreeMap<String, Vec<Vec<u8>>>) -> (String, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let heads = Heads::default();
    let noted = Arc::clone(&heads);
    std::thread::spawn(move || {
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let Some(Ok(first)) = lines.next() else { continue };
            let rest: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            noted.lock().unwrap().push(
                rest.join(
                    "
",
                )
                .to_lowercase(),
            );
            let path = first
                .split(' ')
                .nth(1)
                .unwrap()
                .trim_start_matches('/')
                .to_owned();
            let number = asked.entry(path.clone()).or_default();
            let answer = answers
                .get(&path)
                .map(|list| &list[(*number).min(list.len() - 1)]);
            *number += 1;
            let (status, body) = answer.map_or(("404 Not Found", &[][..]), |body| ("200 OK", &body[..]));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            drop(connection.write_all(&[head.as_bytes(), body].concat()));
        }
    });
    (uri, heads)
}

#[test]
fn a_mirror_in_the_middle_of_its_update_is_asked_once_more_from_the_beginning() {
    let world = World::new();
    let first = world.archive("one", "first").date(day(0)).files().unwrap();
    let second = world.archive("one", "second").date(day(1)).files().unwrap();
    // The release file is still the first, the index already the second; then both are.
    let answers = BTreeMap::from([
        (
            INRELEASE.to_owned(),
            vec![first[INRELEASE].clone(), second[INRELEASE].clone()],
        ),
        (INDEX.to_owned(), vec![second[INDEX].clone()]),
    ]);
    let stanzas = [super::world::stanza(&serve_in_turn(answers).0, "one")];
    let snapshot = adopted(world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome);
    assert_eq!(snapshot.release_digest, content::sha256(&second[INRELEASE]));
    // A mirror that stays so is refused after the second time.
    let answers = BTreeMap::from([
        (INRELEASE.to_owned(), vec![first[INRELEASE].clone()]),
        (INDEX.to_owned(), vec![second[INDEX].clone()]),
    ]);
    let stanzas = [super::world::stanza(&serve_in_turn(answers).0, "one")];
    let outcome = world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome;
    assert!(
        matches!(outcome, sources::apt::sync::Outcome::Failed(_)),
        "{outcome:?}"
    );
}

#[test]
fn a_proxy_is_asked_for_whole_addresses_and_carries_more_than_one_request() {
    let world = World::new();
    let files = world.archive("one", "x").date(day(0)).files().unwrap();
    let named = |path: &str| {
        (
            format!("http://archive.example/debian/{path}"),
            vec![files[path].clone()],
        )
    };
    let answers = BTreeMap::from([named(INRELEASE), named(INDEX)]);
    let (proxy, heads) = serve_in_turn(answers);
    let proxy = proxy.replace("http://", "http://Aladdin:open%20sesame@");
    let stanzas = [super::world::stanza("http://archive.example/debian/", "one")];
    let keyring = world.keyring();
    let mut fetch = world.config();
    fetch.proxies.http = Some(proxy);
    let sources = merge(&stanzas)
        .into_iter()
        .map(|source| SourceRequest {
            source,
            keyring: &keyring,
        })
        .collect();
    let request = SyncRequest {
        sources,
        settings: &world.settings,
        fetch,
    };
    adopted(sync(&request, &world.store(), now()).remove(0).outcome);
    for head in heads.lock().unwrap().iter() {
        assert!(head.contains("host: archive.example\n"), "{head}");
        assert!(
            head.contains("proxy-authorization: basic qwxhzgrpbjpvcgvuihnlc2ftzq=="),
            "{head}"
        );
    }
}
