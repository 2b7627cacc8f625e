//! The listener over real sockets: TLS to the pinned root, connections that stay, limits, and a clean end.

use crate::world::{Agent, add_tenant, kind};
use domain::id::{EnrolmentTokenId, SiteId, TenantId};
use jiff::SignedDuration;
use protocol::message::check_in::CheckedIn;
use protocol::message::enrol::{Credential, Enrolled};
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::{Kind, Message};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use server::start::{DataDirError, Running, Server, StartError};
use server::{Context, Settings};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use store::enrolment_token::{Admits, NewEnrolmentToken};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub fn settings(folder: &Path) -> Settings {
    let mut settings = crate::world::settings(folder);
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings
}

pub async fn started(folder: &Path) -> Running {
    Server::start(settings(folder)).await.expect("the server starts")
}

pub fn trusting(
    root: &CertificateDer<'static>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(roots)
}

pub async fn connect(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A connection that speaks HTTP/1.1 and stays open.
pub struct Client(pub TlsStream<TcpStream>);

impl Client {
    pub async fn of(running: &Running) -> Self {
        let config = trusting(&running.context().authority.root_certificate()).with_no_client_auth();
        Self(connect(running.address(), config).await.expect("the handshake"))
    }

    async fn post(&mut self, body: &[u8]) -> (u16, String, Vec<u8>) {
        let head = format!(
            "POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await
    }

    pub async fn send(&mut self, request: &[u8]) -> (u16, String, Vec<u8>) {
        self.0.write_all(request).await.expect("it is sent");
        self.0.flush().await.expect("it is sent");
        self.answer().await
    }

    pub async fn answer(&mut self) -> (u16, String, Vec<u8>) {
        let mut bytes = Vec::new();
        loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
                let head = head.to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .and_then(|length| length.parse::<usize>().ok())
                    .expect("answers say their length");
                while bytes.len() < end + 4 + length {
                    assert_ne!(
                        self.0.read_buf(&mut bytes).await.expect("an answer"),
                        0,
                        "it ends early"
                    );
                }
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return (status.expect("a status"), head, bytes[end + 4..].to_vec());
            }
            assert_ne!(
                self.0.read_buf(&mut bytes).await.expect("an answer"),
                0,
                "{bytes:?}"
            );
        }
    }
}

/// Adds a tenant and an enrolment token; gives its secret.
async fn token(context: &Context) -> [u8; 16] {
    let (tenant, site, secret) = (TenantId([1; 16]), SiteId([2; 16]), [3; 16]);
    add_tenant(context, tenant, site, "main").await;
    let now = context.clock.now();
    let new = NewEnrolmentToken {
        id: EnrolmentTokenId([3; 16]),
        secret_hash: protocol::token::EnrolmentToken::secret_digest(&secret).0,
        site,
        name: "test".to_owned(),
        admits: Admits::Active,
        uses: 100,
        made_by: None,
        expires_at: now + SignedDuration::from_hours(1),
    };
    let scope = store::Scope::of_tenant(tenant);
    let made = context
        .db
        .write(move |tx| store::enrolment_token::create(tx, &scope, &new, now));
    made.await.expect("the token is made");
    secret
}

/// An agent beside a running server: real time, real sockets.
struct OverSocket {
    agent: Agent,
    client: Client,
    context: Context,
}

impl OverSocket {
    async fn enrolled(running: &Running) -> Self {
        let mut this = Self {
            agent: Agent::new(1),
            client: Client::of(running).await,
            context: running.context().clone(),
        };
        let credential = Credential::Token {
            secret: token(running.context()).await,
            site: "main".to_owned(),
        };
        let enrolment = this.agent.enrolment(credential);
        let enrolled: Enrolled = this.asks(&enrolment).await.expect("it is let in");
        this.agent.host = enrolled.host;
        this.agent.link = enrolled.link;
        this.agent.card = this.context.agents.card().digest;
        this
    }

    async fn asks<A: Message>(&mut self, message: &impl Message) -> Result<A, Refused> {
        let request = self.sealed(message);
        let (status, _, answer) = self.client.post(&request).await;
        assert_eq!(status, 200);
        self.agent.read_by(&self.context, &request, &answer)
    }

    fn sealed<M: Message>(&mut self, message: &M) -> Vec<u8> {
        let now = self.context.clock.now();
        self.agent.seal_at(now, M::KIND, &message.to_body())
    }

