//! A file over a real connection: as much of it as is asked for, not a byte more than it may have, and not slower than it may be.

use super::peers::{self, Answer, Authority, NOW, Said, Server, Then, Tunnel};
use super::{HOUR, quick, transport};
use agent::transport::{AskedFile, Came, ExchangeError, FetchError, Sink, Transport};
use domain::digest::Sha256Digest;
use std::time::Duration;

const SHA256: Sha256Digest = Sha256Digest([0xab; 32]);

/// What came, after what was there.
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn begin_anew(&mut self) -> std::io::Result<()> {
        self.0.clear();
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn answer(status: &str, headers: &str, body: &[u8], then: Then) -> Said {
    let length = match then {
        Then::Closes => body.len(),
        Then::Waits => 1_000_000,
    };
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    Said {
        bytes: [head.as_bytes(), body].concat(),
        then,
    }
}

fn serving(authority: &Authority, make: impl Fn(&str) -> Said + Send + 'static) -> Server {
    let by = Answer::By(Box::new(move |head, _| make(head)));
    authority.serve(&["127.0.0.1"], (-HOUR, HOUR), by)
}

fn fetch(
    transport: &Transport,
    server: &str,
    (from, most_bytes): (u64, u64),
    ticket: &str,
    limit: Duration,
) -> (Result<Came, FetchError>, Vec<u8>) {
    let asked = AskedFile {
        sha256: SHA256,
        most_bytes,
        from,
        ticket,
    };
    let mut kept = Kept(vec![b'.'; usize::try_from(from).unwrap()]);
    let came = transport.fetch(server, &asked, peers::time(NOW), limit, &mut kept);
    (came, kept.0)
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_file_is_asked_for_by_its_digest_with_the_ticket() {
    let authority = Authority::new("Ours");
    let server = serving(&authority, |_| answer("200 OK", "", &[7; 100_000], Then::Closes));
    let transport = transport(&authority);
    let (came, bytes) = fetch(&transport, &server.address, (0, 200_000), "a.ticket", LONG);
    assert_eq!(came.unwrap(), Came::Whole);
    assert_eq!(bytes, [7; 100_000]);
    let request = server.requests().remove(0).to_lowercase();
    assert!(
        request.starts_with(&format!("get /content/{SHA256} http/1.1\r\n")),
        "{request}"
    );
    assert!(
        request.contains("\r\nauthorization: bearer a.ticket\r\n"),
        "{request}"
    );
    assert!(!request.contains("\r\nrange:"), "{request}");
}

#[test]
fn a_file_goes_on_where_it_was_cut_off() {
    let authority = Authority::new("Ours");
    let server = serving(&authority, |head| {
        assert!(
            head.to_lowercase().contains("\r\nrange: bytes=400-\r\n"),
            "{head}"
        );
        let range = "Content-Range: bytes 400-999/1000\r\n";
        answer("206 Partial Content", range, &[7; 600], Then::Closes)
    });
    let transport = transport(&authority);
    let (came, bytes) = fetch(&transport, &server.address, (400, 1_000), "t", LONG);
    assert_eq!(came.unwrap(), Came::Whole);
    assert_eq!(bytes, [[b'.'; 400].as_slice(), &[7; 600]].concat());
}

#[test]
fn a_server_that_does_not_know_ranges_sends_it_anew() {
    let authority = Authority::new("Ours");
    let server = serving(&authority, |_| answer("200 OK", "", &[7; 1_000], Then::Closes));
    let transport = transport(&authority);
    let (came, bytes) = fetch(&transport, &server.address, (400, 1_000), "t", LONG);
    assert_eq!(came.unwrap(), Came::Whole);
    assert_eq!(bytes, [7; 1_000]);
}

#[test]
fn a_file_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    let authority = Authority::new("Ours");
    let transport = transport(&authority);
    for (size, is_taken) in [(70_000, true), (70_001, false)] {
        let server = serving(&authority, move |_| {
            answer("200 OK", "", &vec![7; size], Then::Closes)
        });
        let (came, bytes) = fetch(&transport, &server.address, (0, 70_000), "t", LONG);
        assert_eq!(came.is_ok(), is_taken, "{size}");
        assert!(bytes.len() <= 70_000, "{}", bytes.len());
        assert!(is_taken || matches!(came, Err(FetchError::OtherBytes { .. })));
    }
}

#[test]
fn another_range_than_was_asked_for_is_not_taken() {
    let authority = Authority::new("Ours");
    let transport = transport(&authority);
    let ranges = [
        "bytes 0-599/1000",
        "bytes 400-999/*",
        "bytes 400-998/1000",
        "bytes 400-1000/1001",
        "bytes 400-18446744073709551615/18446744073709551615",
        "400-999/1000",
        "bytes 401-1000/1000",
    ];
    for range in ranges {
        let server = serving(&authority, move |_| {
            let range = format!("Content-Range: {range}\r\n");
            answer("206 Partial Content", &range, &[7; 600], Then::Closes)
        });
        let (came, bytes) = fetch(&transport, &server.address, (400, 1_000), "t", LONG);
        assert!(
            matches!(came, Err(FetchError::OtherBytes { .. })),
            "{range}: {came:?}"
        );
        assert_eq!(bytes, [b'.'; 400], "{range}");
    }
    // Nobody asked for a range.
    let server = serving(&authority, |_| {
        answer(
            "206 Partial Content",
            "Content-Range: bytes 0-9/10\r\n",
            &[7; 10],
            Then::Closes,
        )
    });
    let (came, _) = fetch(&transport, &server.address, (0, 1_000), "t", LONG);
    assert!(matches!(came, Err(FetchError::OtherBytes { .. })), "{came:?}");
}

#[test]
fn each_refusal_is_told_from_the_others() {
    let authority = Authority::new("Ours");
    let transport = transport(&authority);
    let refusal = |status: &'static str| {
        let server = serving(&authority, move |_| {
            answer(status, "Retry-After: 17\r\n", b"no", Then::Closes)
        });
        let (came, bytes) = fetch(&transport, &server.address, (0, 1_000), "t", LONG);
        assert_eq!(bytes, b"", "what a refusal says is no file");
        came.expect_err("a refusal")
    };
    for status in ["401 Unauthorized", "403 Forbidden"] {
        assert!(
            matches!(refusal(status), FetchError::NotAllowed { .. }),
            "{status}"
        );
    }
    for status in ["404 Not Found", "410 Gone"] {
        assert!(matches!(refusal(status), FetchError::NotThere { .. }), "{status}");
    }
    let range = refusal("416 Range Not Satisfiable");
    assert!(matches!(range, FetchError::OtherBytes { .. }), "{range:?}");
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let busy = refusal(status);
        assert!(
            matches!(
                busy,
                FetchError::Exchange(ExchangeError::Busy {
                    retry_after_seconds: Some(17),
                    ..
                })
            ),
            "{busy:?}"
        );
    }
    let portal = refusal("302 Found");
    assert!(
        matches!(
            portal,
            FetchError::Exchange(ExchangeError::Status { status: 302, .. })
        ),
        "{portal:?}"
    );
    for error in [range, portal] {
        let (sentence, step) = (error.to_string(), error.next_step());
        assert!(!sentence.is_empty() && !step.is_empty() && !sentence.contains('\n'));
    }
}

