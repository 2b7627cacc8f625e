//! The server answers as nginx does, and lies as told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::server::{Lie, Server};

/// A served folder with `file` of 1,000 bytes, and an older one with another `file`.
fn served() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    for (name, byte) in [("new", b'n'), ("old", b'o')] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("file"), vec![byte; 1000]).unwrap();
    }
    let server = Server::start(&folder.path().join("new")).unwrap();
    (folder, server)
}

/// The whole answer to one request on a connection of its own, as far as it came. The server closes it in the end.
fn ask(server: &Server, path: &str, headers: &str) -> (String, Vec<u8>) {
    ask_for(Duration::from_secs(120), server, path, headers)
}

/// As [`ask`], but a silence of this length is the end too.
fn ask_for(patience: Duration, server: &Server, path: &str, headers: &str) -> (String, Vec<u8>) {
    let address = server.uri();
    let mut connection =
        TcpStream::connect(address.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    connection.set_read_timeout(Some(patience)).unwrap();
    write!(
        connection,
        "GET /{path} HTTP/1.1\r\nHost: archive.example\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    // An answer may be cut off or stay away: what came is what counts.
    let _ = connection.take(1 << 20).read_to_end(&mut answer);
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn an_honest_server_answers_files_conditions_and_ranges() {
    let (_folder, server) = served();
    let (head, body) = ask(&server, "file", "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, vec![b'n'; 1000]);
    let (etag, modified) = (
        header(&head, "ETag").unwrap(),
        header(&head, "Last-Modified").unwrap(),
    );
    for condition in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-Modified-Since: {modified}\r\n"),
    ] {
        let (head, body) = ask(&server, "file", &condition);
        assert!(
            head.starts_with("HTTP/1.1 304 ") && body.is_empty(),
            "{condition}: {head}"
        );
    }
    let (head, body) = ask(
        &server,
        "file",
        &format!("Range: bytes=990-\r\nIf-Range: {etag}\r\n"),
    );
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert_eq!(header(&head, "Content-Range"), Some("bytes 990-999/1000"));
    assert_eq!(body.len(), 10);
    let (head, body) = ask(&server, "file", "Range: bytes=990-\r\nIf-Range: \"another\"\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.len() == 1000, "{head}");
    assert!(
        ask(&server, "file", "Range: bytes=1000-\r\n")
            .0
            .starts_with("HTTP/1.1 416 ")
    );
    assert!(ask(&server, "missing", "").0.starts_with("HTTP/1.1 404 "));
    assert!(ask(&server, "../old/file", "").0.starts_with("HTTP/1.1 404 "));
    assert!(ask(&server, "%2e%2e/old/file", "").0.starts_with("HTTP/1.1 404 "));
    assert_eq!(server.count("file"), 6);
    assert_eq!(server.requests()[1].status, 304);
}

#[test]
fn each_lie_changes_what_it_says_it_changes() {
    let (folder, server) = served();
    let told = |lie: Lie, headers: &str| {
        server.lie("file", lie);
        ask(&server, "file", headers)
    };
    let range = "Range: bytes=900-\r\n";
    let (_, body) = told(Lie::Tampered(1003), "");
    assert_eq!(body.iter().positions(|&byte| byte != b'n'), [3]);
    assert_eq!(
        told(Lie::Stale(folder.path().join("old")), "").1,
        vec![b'o'; 1000]
    );
    let (head, body) = told(Lie::Truncated(10), "");
    assert_eq!((header(&head, "Content-Length"), body.len()), (Some("10"), 10));
    let (head, body) = told(Lie::ClosesAfter(10), "");
    assert_eq!((header(&head, "Content-Length"), body.len()), (Some("1000"), 10));
    let (head, body) = told(Lie::ClosesAfter(10), range);
    assert_eq!((header(&head, "Content-Length"), body.len()), (Some("100"), 10));
    let (head, body) = told(Lie::WrongLength(5000), "");
    assert_eq!(
        (header(&head, "Content-Length"), body.len()),
        (Some("5000"), 1000)
    );
    let (head, body) = told(Lie::Endless, "");
    assert!(
        header(&head, "Content-Length").is_none() && body.len() > 500_000,
        "{head}"
    );
    assert_eq!(
        header(&told(Lie::Redirect("/other".to_owned()), "").0, "Location"),
        Some("/other")
    );
    assert_eq!(header(&told(Lie::RedirectLoop, "").0, "Location"), Some("/file"));
    let (head, _) = told(Lie::InjectedHeader, "");
    assert!(
        header(&head, "Location")
            .unwrap()
            .contains("%0D%0A%0D%0A201%20URI%20Done%0D%0A"),
        "{head}"
    );
    assert!(told(Lie::NotFound, "").0.starts_with("HTTP/1.1 404 "));
    assert!(told(Lie::Http500, "").0.starts_with("HTTP/1.1 500 "));
    let (head, body) = told(Lie::IgnoresRange, range);
    assert!(head.starts_with("HTTP/1.1 200 ") && body.len() == 1000, "{head}");
    let (head, body) = told(Lie::WrongContentRange, range);
    assert_eq!(
        (header(&head, "Content-Range"), body.len()),
        (Some("bytes 0-99/1000"), 100)
    );
    let (head, body) = told(
        Lie::NoValidators,
        "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT\r\n",
    );
    assert!(
        header(&head, "ETag").is_none() && header(&head, "Last-Modified").is_none() && body.len() == 1000
    );
    server.lie("file", Lie::Hangs);
    let nothing = ask_for(Duration::from_millis(300), &server, "file", "");
    assert_eq!(nothing, (String::new(), Vec::new()));
    server.be_honest();
    assert_eq!(ask(&server, "file", "").1.len(), 1000);
}

#[test]
fn a_slow_answer_takes_its_time_and_a_stopped_server_lets_go_of_it() {
    let (_folder, server) = served();
    server.lie(
        "file",
        Lie::Slow {
            bytes_per_second: 4000,
        },
    );
    let begun = Instant::now();
    assert_eq!(ask(&server, "file", "").1.len(), 1000);
    assert!(
        begun.elapsed() > Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
    server.lie("*", Lie::Hangs);
    let address = server.uri();
    let mut waiting =
        TcpStream::connect(address.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    waiting.write_all(b"GET /other HTTP/1.1\r\n\r\n").unwrap();
    while server.count("other") == 0 {
        std::thread::yield_now();
    }
    drop(server);
    assert_eq!(waiting.read(&mut [0; 10]).unwrap_or(0), 0);
}

#[test]
fn a_bomb_is_small_sound_and_unpacks_to_its_size() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["Packages.xz", "Packages.gz", "Packages.zst"] {
        std::fs::write(folder.path().join(name), "honest").unwrap();
    }
    let server = Server::start(folder.path()).unwrap();
    server.lie(
        "*",
        Lie::Bomb {
            unpacked_bytes: 8 << 20,
        },
    );
    for (name, tool) in [("Packages.xz", "xz"), ("Packages.gz", "gzip")] {
        let (_, body) = ask(&server, name, "");
        assert!(body.len() < 100_000, "{name}: {} bytes", body.len());
        let path = folder.path().join(format!("bomb-{name}"));
        std::fs::write(&path, body).unwrap();
        assert_eq!(unpacked_bytes(tool, &path), 8 << 20, "{name}");
    }
}

fn unpacked_bytes(tool: &str, path: &Path) -> usize {
    let done = std::process::Command::new(tool)
        .arg("-dc")
        .arg(path)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout.len()
}

/// Offsets at which something holds.
trait Positions: Iterator + Sized {
    fn positions(self, holds: impl Fn(Self::Item) -> bool) -> Vec<usize> {
        self.enumerate()
            .filter_map(|(at, item)| holds(item).then_some(at))
            .collect()
    }
}

impl<I: Iterator> Positions for I {}
