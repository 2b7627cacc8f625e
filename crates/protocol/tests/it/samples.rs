//! One of each message and document, always the same, with keys of fixed seeds.

pub mod orders;

use domain::digest::Sha256Digest;
use domain::host::facts::HostFacts;
use domain::id::HostId;
use domain::identity::Nonce;
use jiff::Timestamp;
use protocol::card::{Authority, KeyCertificate, KeyTerms, Purpose, ServerCard};
use protocol::document::channels::{
    ChannelConfigDocument, HostProblem, ProblemEffect, ReleaseClaim, StanzaEvidence,
};
use protocol::document::delta::InventoryDelta;
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::{InventoryDocument, Package};
use protocol::document::{Document as _, DocumentKind};
use protocol::envelope::{Asked, Body, Envelope, Header, Unopened};
use protocol::key::SigningKey;
use protocol::link::{Link, LinkKey};
use protocol::message::Kind;
use protocol::message::check_in::{
    Bearer, CardBytes, CarriedFile, CarriedSource, CheckIn, CheckedIn, ClockKeeping, Disk, DocumentName,
    Measures, Mode, Wanted,
};
use protocol::message::documents::{Documents, DocumentsTaken, Form, Part, RefusedDocument, WhyRefused};
use protocol::message::enrol::{Credential, Enrol, Enrolled, Standing};
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::renew::{NextKey, Renew, Renewed};
use protocol::sha256;

pub const HOST: HostId = HostId(*b"\x01\x8f\x0e\x6b\x7c\x2a\x7d\x31\x9a\x4e\x5b\x6c\x7d\x8e\x9f\x00");

pub fn host_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub fn next_host_key() -> SigningKey {
    SigningKey::from_seed(&[4; 32])
}

pub fn answers_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

pub fn authority_key() -> SigningKey {
    SigningKey::from_seed(&[3; 32])
}

pub fn time() -> Timestamp {
    Timestamp::from_microsecond(1_790_000_000_123_456).expect("a time of this century")
}

pub fn header(kind: Kind) -> Header {
    Header::request(kind, 41, Nonce([0x5a; 16]), time())
}

/// A request of this kind, as its answer names it.
pub fn asked(kind: Kind) -> Asked {
    let bytes = Envelope::seal(&host_key(), header(kind), &Body::default()).expect("empty");
    Unopened::parse(&bytes).expect("an envelope").asked()
}

pub fn link(count: u64) -> Link {
    LinkKey::new(&[9; 32]).issue(HOST, count)
}

pub fn bearer() -> Bearer {
    Bearer {
        boot: [0xb0; 16],
        hardware: Some([0x4a; 16]),
    }
}

/// An authority's certificate, made with another library.
pub fn certificate(key: &SigningKey, name: &str) -> Vec<u8> {
    let pkcs8 = key.to_pkcs8();
    let pair = rcgen::KeyPair::try_from(pkcs8.as_slice()).expect("rcgen reads our PKCS#8");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.serial_number = Some(rcgen::SerialNumber::from(7_u64));
    params
        .self_signed(&pair)
        .expect("a certificate of itself")
        .der()
        .to_vec()
}

pub fn card(certificate: Vec<u8>) -> ServerCard {
    let authority = Authority::new(certificate);
    let terms = KeyTerms {
        purpose: Purpose::Answers,
        not_before: time(),
        not_after: Timestamp::from_second(1_900_000_000).expect("a time"),
        epoch: 1,
    };
    let key = KeyCertificate::issue(
        authority.digest(),
        &authority_key(),
        answers_key().verifying(),
        terms,
    );
    ServerCard {
        epoch: 1,
        addresses: vec!["patchyard.example:8443".parse().expect("an address")],
        authorities: vec![authority],
        keys: vec![key],
    }
}

pub fn enrol() -> Enrol {
    Enrol {
        public_key: host_key().verifying().to_bytes(),
        credential: Credential::Token {
            secret: [7; 16],
            site: "main".into(),
        },
        hostname: "web1".into(),
        agent_version: "0.1.0".into(),
        bearer: bearer(),
        machine: Some([0x3c; 16]),
        formerly: None,
    }
}