    async fn checks_in(&mut self) -> Result<CheckedIn, Refused> {
        let now = self.context.clock.now();
        let message = self.agent.check_in_at(now, &[]);
        let checked: CheckedIn = self.asks(&message).await?;
        self.agent.link = checked.link;
        Ok(checked)
    }
}

#[tokio::test]
async fn an_agent_enrols_and_checks_in_over_one_connection_that_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let mut agent = OverSocket::enrolled(&running).await;
    for _ in 0..3 {
        agent.checks_in().await.expect("it is heard");
    }
    let (version, suite) = {
        let (_, connection) = agent.client.0.get_ref();
        (
            connection.protocol_version(),
            connection.negotiated_cipher_suite(),
        )
    };
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
    assert!(suite.is_some());
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn what_agents_left_in_memory_is_written_when_the_server_stops() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let mut agent = OverSocket::enrolled(&running).await;
    agent.checks_in().await.expect("it is heard");
    let OverSocket {
        agent,
        context,
        client,
    } = agent;
    let mut settings = (*context.settings).clone();
    settings.file.listen.set_port(0);
    drop((context, client));
    running.stop().await.expect("it ends cleanly");
    let running = Server::start(settings).await.expect("the server starts again");
    let (scope, host) = (store::Scope::of_tenant(TenantId([1; 16])), agent.host);
    let chain = running
        .context()
        .db
        .read(move |view| store::agent_chain::get(view, &scope, host));
    let chain = chain
        .await
        .expect("the database answers")
        .expect("it has a chain");
    assert_eq!(chain.issued, agent.link.count);
}

#[tokio::test]
async fn a_client_with_another_pin_refuses_the_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let stranger = started(other.path()).await;
    let config = trusting(&stranger.context().authority.root_certificate()).with_no_client_auth();
    let refused = connect(running.address(), config)
        .await
        .expect_err("another root");
    let text = refused.to_string();
    assert!(
        text.contains("UnknownIssuer") || text.contains("BadSignature"),
        "{text}"
    );
}

#[tokio::test]
async fn the_root_and_its_listener_are_the_same_after_a_restart_and_known_under_a_new_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let root = running.context().authority.root_certificate();
    running.stop().await.expect("it ends cleanly");
    let mut settings = settings(folder.path());
    settings.file.addresses = vec!["patchyard.example:8443".to_owned()];
    let running = Server::start(settings).await.expect("the server starts");
    let stream = TcpStream::connect(running.address()).await.expect("it listens");
    let name = ServerName::try_from("patchyard.example").expect("a name");
    let connector = TlsConnector::from(Arc::new(trusting(&root).with_no_client_auth()));
    connector
        .connect(name, stream)
        .await
        .expect("the old root vouches for the new name");
}

#[tokio::test]
async fn a_client_certificate_that_nobody_knows_breaks_no_handshake_and_grants_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let foreign = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(foreign.signing_key.serialize_der()));
    let config = trusting(&running.context().authority.root_certificate())
        .with_client_auth_cert(vec![foreign.cert.der().clone()], key)
        .expect("certificate and key fit");
    let mut client = Client(connect(running.address(), config).await.expect("the handshake"));
    let mut stranger = Agent::new(9);
    let now = running.context().clock.now();
    let body = stranger.check_in_at(now, &[]).to_body();
    let request = stranger.seal_at(now, Kind::CHECK_IN, &body);
    let (status, _, answer) = client.post(&request).await;
    assert_eq!(status, 200);
    let refused = stranger.read_by::<CheckedIn>(running.context(), &request, &answer);
    assert_eq!(kind(refused), RefusalKind::Unknown);
}

#[tokio::test]
async fn a_second_connection_resumes_the_session_of_the_first() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let config = trusting(&running.context().authority.root_certificate()).with_no_client_auth();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = Client(
            connect(running.address(), config.clone())
                .await
                .expect("the handshake"),
        );
        client.post(b"nothing").await;
        kinds.push(client.0.get_ref().1.handshake_kind());
    }
    use rustls::HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Some(Full), Some(Resumed)]);
}

#[tokio::test]
async fn a_session_is_resumed_by_a_server_that_was_restarted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut running = started(folder.path()).await;
    let config = trusting(&running.context().authority.root_certificate()).with_no_client_auth();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = connect(running.address(), config.clone()).await;
        let mut client = Client(stream.expect("the handshake"));
        client.post(b"nothing").await;
        kinds.push(client.0.get_ref().1.handshake_kind());
        drop(client);
        running.stop().await.expect("it ends cleanly");
        running = started(folder.path()).await;
    }
    use rustls::HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Some(Full), Some(Resumed)]);
}

