//! TLS of the one listener: which certificate a client is shown, and what becomes of the one that it may show.

use super::Authority;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;

/// What browsers and most programs ask for by ALPN (RFC 7301). Who asks for nothing, as agents do, is shown the certificate
/// that leads to the pinned root, even where others are shown a given one.
const WEB: &[u8] = b"http/1.1";

/// The settings of the listener: TLS 1.3 and 1.2, session tickets, an optional client certificate.
pub fn server_config(authority: &Arc<Authority>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = AnyClient {
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(Shown(Arc::clone(authority))));
    config.alpn_protocols = vec![WEB.to_vec()];
    config.ticketer = Arc::clone(&authority.tickets) as _;
    // One ticket is enough: an agent keeps one connection. Each more costs a signed round of bytes a handshake.
    config.send_tls13_tickets = 1;
    Ok(config)
}

#[derive(Debug)]
struct Shown(Arc<Authority>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_web = hello
            .alpn()
            .is_some_and(|mut protocols| protocols.any(|protocol| protocol == WEB));
        Some(match self.0.given() {
            Some(given) if is_web => Arc::clone(&given.certified),
            _ => Arc::clone(
                &self
                    .0
                    .listener
                    .read()
                    .expect("nobody panics while holding it")
                    .certified,
            ),
        })
    }
}

/// Takes any client certificate whose key the client has, an expired or unknown one too, because none grants anything:
/// who an agent is and what it may do is decided by its envelope. A handshake that fails could not tell the agent why.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
