//! Orders on the host that is to follow them: whom they are believed from, what is done with them, and what a power cut leaves.

mod believed;
mod executor;
mod files;
mod host;
mod kept;
mod machine;

use crate::session::host::Host as SessionHost;
use crate::session::server::{Root, Server as SessionServer};
use agent::executor::spool::make_folders;
use agent::order::Accepted;
use agent::service::Places;
use agent::trust::{Server, take_card};
use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, Release, Rules};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use domain::identity::BootId;
use domain::order::{Direction, Go, Order, OrderedPackage, OrderedSnapshot, RebootRule, Start, Window};
use jiff::{SignedDuration, Timestamp};
use protocol::card::{KeyCertificate, KeyTerms, Purpose, ServerCard};
use protocol::key::SigningKey;
use protocol::message::check_in::CardBytes;
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::scope::Tree;
use protocol::statement::seal;

/// 2026-06-01T00:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_780_272_000, 0);
const TENANT: TenantId = TenantId([1; 16]);

/// A server that signs orders, and a host that was enrolled with it.
struct Issuer {
    root: Root,
    card: ServerCard,
    orders: SigningKey,
    host: HostId,
    places: Places,
    _folder: Option<tempfile::TempDir>,
}

impl Issuer {
    fn new() -> Self {
        // In memory where that is to be had: each scenario saves many times.
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let places = Places {
            state: folder.path().join("state"),
            settings: folder.path().join("agent.toml"),
        };
        make_folders(&places, None).unwrap();
        Self {
            _folder: Some(folder),
            ..Self::at(places)
        }
    }

    /// The same, for a host that keeps everything there.
    fn at(places: Places) -> Self {
        let mut server = SessionServer::new(NOW);
        let mut host = SessionHost::new(1);
        host.enrol(&mut server);
        let memory = host.session.memory().clone();
        let pinned = Server::named(server.root.digest()).enrolled(&memory);
        pinned.write(&places).unwrap();
        let orders = SigningKey::from_seed(&[9; 32]);
        let mut issuer = Self {
            card: server.card(),
            root: server.root,
            orders,
            host: pinned.host().unwrap(),
            places,
            _folder: None,
        };
        let key = issuer.certified(&issuer.root, Purpose::Orders);
        issuer.card.keys.push(key);
        issuer.hand_over().unwrap();
        issuer
    }

    /// The authority's word for the key that signs orders.
    fn certified(&self, by: &Root, purpose: Purpose) -> KeyCertificate {
        let terms = KeyTerms {
            purpose,
            not_before: NOW,
            not_after: NOW + SignedDuration::from_hours(24 * 3_600),
            epoch: 1,
        };
        KeyCertificate::issue(by.digest(), &by.key, self.orders.verifying(), terms)
    }

    fn hand_over(&self) -> Result<bool, agent::trust::CardNotTaken> {
        take_card(&self.places, &CardBytes(self.card.to_bytes()))
    }

    fn server(&self) -> Server {
        Server::read(&self.places).unwrap().unwrap()
    }

    fn hosts(&self) -> Vec<HostId> {
        vec![HostId([3; 16]), self.host, HostId([200; 16])]
    }

    fn approval(&self) -> Approval {
        Approval {
            tenant: TENANT,
            release: Release {
                updates: vec![UpdateId {
                    publisher: Publisher {
                        origin: "Debian".to_owned(),
                        keys: vec!["AB".to_owned()],
                    },
                    source: "openssl".to_owned(),
                    source_version: "3.0.17-1".to_owned(),
                    build: String::new(),
                }],
                rules: Rules {
                    needs: Mode::Full,
                    start: Start::OfflineOk,
                    reboot: RebootRule::IfNeeded { notice_seconds: 60 },
                    removals: Vec::new(),
                },
            },
            snapshots: vec![Sha256Digest([7; 32])],
            scope: Tree::over(&self.hosts()).scope(),
            not_after: NOW + SignedDuration::from_hours(24),
            direction: Direction::Forward,
        }
    }

    fn order(&self, number: u64) -> Order {
        Order {
            number,
            epoch: 1,
            tenant: TENANT,
            host: self.host,
            change: ChangeId([4; 16]),
            deployment: DeploymentId([5; 16]),
            approved: protocol::sha256(&ApprovalDocument::bytes_of(&self.approval())),
            direction: Direction::Forward,
            snapshots: vec![OrderedSnapshot {
                address: "http://deb.example/debian".into(),
                suite: "bookworm".into(),
                release: Sha256Digest([7; 32]),
                signature: None,
                indexes: Vec::new(),
            }],
            packages: vec![OrderedPackage {
                name: "openssl".into(),
                architecture: "amd64".into(),
                version: "3.0.17-1".into(),
                from: Some("3.0.16-1".into()),
                sha256: Sha256Digest([8; 32]),
                size_bytes: 9,
            }],
            removals: Vec::new(),
            window: Window {
                opens: NOW,
                closes: NOW + SignedDuration::from_hours(24),
            },
            needs: Mode::Install,
            start: Start::WithGo,
            reboot: RebootRule::Never,
        }
    }

    fn bundle(&self, order: &Order) -> Bundle {
        Bundle {
            order: seal(&OrderDocument::of(order), &self.orders),
            approval: ApprovalDocument::bytes_of(&self.approval()),
            signatures: Vec::new(),
            inclusion: Tree::over(&self.hosts()).prove(self.host).unwrap(),
        }
    }

    /// The order as it is after it was believed.
    fn accepted(&self, order: &Order) -> Accepted {
        Accepted {
            order: order.clone(),
            approval: self.approval(),
            digest: protocol::sha256(&self.bundle(order).order),
        }
    }

    fn go(&self, order: Sha256Digest) -> Vec<u8> {
        let go = Go {
            order,
            boot: BootId([1; 16]),
            nonce: [2; 16],
            issued_at: NOW,
            lease_seconds: 600,
        };
        seal(&GoDocument::of(&go), &self.orders)
    }
}
