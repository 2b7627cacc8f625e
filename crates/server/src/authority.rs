//! The server's keys: the authorities, the listener's certificate, the keys that sign answers, orders and audit checkpoints,
//! and the key of the clone chain; sealed at rest under a master key outside the database. What is certified with them is
//! decided elsewhere.

mod given;
mod keys;
mod roots;
pub mod sealed;
#[cfg(test)]
mod tests;
mod tickets;
pub mod tls;
pub mod upkeep;
pub mod x509;

use crate::clock::Chance;
use crate::settings::GivenCertificate;
use domain::digest::Sha256Digest;
use given::Given;
use jiff::{SignedDuration, Timestamp};
use keys::{KeptKey, Keys};
use protocol::address::ServerAddress;
use protocol::card::{KeyCertificate, ServerCard};
use protocol::key::SigningKey;
use protocol::link::LinkKey;
use rcgen::KeyPair;
use roots::Roots;
pub use roots::{OtherRoot, Prepared, RootsShown, WrongStage};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use sealed::{SealError, Sealer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tickets::Tickets;
use x509::{MakeError, Role, Signer, Validity};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);
const ISSUING_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);
const SERVER_LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);
const ANSWERS_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 5);
/// How long the certificate of a host lasts.
pub const HOST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 14);
/// For how long after its end the certificate of a host may still renew.
pub const HOST_RENEWABLE: SignedDuration = SignedDuration::from_hours(24 * 400);

const ISSUING_NAME: &str = "Patchyard issuing authority";

/// The keys of a server, opened.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    sealer: Sealer,
    epoch: u64,
    roots: RwLock<Arc<Roots>>,
    issuing: RwLock<Arc<Issuing>>,
    listener: RwLock<Arc<Listener>>,
    given: RwLock<Option<Arc<Given>>>,
    /// Held by whoever changes the folder of keys.
    turn: Mutex<()>,
    answers: SigningKey,
    orders: SigningKey,
    audit: SigningKey,
    links: LinkKey,
    tickets: Arc<Tickets>,
}

/// The root authority. Its key may be kept elsewhere; then `root.sealed` is gone, `root.der` is still here, and nothing
/// that needs it can be renewed.
struct Root {
    name: String,
    certificate: CertificateDer<'static>,
    digest: Sha256Digest,
    validity: Validity,
    key: Option<SigningKey>,
}

struct Issuing {
    certificate: CertificateDer<'static>,
    validity: Validity,
    key: KeyPair,
}

struct Listener {
    certified: Arc<CertifiedKey>,
    validity: Validity,
    names: Vec<String>,
}

/// A key that signs for the server, and the root's word for it.
struct CertifiedSigningKey {
    key: SigningKey,
    certificate: KeyCertificate,
}

/// The keys that sign for the server.
struct SigningKeys {
    answers: CertifiedSigningKey,
    orders: CertifiedSigningKey,
    audit: CertifiedSigningKey,
}

/// Why the keys could not be opened, made or renewed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A sealed file.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A certificate could not be made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The folder of keys could not be used.
    #[error("use the folder of keys {}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// What a sealed file holds is no key of its kind.
    #[error("the key in {name}.sealed is damaged: put back the folder of keys from your backup")]
    Damaged {
        /// Which.
        name: &'static str,
    },
    /// A sealed file is missing that only the root authority could make anew, and its key is kept elsewhere.
    #[error(
        "{name}.sealed has to be made anew, and the key of the root authority is not here: put root.sealed back"
    )]
    RootOffline {
        /// Which.
        name: &'static str,
    },
    /// The key of a former root was put back.
    #[error("root.sealed is that of a former root authority: put the present one's there, or none")]
    FormerRoot,
    /// A step of the change of roots that is not due.
    #[error(transparent)]
    Stage(#[from] WrongStage),
    /// The given certificate or its key is not usable.
    #[error("use the given certificate {}", path.display())]
    Given {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Something of the authority comes to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What ends.
    pub what: Ending,
    /// When.
    pub until: Timestamp,
    /// Whether it is over already.
    pub is_over: bool,
}

/// A thing of the authority that ends some day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The root authority: every agent must know the next one before.
    Root,
    /// The issuing authority.
    Issuing,
    /// The key that signs answers to agents.
    Answers,
    /// The key that signs orders.
    Orders,
    /// The listener's own certificate, which renews itself.
    Listener,
    /// The listener's given certificate, which somebody has to renew.
    Given,
}

