//! Hosts as nobody ever had them: every field at random, with texts that a format could trip over.

use domain::digest::Sha256Digest;
use domain::host::change::{Author, History, PackageChange, Transaction};
use domain::host::channels::{
    ByHash, ChannelConfig, FingerprintChoice, PhasedChoice, Pin, PinMatcher, PinPriority, Settings, SignedBy,
    Stanza, Subkeys, Trust,
};
use domain::host::facts::{Facts, HostFacts, Known, PackageDatabase, PendingRestart, RebootReason, Sight};
use domain::host::hardware::{Hardware, Virtualisation};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, Inventory, PackageState, ReinstallRequired, Selection,
};
use domain::host::kernel::{KernelImage, Kernels, RunningKernel};
use domain::host::network::{Interface, InterfaceAddress, Listening, Neighbour, Neighbours, Transport};
use domain::host::updater::{Updater, UpdaterEffect};
use protocol::document::channels::{ReleaseClaim, StanzaEvidence};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

const TEXTS: [&str; 12] = [
    "",
    "plain",
    "two words",
    "quote \" and \\ back",
    "line\nbreak",
    "\u{1b}[31m",
    "\u{202e}right",
    "ümläut",
    "<b>&amp;</b>",
    "=1+1",
    "null",
    "\u{1f600}",
];

fn text(random: &mut StdRng) -> String {
    TEXTS
        .choose(random)
        .map(|text| (*text).to_owned())
        .unwrap_or_default()
}

fn boxed(random: &mut StdRng) -> Box<str> {
    text(random).into()
}

fn maybe<T>(random: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    random.r#gen::<bool>().then(|| make(random))
}

fn some<T>(random: &mut StdRng, mut make: impl FnMut(&mut StdRng) -> T) -> Vec<T> {
    (0..random.gen_range(0..4)).map(|_| make(random)).collect()
}

fn one_of<T: Copy>(random: &mut StdRng, choices: &[T]) -> T {
    *choices.choose(random).unwrap()
}

fn known<T>(random: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Known<T> {
    match maybe(random, make) {
        Some(value) => Known::Known(value),
        None => Known::unknown(text(random)),
    }
}

fn address(random: &mut StdRng) -> std::net::IpAddr {
    if random.r#gen() {
        random.r#gen::<[u8; 4]>().into()
    } else {
        random.r#gen::<[u8; 16]>().into()
    }
}

pub fn inventory(random: &mut StdRng) -> Inventory {
    let mut packages: Vec<InstalledPackage> = (0..random.gen_range(0..30))
        .map(|number| InstalledPackage {
            name: format!("p{:02}{}", number, text(random)).into(),
            architecture: boxed(random),
            version: boxed(random),
            source: boxed(random),
            source_version: boxed(random),
            selection: one_of(
                random,
                &[
                    Selection::Unknown,
                    Selection::Install,
                    Selection::Hold,
                    Selection::Deinstall,
                    Selection::Purge,
                ],
            ),
            state: one_of(
                random,
                &[
                    PackageState::Installed,
                    PackageState::HalfInstalled,
                    PackageState::Unpacked,
                    PackageState::HalfConfigured,
                    PackageState::TriggersAwaited,
                    PackageState::TriggersPending,
                ],
            ),
            reinstall_required: one_of(random, &[ReinstallRequired::Yes, ReinstallRequired::No]),
            fingerprint: BuildFingerprint {
                relations: random.r#gen(),
                multi_arch: random.gen_range(0..4),
                size_bytes: random.r#gen(),
            },
        })
        .collect();
    packages.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    packages.dedup_by(|one, other| (&one.name, &one.architecture) == (&other.name, &other.architecture));
    Inventory { packages }
}

pub fn channels(random: &mut StdRng) -> (ChannelConfig, Vec<StanzaEvidence>) {
    let stanzas = some(random, stanza);
    let evidence = stanzas.iter().map(|_| evidence(random)).collect();
    let config = ChannelConfig {
        native_architecture: text(random),
        foreign_architectures: some(random, text),
        stanzas,
        pins: some(random, pin),
        settings: Settings {
            default_release: maybe(random, text),
            phased: one_of(
                random,
                &[
                    PhasedChoice::ByMachineId,
                    PhasedChoice::Always,
                    PhasedChoice::Never,
                ],
            ),
            phase_policy: random.r#gen(),
            ignore_hold: random.r#gen(),
            check_valid_until: random.r#gen(),
            check_date: random.r#gen(),
            max_valid_seconds: random.r#gen(),
            min_valid_seconds: random.r#gen(),
        },
    };
    (config, evidence)
}