#[test]
fn a_server_that_stops_sending_is_left_and_what_came_fast_enough_is_kept() {
    let authority = Authority::new("Ours");
    let transport = transport(&authority);
    let limit = Duration::from_millis(500);
    let stalling = |size: usize| {
        let server = serving(&authority, move |_| {
            answer("200 OK", "", &vec![7; size], Then::Waits)
        });
        fetch(&transport, &server.address, (0, 1_000_000), "t", limit)
    };
    let (came, bytes) = stalling(100_000);
    assert_eq!((came.unwrap(), bytes.len()), (Came::Part, 100_000));
    let (came, bytes) = stalling(1_000);
    assert!(matches!(came, Err(FetchError::TooSlow { .. })), "{came:?}");
    assert_eq!(bytes.len(), 1_000, "what came is gone on with");
}

#[test]
fn a_connection_that_breaks_off_is_no_whole_file() {
    let authority = Authority::new("Ours");
    let server = serving(&authority, |_| {
        let mut said = answer("200 OK", "", &[7; 5_000], Then::Closes);
        said.bytes.truncate(said.bytes.len() - 1);
        said
    });
    let (came, bytes) = fetch(&transport(&authority), &server.address, (0, 9_000), "t", LONG);
    assert!(matches!(came, Err(FetchError::Exchange(_))), "{came:?}");
    assert_eq!(bytes.len(), 4_999);
}

#[test]
fn a_ticket_that_would_be_another_header_is_not_sent() {
    let authority = Authority::new("Ours");
    let server = serving(&authority, |_| answer("200 OK", "", b"x", Then::Closes));
    let (came, _) = fetch(
        &transport(&authority),
        &server.address,
        (0, 9),
        "t\r\nHost: other.example",
        LONG,
    );
    assert!(matches!(came, Err(FetchError::NotAllowed { .. })), "{came:?}");
    assert_eq!(server.requests(), [] as [&str; 0]);
}

#[test]
fn a_file_comes_through_a_proxy_and_from_no_stranger() {
    let authority = Authority::new("Ours");
    let server = serving(&authority, |_| answer("200 OK", "", b"bytes", Then::Closes));
    let proxy = Tunnel::open();
    let mut settings = quick();
    settings.proxy.proxy = Some(format!("http://{}", proxy.address));
    let through = Transport::new(settings, &authority.pins(), None).expect("a plain proxy");
    let (came, bytes) = fetch(&through, &server.address, (0, 9), "t", LONG);
    assert_eq!((came.unwrap(), bytes), (Came::Whole, b"bytes".to_vec()));
    assert!(proxy.asked().starts_with(&format!("CONNECT {}", server.address)));
    let stranger = transport(&Authority::new("Theirs"));
    let (came, _) = fetch(&stranger, &server.address, (0, 9), "t", LONG);
    assert!(
        matches!(came, Err(FetchError::Exchange(ExchangeError::Handshake { .. }))),
        "{came:?}"
    );
}