pub fn enrol_as_copy() -> Enrol {
    let public_key = next_host_key().verifying().to_bytes();
    Enrol {
        public_key,
        credential: Credential::copy_of(HOST, &host_key(), &public_key),
        formerly: Some(HOST),
        ..enrol()
    }
}

pub fn enrolled() -> Enrolled {
    Enrolled {
        host: HOST,
        standing: Standing::Pending,
        site: "main".into(),
        certificates: vec![vec![0x30, 0x03, 1, 2, 3]],
        link: link(1),
    }
}

pub fn check_in() -> CheckIn {
    let document = |kind, byte| DocumentName {
        kind,
        digest: Sha256Digest([byte; 32]),
        observed_at: time(),
    };
    CheckIn {
        link: link(17),
        bearer: bearer(),
        agent_version: "0.1.0".into(),
        mode: Mode::Monitor,
        documents: vec![
            document(DocumentKind::Inventory, 1),
            document(DocumentKind::ChannelConfig, 2),
            document(DocumentKind::Facts, 3),
        ],
        measures: Measures {
            boot_clock_micros: 86_400_000_000,
            clock_micros: 1_790_000_000_000_000,
            clock: ClockKeeping::Synchronised {
                by: "chrony".into(),
                at_micros: 1_789_999_990_000_000,
            },
            disks: ["/", "/boot", "/var"].map(disk).to_vec(),
            load_milli: Some(130),
        },
        hold_seconds: 55,
        card: Sha256Digest([4; 32]),
        highest_order: 0,
        troubles: Vec::new(),
        carried: Vec::new(),
        orders: Vec::new(),
    }
}

fn disk(path: &str) -> Disk {
    Disk {
        path: path.into(),
        total_bytes: 21_474_836_480,
        available_bytes: 10_737_418_240,
        available_files: Some(1_048_576),
    }
}

pub fn check_in_with_everything() -> CheckIn {
    CheckIn {
        highest_order: 12,
        troubles: vec!["the executor does not answer; see `patchyard-agent status`".into()],
        carried: vec![CarriedFile {
            source: carried_source(),
            path: "InRelease".into(),
            digest: Sha256Digest([5; 32]),
            size_bytes: 2_048,
        }],
        ..check_in()
    }
}

fn carried_source() -> CarriedSource {
    CarriedSource {
        uri: "http://inside.example/debian/".into(),
        suite: "bookworm".into(),
    }
}

pub fn checked_in() -> CheckedIn {
    CheckedIn {
        next_check_in_seconds: 300,
        hold_seconds: 55,
        ..CheckedIn::of(link(18))
    }
}

pub fn checked_in_with_everything() -> CheckedIn {
    CheckedIn {
        wanted: vec![Wanted {
            kind: DocumentKind::Inventory,
            digest: Sha256Digest([1; 32]),
            base: Some(Sha256Digest([6; 32])),
            offset: 0,
        }],
        card: Some(CardBytes(b"{}".to_vec())),
        carry: vec![carried_source()],
        ..checked_in()
    }
}

pub fn documents() -> (Documents, Vec<u8>) {
    let inventory = inventory().to_bytes();
    let mut newer = self::inventory();
    newer.packages[0].version = "5.2.15-2+b9".into();
    let delta = InventoryDelta::between(&self::inventory(), &newer).to_bytes();
    let part = |kind, digest, size: usize, form| Part {
        kind,
        digest,
        size_bytes: size as u64,
        form,
    };
    let piece = Form::Piece {
        offset: 4,
        total_bytes: 9,
    };
    let message = Documents {
        link: link(18),
        documents: vec![
            part(
                DocumentKind::Inventory,
                sha256(&inventory),
                inventory.len(),
                Form::Whole,
            ),
            part(
                DocumentKind::Inventory,
                newer.digest(),
                delta.len(),
                Form::Delta {
                    base: sha256(&inventory),
                },
            ),
            part(DocumentKind::KeyFile, sha256(b"keys"), 4, Form::Whole),
            part(DocumentKind::IndexFile, sha256(b"InRelease"), 5, piece),
        ],
    };
    (message, [&inventory[..], &delta[..], b"keys", b"lease"].concat())
}