/// As proxies send it: in pieces, or by an older HTTP that ends with each answer.
#[tokio::test]
async fn an_exchange_in_any_form_of_http_is_answered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let mut agent = OverSocket::enrolled(&running).await;
    let heads = [
        "POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /agent/v1/exchange HTTP/1.0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        "POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
    ];
    for head in heads {
        let message = agent.agent.check_in_at(agent.context.clock.now(), &[]);
        let request = agent.sealed(&message);
        let length = request.len();
        let mut bytes = head.replace("{}", &length.to_string()).into_bytes();
        match head.contains("chunked") {
            true => {
                bytes.extend(format!("{length:x}\r\n").into_bytes());
                bytes.extend(&request);
                bytes.extend(b"\r\n0\r\n\r\n");
            }
            false => bytes.extend(&request),
        }
        let (status, _, answer) = Client::of(&running).await.send(&bytes).await;
        assert_eq!(status, 200, "{head}");
        let checked: CheckedIn = agent
            .agent
            .read_by(&agent.context, &request, &answer)
            .expect("it is heard");
        agent.agent.link = checked.link;
    }
}

#[tokio::test]
async fn a_held_check_in_is_answered_when_the_server_stops() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let mut agent = OverSocket::enrolled(&running).await;
    let mut message = agent.agent.check_in_at(agent.context.clock.now(), &[]);
    message.hold_seconds = 55;
    let request = agent.sealed(&message);
    let asking = tokio::spawn(async move {
        let answer = agent.client.post(&request).await;
        (agent, request, answer)
    });
    while running.context().wake_ups.held() == 0 {
        tokio::task::yield_now().await;
    }
    running.stop().await.expect("it ends cleanly");
    let (agent, request, (status, _, answer)) = asking.await.expect("it is answered");
    assert_eq!(status, 200);
    let checked: CheckedIn = agent
        .agent
        .read_by(&agent.context, &request, &answer)
        .expect("it is heard");
    assert_eq!(checked.link.count, 2);
}

#[tokio::test]
async fn what_is_no_exchange_gets_a_status_and_a_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let (status, head, _) = Client::of(&running)
        .await
        .send(b"GET /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(status, 405, "{head}");
    let too_large = protocol::limits::BODY_BYTES + 8192;
    let request =
        format!("POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nContent-Length: {too_large}\r\n\r\n");
    let (status, head, body) = Client::of(&running).await.send(request.as_bytes()).await;
    assert_eq!(status, 413, "{head}");
    assert!(String::from_utf8_lossy(&body).contains("No envelope is that long"));
    let endless = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let (status, head, _) = Client::of(&running).await.send(endless.as_bytes()).await;
    assert_eq!(status, 431, "{head}");
    let mut client = Client::of(&running).await;
    let (status, _, answer) = client.post(b"no envelope at all").await;
    assert_eq!(status, 200, "what is no envelope is refused in one");
    assert!(answer.starts_with(&protocol::envelope::MAGIC));
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_the_others_go_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(folder.path());
    settings.file.limits.connections = 2;
    let running = Server::start(settings).await.expect("the server starts");
    let (mut one, _other) = (Client::of(&running).await, Client::of(&running).await);
    let config = trusting(&running.context().authority.root_certificate()).with_no_client_auth();
    assert!(
        connect(running.address(), config).await.is_err(),
        "a third is turned away"
    );
    assert_eq!(one.post(b"nothing").await.0, 200);
}

#[tokio::test]
async fn one_server_at_a_time_has_a_data_directory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let second = Server::start(settings(folder.path())).await;
    assert!(matches!(
        second,
        Err(StartError::DataDir(DataDirError::InUse { .. }))
    ));
    running.stop().await.expect("it ends cleanly");
    started(folder.path()).await;
}

#[tokio::test]
async fn people_are_shown_a_given_certificate_and_agents_the_one_of_the_pinned_root() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let given = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, given.cert.pem()).expect("it is written");
    std::fs::write(&key, given.signing_key.serialize_pem()).expect("it is written");
    let mut settings = settings(folder.path());
    settings.file.certificate = Some(server::settings::GivenCertificate { chain, key });
    let running = Server::start(settings).await.expect("the server starts");
    let agents = trusting(&running.context().authority.root_certificate()).with_no_client_auth();
    connect(running.address(), agents)
        .await
        .expect("agents see the pinned root");
    let mut browsers = trusting(given.cert.der()).with_no_client_auth();
    browsers.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    connect(running.address(), browsers)
        .await
        .expect("browsers see the given one");
}
