//! What an archive server sends back, byte for byte: an answer or an error, within the limit, and soon.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::fetch::{FetchConfig, FetchLimits, Fetcher, Small, Validators};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

const LIMIT_BYTES: u64 = 4096;
const SEEDS: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nhello",
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nllo",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
];

/// What the server answers next.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The address of a server that answers every request with [`ANSWER`], and closes.
static SERVER: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let answer = ANSWER
                .lock()
                .expect("nobody panics with the answer in hand")
                .clone();
            let _ = connection.write_all(&answer);
            let _ = connection.shutdown(Shutdown::Write);
        }
    });
    format!("http://{address}/file")
});

fn config() -> FetchConfig {
    let limits = FetchLimits {
        connect: Duration::from_secs(2),
        answer: Duration::from_secs(2),
        rate_window: Duration::from_secs(2),
        total: Duration::from_secs(4),
        redirects: 2,
        header_bytes: 2048,
        resumptions: 1,
        ..FetchLimits::default()
    };
    FetchConfig {
        limits,
        ..FetchConfig::default()
    }
}

fuzz_target!(init: fuzz::seeds(SEEDS), |bytes: &[u8]| {
    *ANSWER.lock().expect("nobody panics with the answer in hand") = bytes.to_vec();
    let known = Validators { etag: Some("\"a\"".into()), last_modified: None };
    if let Ok(Small::Body(body, _)) = Fetcher::new(config()).small(&SERVER, Some(&known), LIMIT_BYTES) {
        assert!(body.len() as u64 <= LIMIT_BYTES);
        assert!(body.len() <= bytes.len());
    }
});