pub fn documents_taken() -> DocumentsTaken {
    DocumentsTaken {
        taken: vec![Sha256Digest([1; 32])],
        refused: vec![RefusedDocument {
            digest: Sha256Digest([2; 32]),
            why: WhyRefused::BaseUnknown,
            sentence: "the inventory that the delta starts from is gone; send it whole".into(),
        }],
        wanted: Vec::new(),
    }
}

pub fn renew() -> Renew {
    Renew {
        host: HOST,
        link: link(18),
        agent_version: "0.1.0".into(),
        next_key: Some(NextKey::new(HOST, &next_host_key())),
    }
}

pub fn renewed() -> Renewed {
    Renewed {
        certificates: vec![vec![0x30, 0x00]],
        not_after: time(),
    }
}

pub fn refused() -> Refused {
    Refused {
        kind: RefusalKind::Busy,
        sentence: "the server has too much to do; the agent comes again by itself".into(),
        retry_after_seconds: Some(30),
    }
}

fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.into(),
        architecture: "amd64".into(),
        version: version.into(),
        source: None,
        source_version: None,
        selection: Default::default(),
        state: Default::default(),
        reinstall: false,
        relations: 0x1234_5678,
        multi_arch: 2,
        size_bytes: 0,
    }
}

pub fn inventory() -> InventoryDocument {
    let held = Package {
        source: Some("glibc".into()),
        source_version: Some("2.36-9".into()),
        selection: protocol::document::inventory::WireSelection::Hold,
        state: protocol::document::inventory::WireState::HalfConfigured,
        reinstall: true,
        multi_arch: 1,
        ..package("libc6", "2.36-9+b1")
    };
    InventoryDocument {
        packages: vec![package("bash", "5.2.15-2+b8"), held, package("sed", "4.9-1")],
    }
}

pub fn channel_config() -> ChannelConfigDocument {
    use domain::host::channels::*;
    let mut named = Stanza::new(
        "http://deb.example/debian/",
        "bookworm-security",
        &["main"],
        &["amd64"],
    );
    named.signed_by = SignedBy::Named {
        files: vec!["/usr/share/keyrings/debian-archive-keyring.gpg".into()],
        fingerprints: vec![FingerprintChoice {
            fingerprint: "A".repeat(40),
            subkeys: Subkeys::Excluded,
        }],
    };
    named.by_hash = Some(ByHash::Force);
    named.check_valid_until = Some(false);
    let mut inline = Stanza::new("https://inside.example/flat/", "./", &[], &["amd64"]);
    inline.signed_by = SignedBy::Inline("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n".into());
    inline.trust = Trust::Never;
    let config = ChannelConfig {
        native_architecture: "amd64".into(),
        foreign_architectures: vec!["i386".into()],
        stanzas: vec![named, inline],
        pins: vec![
            Pin {
                file: "/etc/apt/preferences".into(),
                line: 1,
                packages: vec!["*".into()],
                matcher: PinMatcher::Release("a=stable".into()),
                priority: PinPriority::Value(-1),
            },
            Pin {
                file: "/etc/apt/preferences".into(),
                line: 5,
                packages: vec!["bash".into(), "sed".into()],
                matcher: PinMatcher::Version("5.*".into()),
                priority: PinPriority::Never,
            },
        ],
        settings: Settings {
            check_date: false,
            phased: PhasedChoice::Always,
            ..Settings::default()
        },
    };
    let evidence = [StanzaEvidence {
        keys: vec![Sha256Digest([2; 32]), Sha256Digest([1; 32])],
        release: Some(ReleaseClaim {
            origin: Some("Debian".into()),
            label: Some("Debian-Security".into()),
            suite: Some("oldstable-security".into()),
            codename: Some("bookworm-security".into()),
        }),
    }];
    let problem = HostProblem {
        file: "/etc/apt/sources.list".into(),
        line: 3,
        what: "this line is no source".into(),
        effect: ProblemEffect::Skipped,
    };
    ChannelConfigDocument {
        problems: vec![problem],
        ..ChannelConfigDocument::of(&config, &evidence)
    }
}

