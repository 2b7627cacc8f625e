//! An archive that does not let everybody in: TLS under an authority of its own, and if a test says so a login (RFC 7617) or
//! client certificates of that authority. Everything is made anew for each test.

use super::http::Head;
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Whom a private archive lets in.
#[derive(Clone, Debug)]
pub struct Private {
    tls: Arc<ServerConfig>,
    login: Option<String>,
    /// The authority that its certificate comes from, PEM.
    pub authority_pem: String,
    /// A client certificate that it accepts where it asks for one, PEM.
    pub certificate_pem: String,
    /// The key of that, PEM.
    pub key_pem: String,
}

/// Whether a private archive asks for client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// Without one nobody gets further than the handshake.
    Asked,
    /// It does not ask.
    NotAsked,
}

impl Private {
    /// An archive under an authority of its own that asks for nothing else.
    pub fn new(certificates: Certificates) -> anyhow::Result<Self> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let own_key = KeyPair::generate()?;
        let mut own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = own.signed_by(&own_key, &issuer)?;
        let client_key = KeyPair::generate()?;
        let mut client = CertificateParams::new(vec!["client.example".to_owned()])?;
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = client.signed_by(&client_key, &issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("the provider has both versions")?;
        let builder = match certificates {
            Certificates::NotAsked => builder.with_no_client_auth(),
            Certificates::Asked => {
                let mut roots = RootCertStore::empty();
                roots.add(authority_certificate.der().clone())?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let key = PrivateKeyDer::Pkcs8(own_key.serialize_der().into());
        Ok(Self {
            tls: Arc::new(builder.with_single_cert(vec![own.der().clone()], key)?),
            login: None,
            authority_pem: authority_certificate.pem(),
            certificate_pem: client.pem(),
            key_pem: client_key.serialize_pem(),
        })
    }

    /// The same, which wants this login besides.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.login = Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        self
    }

    pub(super) fn lets_in(&self, head: &Head) -> bool {
        self.login.is_none() || head.authorization == self.login
    }

    pub(super) fn shake_hands(
        &self,
        connection: TcpStream,
    ) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let session = ServerConnection::new(Arc::clone(&self.tls)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, connection);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                // The alert says to the client why.
                let _ = stream.conn.write_tls(&mut stream.sock);
                return Err(error);
            }
        }
        stream.flush()?;
        Ok(stream)
    }
}