impl Ending {
    /// How long ahead the alarm begins.
    fn ahead(self) -> SignedDuration {
        match self {
            Self::Root | Self::Answers | Self::Orders => DAY * 365,
            Self::Issuing => DAY * 180,
            Self::Given => DAY * 30,
            Self::Listener => DAY * 7,
        }
    }
}

/// What [`Authority::renew`] made anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The issuing authority.
    pub issuing: bool,
    /// The listener's certificate.
    pub listener: bool,
}

/// A host's certificate, with what leads to the root.
#[derive(Clone, Debug)]
pub struct HostCertificate {
    /// The host's own, then the issuing authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// When it is valid.
    pub validity: Validity,
}

impl Authority {
    /// Opens the keys of this folder; makes the folder (mode 0700) and what is missing in it. `names` are what the
    /// listener is reached by.
    pub fn open(
        folder: &Path,
        names: &[String],
        given: Option<&GivenCertificate>,
        epoch: u64,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Self, AuthorityError> {
        make_private_folder(folder)?;
        let sealer = Sealer::open(folder, chance)?;
        let keys = Keys {
            folder,
            sealer: &sealer,
            epoch,
            now,
            chance,
        };
        let (roots, signing) = Roots::open(&keys)?;
        let issuing = keys.issuing(&roots.present)?;
        let listener = keys.listener(&roots, &issuing, names)?;
        let links = LinkKey::new(&*keys.symmetric("chain")?);
        let tickets = Tickets::open(&sealer, folder, now, chance)?;
        Ok(Self {
            given: RwLock::new(given.map(Given::open).transpose()?.map(Arc::new)),
            folder: folder.to_owned(),
            epoch,
            roots: RwLock::new(Arc::new(roots)),
            turn: Mutex::default(),
            issuing: RwLock::new(Arc::new(issuing)),
            listener: RwLock::new(Arc::new(listener)),
            answers: signing.answers.key,
            orders: signing.orders.key,
            audit: signing.audit.key,
            links,
            tickets: Arc::new(tickets),
            sealer,
        })
    }

    /// What seals secrets at rest and derives keys for message authentication.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The root authority's certificate: what enrolment tokens pin.
    pub fn root_certificate(&self) -> CertificateDer<'static> {
        self.roots().present.certificate.clone()
    }

    /// The same as text (RFC 7468), for programs on this machine that have to believe the server.
    pub fn root_pem(&self) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(self.root_certificate());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }

    /// SHA-256 of the root authority's certificate.
    pub fn root_digest(&self) -> Sha256Digest {
        self.roots().present.digest
    }

    /// The key that signs answers to agents.
    pub fn answers_key(&self) -> &SigningKey {
        &self.answers
    }

    /// The key that signs orders and goes.
    pub fn orders_key(&self) -> &SigningKey {
        &self.orders
    }

    /// The key that signs checkpoints of the audit.
    pub fn audit_key(&self) -> &SigningKey {
        &self.audit
    }

    /// The key that marks the links of hosts' chains. It outlives a restore.
    pub fn link_key(&self) -> &LinkKey {
        &self.links
    }

    /// What the server says of itself to agents: its epoch, where it listens, its authorities and their keys.
    pub fn card(&self, addresses: &[ServerAddress]) -> ServerCard {
        let roots = self.roots();
        ServerCard {
            epoch: self.epoch,
            addresses: addresses.to_vec(),
            authorities: roots.on_the_card(),
            keys: vec![roots.answers.clone(), roots.orders.clone(), roots.audit.clone()],
        }
    }

    /// Makes the certificate of a host for its Ed25519 key.
    pub fn certify_host(
        &self,
        host: domain::id::HostId,
        public_key: &[u8; 32],
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<HostCertificate, AuthorityError> {
        let issuing = self.issuing();
        let validity = Validity::starting(now, HOST_LIFE);
        let name = host.to_string();
        let certificate = x509::make(
            (Role::Host(&name), &name),
            &x509::Ed25519Public(public_key),
            Signer::Authority(ISSUING_NAME, &issuing.key),
            validity,
            chance,
        )?;
        Ok(HostCertificate {
            chain: vec![certificate, issuing.certificate.clone()],
            validity,
        })
    }

    /// Makes anew what ends soon: the listener's certificate 30 days ahead, or when `names` changed; the issuing
    /// authority a year ahead; the key of session tickets twice a day. To be called every few hours; connections that are
    /// open stay.
    pub fn renew(
        &self,
        names: &[String],
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Renewed, AuthorityError> {
        self.tickets
            .change_if_due(&self.sealer, &self.folder, now, chance)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys(now, chance);
        let roots = self.roots();
        let mut renewed = Renewed::default();
        if roots.present.key.is_some() && ends_within(self.issuing().validity, now, DAY * 365) {
            let issuing = keys.make_issuing(&roots.present)?;
            *self.issuing.write().expect("nobody panics while holding it") = Arc::new(issuing);
            renewed.issuing = true;
        }
        let listener = Arc::clone(&self.listener.read().expect("nobody panics while holding it"));
        if renewed.issuing || ends_within(listener.validity, now, DAY * 30) || listener.names != names {
            let made = keys.make_listener(&roots, &self.issuing(), names)?;
            *self.listener.write().expect("nobody panics while holding it") = Arc::new(made);
            renewed.listener = true;
        }
        Ok(renewed)
    }

    /// When the first of the server's certificates ends.
    pub fn first_ending(&self) -> Timestamp {
        let ends = self.endings().into_iter().map(|(_, until)| until);
        ends.min().expect("the root authority has an end")
    }

    fn endings(&self) -> Vec<(Ending, Timestamp)> {
        let listener = self
            .listener
            .read()
            .expect("nobody panics while holding it")
            .validity;
        let roots = self.roots();
        let mut endings = vec![
            (Ending::Root, roots.present.validity.until),
            (Ending::Issuing, self.issuing().validity.until),
            (Ending::Answers, roots.answers.not_after),
            (Ending::Orders, roots.orders.not_after),
            (Ending::Listener, listener.until),
        ];
        endings.extend(self.given().map(|given| (Ending::Given, given.until)));
        endings
    }

    /// What ends soon, or has ended, soonest first.
    pub fn alarms(&self, now: Timestamp) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = self
            .endings()
            .into_iter()
            .filter(|&(what, until)| until.duration_since(now) < what.ahead())
            .map(|(what, until)| Alarm {
                what,
                until,
                is_over: until < now,
            })
            .collect();
        alarms.sort_by_key(|alarm| (alarm.until, alarm.what));
        alarms
    }

    fn keys<'a>(&'a self, now: Timestamp, chance: &'a dyn Chance) -> Keys<'a> {
        Keys {
            folder: &self.folder,
            sealer: &self.sealer,
            epoch: self.epoch,
            now,
            chance,
        }
    }

    fn issuing(&self) -> Arc<Issuing> {
        Arc::clone(&self.issuing.read().expect("nobody panics while holding it"))
    }
}