pub fn host_facts() -> HostFacts {
    use domain::host::change::*;
    use domain::host::facts::*;
    use domain::host::hardware::*;
    use domain::host::kernel::*;
    use domain::host::network::*;
    use domain::host::updater::*;
    let text = |text: &str| Some(text.to_owned());
    let image = KernelImage {
        release: "6.1.0-25-amd64".into(),
        package: "linux-image-6.1.0-25-amd64".into(),
        version: "6.1.106-3".into(),
    };
    let change = PackageChange {
        package: "bash".into(),
        architecture: "amd64".into(),
        from: Some("5.1".into()),
        to: Some("5.2".into()),
    };
    let transaction = |by| Transaction {
        at_micros: 1_789_000_000_000_000,
        by,
        command: text("apt-get upgrade"),
        changes: vec![change.clone()],
        omitted: 2,
    };
    HostFacts {
        system: Facts {
            hostname: text("web1"),
            os_id: "debian".into(),
            os_name: "Debian GNU/Linux 12 (bookworm)".into(),
            os_version: "12.15".into(),
            os_codename: text("bookworm"),
            machine_id: text("0123456789abcdef0123456789abcdef"),
            kernel_release: text("6.1.0-9-amd64"),
        },
        packages: PackageDatabase::Dpkg,
        hardware: Hardware {
            cpu_model: text("A processor"),
            cpu_count: Some(2),
            memory_bytes: Some(8 << 30),
            vendor: text("Maker"),
            product: text("Thing"),
            serial: None,
        },
        virtualisation: Virtualisation::Machine { kind: "kvm".into() },
        kernels: Kernels {
            running: Some(RunningKernel {
                release: "6.1.0-9-amd64".into(),
                package_version: text("6.1.27-1"),
            }),
            installed: vec![image],
        },
        restart: Known::Known(PendingRestart {
            services: vec!["ssh.service".into()],
            programs: vec!["bash".into()],
            sight: Sight::Partial,
            reboot: vec![
                RebootReason::Kernel {
                    running: "6.1.0-9-amd64".into(),
                    installed: "6.1.0-25-amd64".into(),
                },
                RebootReason::Package("dbus".into()),
                RebootReason::Asked,
            ],
        }),
        interfaces: Known::Known(vec![Interface {
            name: "eth0".into(),
            link_address: text("02:00:00:00:00:01"),
            addresses: vec![InterfaceAddress {
                address: "2001:db8::5".parse().expect("an address"),
                prefix_length: 64,
            }],
        }]),
        neighbours: Known::Known(Neighbours {
            seen_at_micros: 1_789_999_000_000_000,
            neighbours: vec![Neighbour {
                address: "192.0.2.9".parse().expect("an address"),
                link_address: "02:00:00:00:00:02".into(),
                interface: "eth0".into(),
            }],
            omitted: 1,
        }),
        listening: Known::Known(vec![Listening {
            protocol: Transport::Tcp,
            port: 22,
            address: "0.0.0.0".parse().expect("an address"),
            program: text("sshd"),
            service: text("ssh.service"),
        }]),
        updaters: vec![Updater {
            name: "unattended-upgrades".into(),
            does: "security, daily".into(),
            effect: UpdaterEffect::Installs,
        }],
        history: History {
            transactions: vec![
                transaction(Author::Patchyard { order: "7".into() }),
                transaction(Author::Tool {
                    name: "ansible".into(),
                }),
                transaction(Author::Person {
                    login: "ada".into(),
                    program: "apt-get".into(),
                }),
                transaction(Author::Root {
                    program: "apt".into(),
                }),
                transaction(Author::Unrecorded),
            ],
            unread: vec!["history.log.2.gz was not read".into()],
        },
    }
}

pub fn unknown_facts() -> HostFacts {
    use domain::host::facts::*;
    use domain::host::hardware::*;
    HostFacts {
        packages: PackageDatabase::Rpm {
            why: "the database is rpm's own".into(),
        },
        virtualisation: Virtualisation::Container { kind: "lxc".into() },
        kernels: Default::default(),
        restart: Known::unknown("no running system"),
        interfaces: Known::unknown("no running system"),
        neighbours: Known::unknown("no running system"),
        listening: Known::unknown("no running system"),
        updaters: Vec::new(),
        history: Default::default(),
        ..host_facts()
    }
}

pub fn facts() -> FactsDocument {
    FactsDocument::from(&host_facts())
}
