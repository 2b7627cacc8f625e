//! The way to a server: real sockets and real TLS on loopback, each failure told apart.

mod asleep;
mod failures;
mod fetch;
mod files;
mod peers;

use agent::transport::{ClientIdentity, ExchangeError, Transport, TransportSettings};
use peers::{Answer, Authority, NOW, Tunnel};
use std::time::Duration;

/// Seconds of an hour.
const HOUR: i64 = 3_600;

fn transport(authority: &Authority) -> Transport {
    Transport::new(quick(), &authority.pins(), None).expect("nothing is set that could be wrong")
}

fn quick() -> TransportSettings {
    TransportSettings {
        connect_limit: Duration::from_secs(5),
        answer_limit: Duration::from_secs(5),
        ..TransportSettings::default()
    }
}

fn ask(transport: &Transport, server: &str) -> Result<Vec<u8>, ExchangeError> {
    transport.exchange(server, b"an envelope", peers::time(NOW), Duration::ZERO)
}

#[test]
fn an_envelope_reaches_a_server_that_the_pinned_root_vouches_for() {
    let authority = Authority::new("Patchyard root");
    let server = authority.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Ok(b"an answer".to_vec()));
    let answer = ask(&transport(&authority), &server.address).expect("everything is in order");
    assert_eq!(answer, b"an answer");
    let request = server.requests().remove(0);
    assert!(
        request.starts_with("POST /agent/v1/exchange HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.ends_with("an envelope"), "{request}");
}

#[test]
fn a_valid_client_certificate_is_shown_to_the_server() {
    let authority = Authority::new("Patchyard root");
    let server = authority.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Ok(b"an answer".to_vec()));
    let (certificate, key_pkcs8) = authority.host_certificate();
    let identity = ClientIdentity {
        chain: vec![certificate.clone()],
        key_pkcs8,
    };
    let transport = Transport::new(quick(), &authority.pins(), Some(&identity)).expect("they fit together");
    ask(&transport, &server.address).expect("everything is in order");
    assert_eq!(server.client_certificates(), [certificate]);
}

#[test]
fn a_proxy_carries_the_tunnel_and_sees_no_byte_of_it() {
    let authority = Authority::new("Patchyard root");
    let server = authority.serve(&["127.0.0.1"], (-HOUR, HOUR), Answer::Ok(b"an answer".to_vec()));
    let proxy = Tunnel::open();
    let mut settings = quick();
    settings.proxy.proxy = Some(format!("http://user:secret@{}", proxy.address));
    let transport = Transport::new(settings, &authority.pins(), None).expect("a plain proxy");
    let answer = ask(&transport, &server.address).expect("the proxy is willing");
    assert_eq!(answer, b"an answer");
    let asked = proxy.asked();
    assert!(
        asked.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address)),
        "{asked}"
    );
    assert!(
        asked.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="),
        "{asked}"
    );
}