impl Root {
    /// The root of a kept key, which calls itself by its one name.
    fn of_kept(kept: KeptKey) -> Result<Self, AuthorityError> {
        let damaged = || AuthorityError::Damaged { name: "root" };
        let seed: &[u8; 32] = kept
            .secret
            .as_slice()
            .try_into()
            .map_err(|_wrong_length| damaged())?;
        let key = SigningKey::from_seed(seed);
        let name = kept.names.into_iter().next().ok_or_else(damaged)?;
        Ok(Self {
            name,
            digest: content::sha256(&kept.certificate),
            certificate: kept.certificate.into(),
            validity: kept.validity,
            key: Some(key),
        })
    }

    /// The root by its certificate, while its key is kept elsewhere.
    fn without_key(certificate: Vec<u8>) -> Result<Self, AuthorityError> {
        let validity = x509::validity_of(&certificate).ok_or(AuthorityError::Damaged { name: "root" })?;
        Ok(Self {
            name: String::new(),
            digest: content::sha256(&certificate),
            certificate: certificate.into(),
            validity,
            key: None,
        })
    }
}

impl Listener {
    fn of(kept: KeptKey, key: &KeyPair, roots: &Roots, issuing: &Issuing) -> Result<Self, AuthorityError> {
        let damaged = AuthorityError::Damaged { name: "listener" };
        // The roots go along, because agents know one by its digest only until they have seen it once.
        let mut chain = vec![kept.certificate.into(), issuing.certificate.clone()];
        chain.extend(roots.chain());
        let der = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let Ok(signing) = rustls::crypto::ring::sign::any_ecdsa_type(&der.into()) else {
            return Err(damaged);
        };
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, signing)),
            validity: kept.validity,
            names: kept.names,
        })
    }
}

fn ends_within(validity: Validity, now: Timestamp, span: SignedDuration) -> bool {
    validity.until.duration_since(now) < span
}

fn make_private_folder(folder: &Path) -> Result<(), AuthorityError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|cause| AuthorityError::Folder {
        path: folder.to_owned(),
        cause,
    })
}

macro_rules! keep_secret_in_debug {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )*};
}

keep_secret_in_debug! { Roots Issuing Listener Given }