fn evidence(random: &mut StdRng) -> StanzaEvidence {
    let mut keys = some(random, |random| Sha256Digest(random.r#gen()));
    keys.sort();
    StanzaEvidence {
        keys,
        release: maybe(random, |random| ReleaseClaim {
            origin: maybe(random, text),
            label: maybe(random, text),
            suite: maybe(random, text),
            codename: maybe(random, text),
        }),
    }
}

fn stanza(random: &mut StdRng) -> Stanza {
    Stanza {
        file: text(random),
        line: random.r#gen(),
        uri: "http://deb.example/debian/".to_owned(),
        suite: text(random),
        components: some(random, text),
        architectures: some(random, text),
        signed_by: match random.gen_range(0..3) {
            0 => SignedBy::Common,
            1 => SignedBy::Inline(text(random)),
            _ => SignedBy::Named {
                files: some(random, text),
                fingerprints: some(random, |random| FingerprintChoice {
                    fingerprint: "A".repeat(40),
                    subkeys: one_of(random, &[Subkeys::Included, Subkeys::Excluded]),
                }),
            },
        },
        trust: one_of(random, &[Trust::Signature, Trust::Always, Trust::Never]),
        check_valid_until: maybe(random, Rng::r#gen),
        valid_until_min_seconds: maybe(random, Rng::r#gen),
        valid_until_max_seconds: maybe(random, Rng::r#gen),
        check_date: maybe(random, Rng::r#gen),
        date_max_future_seconds: maybe(random, Rng::r#gen),
        weakened: random.r#gen(),
        by_hash: maybe(random, |random| {
            one_of(random, &[ByHash::Yes, ByHash::No, ByHash::Force])
        }),
    }
}

fn pin(random: &mut StdRng) -> Pin {
    let matchers = [
        PinMatcher::Version,
        PinMatcher::SourceVersion,
        PinMatcher::Release,
        PinMatcher::Origin,
    ];
    Pin {
        file: text(random),
        line: random.r#gen(),
        packages: some(random, text),
        matcher: one_of(random, &matchers)(text(random)),
        priority: match random.gen_range(-32_767..=32_767) {
            0 => PinPriority::Never,
            priority => PinPriority::Value(priority),
        },
    }
}

pub fn facts(random: &mut StdRng) -> HostFacts {
    HostFacts {
        system: Facts {
            hostname: maybe(random, text),
            os_id: text(random),
            os_name: text(random),
            os_version: text(random),
            os_codename: maybe(random, text),
            machine_id: maybe(random, text),
            kernel_release: maybe(random, text),
        },
        packages: match random.gen_range(0..3) {
            0 => PackageDatabase::Dpkg,
            1 => PackageDatabase::Rpm { why: text(random) },
            _ => PackageDatabase::Unknown { why: text(random) },
        },
        hardware: Hardware {
            cpu_model: maybe(random, text),
            cpu_count: maybe(random, Rng::r#gen),
            memory_bytes: maybe(random, Rng::r#gen),
            vendor: maybe(random, text),
            product: maybe(random, text),
            serial: maybe(random, text),
        },
        virtualisation: match random.gen_range(0..4) {
            0 => Virtualisation::Physical,
            1 => Virtualisation::Unknown,
            2 => Virtualisation::Machine { kind: text(random) },
            _ => Virtualisation::Container { kind: text(random) },
        },
        kernels: Kernels {
            running: maybe(random, |random| RunningKernel {
                release: text(random),
                package_version: maybe(random, text),
            }),
            installed: some(random, |random| KernelImage {
                release: text(random),
                package: text(random),
                version: text(random),
            }),
        },
        restart: known(random, restart),
        interfaces: known(random, |random| some(random, interface)),
        neighbours: known(random, neighbours),
        listening: known(random, |random| some(random, listening)),
        updaters: some(random, |random| Updater {
            name: text(random),
            does: text(random),
            effect: one_of(
                random,
                &[
                    UpdaterEffect::Installs,
                    UpdaterEffect::InstallsNothing,
                    UpdaterEffect::Configures,
                ],
            ),
        }),
        history: History {
            transactions: some(random, transaction),
            unread: some(random, text),
        },
    }
}

fn restart(random: &mut StdRng) -> PendingRestart {
    PendingRestart {
        services: some(random, text),
        programs: some(random, text),
        sight: one_of(random, &[Sight::Whole, Sight::Partial]),
        reboot: some(random, |random| match random.gen_range(0..3) {
            0 => RebootReason::Asked,
            1 => RebootReason::Package(text(random)),
            _ => RebootReason::Kernel {
                running: text(random),
                installed: text(random),
            },
        }),
    }
}

fn interface(random: &mut StdRng) -> Interface {
    Interface {
        name: text(random),
        link_address: maybe(random, text),
        addresses: some(random, |random| InterfaceAddress {
            address: address(random),
            prefix_length: random.r#gen(),
        }),
    }
}

fn neighbours(random: &mut StdRng) -> Neighbours {
    Neighbours {
        seen_at_micros: random.r#gen(),
        neighbours: some(random, |random| Neighbour {
            address: address(random),
            link_address: text(random),
            interface: text(random),
        }),
        omitted: random.r#gen(),
    }
}

fn listening(random: &mut StdRng) -> Listening {
    Listening {
        protocol: one_of(random, &[Transport::Tcp, Transport::Udp]),
        port: random.r#gen(),
        address: address(random),
        program: maybe(random, text),
        service: maybe(random, text),
    }
}

fn transaction(random: &mut StdRng) -> Transaction {
    Transaction {
        at_micros: random.r#gen(),
        by: match random.gen_range(0..5) {
            0 => Author::Patchyard { order: text(random) },
            1 => Author::Tool { name: text(random) },
            2 => Author::Person {
                login: text(random),
                program: text(random),
            },
            3 => Author::Root {
                program: text(random),
            },
            _ => Author::Unrecorded,
        },
        command: maybe(random, text),
        changes: some(random, |random| PackageChange {
            package: boxed(random),
            architecture: boxed(random),
            from: maybe(random, boxed),
            to: maybe(random, boxed),
        }),
        omitted: random.r#gen(),
    }
}
