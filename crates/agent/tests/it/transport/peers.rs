//! The other ends: an authority with servers under it, and a proxy, each on a free port of loopback.

use agent::transport::Pins;
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ED25519,
};
use ring::digest::{SHA256, digest};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The agent's time in these tests: 2026-06-01T00:00:00Z.
pub const NOW: i64 = 1_780_272_000;

/// Seconds since 1970 as a time.
pub fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time of this century")
}

/// Who vouches for servers.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a server says to every request.
pub enum Answer {
    Ok(Vec<u8>),
    Raw(&'static str),
    /// What this makes of a request: its head, its body.
    By(Maker),
}

/// Makes an answer of a request's head and body.
pub type Maker = Box<dyn Fn(&str, &[u8]) -> Said + Send>;

/// An answer as it goes over the wire.
pub struct Said {
    pub bytes: Vec<u8>,
    pub then: Then,
}

/// What a server does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It closes the connection.
    Closes,
    /// It says nothing more until the other side has gone.
    Waits,
}

/// A server, as long as the test lasts.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
    certificates: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics with it").clone()
    }

    pub fn client_certificates(&self) -> Vec<Vec<u8>> {
        self.certificates.lock().expect("no test panics with it").clone()
    }
}

fn offset(seconds: i64) -> time_of_rcgen::OffsetDateTime {
    time_of_rcgen::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW + seconds).expect("after 1970"))
}

/// rcgen takes its own library's times; conversions from `SystemTime` are all that is needed.
mod time_of_rcgen {
    pub type OffsetDateTime = std::time::SystemTime;
    pub const UNIX_EPOCH: std::time::SystemTime = std::time::UNIX_EPOCH;
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a root");
        Self { issuer }
    }

    pub fn pins(&self) -> Pins {
        let found = digest(&SHA256, self.issuer.der());
        Pins(vec![Sha256Digest(found.as_ref().try_into().expect("32 bytes"))])
    }

    /// A host's certificate and its key in PKCS#8.
    pub fn host_certificate(&self) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, "a host");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.der().to_vec(), key.serialize_der())
    }

    /// A server whose certificate names `names` and counts from `valid.0` to `valid.1`, in seconds from [`NOW`].
    pub fn serve(&self, names: &[&str], valid: (i64, i64), answer: Answer) -> Server {
        let config = Arc::new(self.server_config(names, valid));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Server {
            address: listener.local_addr().expect("it is bound").to_string(),
            requests: Arc::default(),
            certificates: Arc::default(),
        };
        let (requests, certificates) = (Arc::clone(&server.requests), Arc::clone(&server.certificates));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("a sound configuration");
                let mut stream = StreamOwned::new(connection, socket);
                // A client that refuses the certificate ends the connection: nothing to serve.
                if let Some(request) = read_request(&mut stream) {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    requests.lock().expect("no test panics with it").push(text);
                    let shown = stream.conn.peer_certificates().unwrap_or_default();
                    let shown = shown.iter().map(|certificate| certificate.to_vec());
                    certificates.lock().expect("no test panics with it").extend(shown);
                    send(&mut stream, &answer, &request);
                }
            }
        });
        server
    }

    fn server_config(&self, names: &[&str], valid: (i64, i64)) -> ServerConfig {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of servers");
        params.not_before = offset(valid.0).into();
        params.not_after = offset(valid.1).into();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "a server");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = vec![
            certificate.der().clone(),
            CertificateDer::from(self.issuer.der().to_vec()),
        ];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(chain[1].clone()).expect("our own root");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("one root");
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the library's own versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(
                chain,
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .expect("key and certificate fit")
    }
}

fn send(stream: &mut (impl Read + Write), answer: &Answer, request: &[u8]) {
    let sent = match answer {
        Answer::Ok(body) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body))
        }
        Answer::Raw(text) => stream.write_all(text.as_bytes()),
        Answer::By(make) => {
            let end = request.windows(4).position(|four| four == b"\r\n\r\n");
            let (head, body) = request.split_at(end.expect("a whole request") + 4);
            let said = make(&String::from_utf8_lossy(head), body);
            let sent = stream.write_all(&said.bytes).and_then(|()| stream.flush());
            if said.then == Then::Waits {
                let _ = stream.read(&mut [0; 1]);
            }
            sent
        }
    };
    // A client that stops reading has seen enough.
    let _ = sent.and_then(|()| stream.flush());
}

/// One request with its body; nothing if the other side ends before.
fn read_request(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        text.extend_from_slice(&buffer[..read]);
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a number"));
        if text.len() - end - 4 >= length {
            return Some(text);
        }
    }
}

/// Something that listens and answers each connection with these bytes, whatever it hears.
pub fn listener_that_says(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            thread::spawn(move || {
                // Whatever comes is answered in the same way. The rest is heard too: who closes on unread words resets.
                let _ = socket.read(&mut [0; 4096]);
                let _ = socket.write_all(text.as_bytes());
                let _ = socket.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut socket, &mut std::io::sink());
            });
        }
    });
    address
}

/// A port on which nothing listens.
pub fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A proxy that makes tunnels.
pub struct Tunnel {
    pub address: String,
    asked: Arc<Mutex<String>>,
}

impl Tunnel {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let asked: Arc<Mutex<String>> = Arc::default();
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let request = read_request(&mut client).expect("a request to a proxy");
                let request = String::from_utf8_lossy(&request).into_owned();
                let target = request
                    .split(' ')
                    .nth(1)
                    .expect("CONNECT names a target")
                    .to_owned();
                *seen.lock().expect("no test panics with it") = request;
                let server = TcpStream::connect(target).expect("the test's own server");
                client
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .expect("the client waits for it");
                let back = (
                    server.try_clone().expect("a socket"),
                    client.try_clone().expect("a socket"),
                );
                thread::spawn(move || copy(client, server));
                thread::spawn(move || copy(back.0, back.1));
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> String {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Either side may end first.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}
