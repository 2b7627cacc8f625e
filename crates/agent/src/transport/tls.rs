//! TLS to a server that our own authority vouches for and nobody else: the root is pinned by its digest, the clock is the
//! agent's own, and a certificate of somebody else is kept for the sentence that says whose it was.

use super::Pins;
use super::certificate::SeenCertificate;
use domain::digest::Sha256Digest;
use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::VerifierBuilderError;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The agent's certificate and key for TLS.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The host's certificate first, then those between it and the root, DER.
    pub chain: Vec<Vec<u8>>,
    /// The key in PKCS#8.
    pub key_pkcs8: Vec<u8>,
}

impl std::fmt::Debug for ClientIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// Time as the agent has it, for the validity of certificates: seconds since 1970 UTC.
#[derive(Debug, Default)]
pub(super) struct AgentClock(AtomicI64);

impl AgentClock {
    pub(super) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn seconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TimeProvider for AgentClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.seconds()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Settings of TLS that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The stored certificate and key do not fit together.
    #[error("the stored certificate and key cannot be used for TLS; run `patchyard-agent enrol` again")]
    Identity(#[source] rustls::Error),
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Protocol(#[source] rustls::Error),
}

/// The client's side of TLS, and where it leaves what it saw.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) seen: Arc<Seen>,
}

/// The certificate that the last refused handshake showed.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Option<SeenCertificate>>);

impl Seen {
    fn keep(&self, certificate: SeenCertificate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    pub(super) fn take(&self) -> Option<SeenCertificate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Tls {
    pub(super) fn new(
        pins: &Pins,
        identity: Option<&ClientIdentity>,
        clock: &Arc<AgentClock>,
    ) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let seen = Arc::new(Seen::default());
        let verifier = PinnedVerifier {
            pins: pins.clone(),
            provider: Arc::clone(&provider),
            seen: Arc::clone(&seen),
        };
        let builder =
            ClientConfig::builder_with_details(provider, Arc::clone(clock) as Arc<dyn TimeProvider>)
                .with_safe_default_protocol_versions()
                .map_err(TlsSetupError::Protocol)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key_pkcs8.clone()));
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(TlsSetupError::Identity)?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            seen,
        })
    }
}

/// Accepts a chain that ends in a root with a pinned digest; the server sends the root along, since an agent that enrols
/// knows its digest only.
#[derive(Debug)]
struct PinnedVerifier {
    pins: Pins,
    provider: Arc<CryptoProvider>,
    seen: Arc<Seen>,
}

impl PinnedVerifier {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            let found = digest(&SHA256, certificate.as_ref());
            let found = Sha256Digest(found.as_ref().try_into().expect("SHA-256 has 32 bytes"));
            self.pins.0.contains(&found)
        };
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let mut roots = RootCertStore::empty();
        for root in intermediates.iter().filter(is_pinned) {
            roots.add(root.clone().into_owned())?;
        }
        if roots.is_empty() {
            return Err(unknown());
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build();
        let verifier = verifier.map_err(|_: VerifierBuilderError| unknown())?;
        verifier.verify_server_cert(end_entity, intermediates, name, &[], now)
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.judge(end_entity, intermediates, server_name, now);
        if judged.is_err() {
            self.seen.keep(SeenCertificate::of(end_entity));
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
