//! The whole executor in a Debian of its own, as root, with a real apt and dpkg: an order that lies there is carried out exactly,
//! and whoever is killed meanwhile, it comes to one truthful end. Nobody is there but what the network process left before.

use super::Issuer;
use crate::packages::room::{Room, archive, ordered, room, update};
use agent::executor::asks::{Ask, leave};
use agent::executor::spool::{Board, Outbox, make_folders};
use agent::mode::{self, Mode};
use agent::service::{Account, NOBODY, Places, ROOT_STATE};
use agent::session::upload::Shelf;
use domain::digest::Sha256Digest;
use domain::order::{Order, Start, Window};
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::message::orders::{FailureKind, OrderReport, Stage};
use protocol::order::{ApprovalDocument, Bundle};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;
use testkit::archive::package::Package;

/// A host in its room, with an order for it.
struct Yard {
    issuer: Issuer,
    order: Order,
    bundle: Bundle,
}

/// The executor at work.
struct Running {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Running {
    fn start() -> Self {
        let mut command = Command::new("/usr/bin/patchyard-agent");
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Reads along until this is said; gives everything before.
    fn until(&mut self, words: &[&str]) -> String {
        let mut all = String::new();
        loop {
            let from = all.len();
            let read = self.said.read_line(&mut all).unwrap();
            assert!(read > 0, "the executor ended: {all}");
            if words.iter().any(|words| all[from..].contains(words)) {
                return all;
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Another process works meanwhile, and tells nobody.
fn pause(millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the executor goes by the real date of this machine"
)]
fn today() -> Timestamp {
    Timestamp::now()
}

impl Yard {
    /// tool 1 becomes tool 2; begun as soon as it may.
    fn open(room: &Room, new: &Package) -> Self {
        let places = Places {
            state: ROOT_STATE.into(),
            settings: "/etc/patchyard-agent/agent.toml".into(),
        };
        let network = Account {
            uid: NOBODY,
            gid: NOBODY,
        };
        make_folders(&places, Some(network)).unwrap();
        mode::set(&places, Mode::Install).unwrap();
        let issuer = Issuer::at(places);
        let published = archive([new.clone()]);
        let mut yard = Self {
            order: issuer.order(7),
            bundle: issuer.bundle(&issuer.order(7)),
            issuer,
        };
        yard.order.start = Start::OfflineOk;
        yard.order.snapshots = vec![room.fetch(&published)];
        yard.order.packages = vec![ordered(new, Some("1"))];
        yard.order.window = Window {
            opens: today() - SignedDuration::from_hours(1),
            closes: today() + SignedDuration::from_hours(1),
        };
        yard.approve(new);
        yard.leave(&yard.bundle.to_bytes());
        yard.offer();
        yard
    }

    fn approve(&mut self, new: &Package) {
        let mut approval = self.issuer.approval();
        approval.release.updates = vec![update(new)];
        approval.snapshots = vec![self.order.snapshots[0].release];
        approval.not_after = self.order.window.closes;
        let bytes = ApprovalDocument::bytes_of(&approval);
        self.order.approved = protocol::sha256(&bytes);
        self.bundle = Bundle {
            approval: bytes,
            ..self.issuer.bundle(&self.order)
        };
    }

    /// Lays a file where the network process would.
    fn leave(&self, bytes: &[u8]) {
        let folder = self.issuer.places.files();
        let name = protocol::sha256(bytes).to_string();
        let part = folder.join(format!(".{name}"));
        fs::write(&part, bytes).unwrap();
        chown(&part, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::rename(&part, folder.join(name)).unwrap();
    }

    /// The same with all files that the executor wants, as soon as it does: the network process keeps no others.
    fn deliver(&self, room: &Room) {
        let wants = || Board::open(&self.issuer.places).unwrap().wants;
        for _ in 0..3_000 {
            let wants = wants();
            if !wants.is_empty() {
                let wanted = wants
                    .iter()
                    .map(|wish| fs::read(room.file(&wish.digest)).unwrap());
                return wanted.for_each(|bytes| self.leave(&bytes));
            }
            pause(10);
        }
        panic!(
            "the executor wants nothing: {:?}",
            Board::open(&self.issuer.places)
        );
    }

    fn offer(&self) {
        let ask = Ask::Order {
            bundle: protocol::sha256(&self.bundle.to_bytes()),
        };
        let folder = self.issuer.places.asks();
        leave(&folder, &ask).unwrap();
        chown(folder.join(ask.name()), Some(NOBODY), Some(NOBODY)).unwrap();
    }

    fn name(&self) -> Sha256Digest {
        protocol::sha256(&self.bundle.order)
    }

    /// What is told of the order in the end, which is said before it is told.
    fn report(&self) -> OrderReport {
        for _ in 0..1_000 {
            let board = Board::open(&self.issuer.places).unwrap();
            let reports: Vec<_> = board
                .reports
                .iter()
                .filter(|own| own.order == self.name())
                .collect();
            assert!(reports.len() <= 1, "{board:?}");
            if let Some(report) = reports.first().filter(|report| report.stage.is_end()) {
                return (*report).clone();
            }
            pause(10);
        }
        panic!("it has no end: {:?}", Board::open(&self.issuer.places));
    }

    fn output(&self, report: &OrderReport) -> String {
        let outbox = Outbox::open(&self.issuer.places).unwrap();
        let read = outbox.read(DocumentKind::Output, report.output.unwrap(), 0, 1 << 20);
        String::from_utf8(read.unwrap().0).unwrap()
    }
}

/// What dpkg's log has to say afterwards.
const UPGRADED: [&str; 2] = ["install tool:amd64 <none> 1", "upgrade tool:amd64 1 2"];
const ENDS: [&str; 4] = ["is in effect", "failed:", "Refused order", "is installed, and"];

#[test]
fn an_order_that_lies_there_is_carried_out_told_and_seen_by_a_fresh_reading() {
    room(|room| {
        room.install(&Package::new("tool", "1"));
        let yard = Yard::open(room, &Package::new("tool", "2"));
        let mut running = Running::start();
        yard.deliver(room);
        let said = running.until(&ENDS);
        let report = yard.report();
        running.kill();
        assert!(
            matches!(report.stage, Stage::Succeeded | Stage::NotInEffect),
            "{report:?}\n{said}"
        );
        assert_eq!(room.state("tool"), "2 installed");
        assert_eq!(room.unpacked(), UPGRADED);
        assert!(yard.output(&report).contains("Unpacking tool"), "{report:?}");
        let shown = room.run(&["sh", "-c", "patchyard-agent status || true"]);
        assert!(shown.contains("Order          7: "), "{shown}");
        // Whoever says it again is not followed again.
        yard.offer();
        let running = Running::start();
        yard.offer();
        running.kill();
        assert_eq!(room.unpacked(), UPGRADED);
        assert_eq!(yard.report(), report);
    });
}

#[test]
fn an_order_above_the_ceiling_is_refused_by_the_command_that_raises_it() {
    room(|room| {
        room.install(&Package::new("tool", "1"));
        let yard = Yard::open(room, &Package::new("tool", "2"));
        mode::set(&yard.issuer.places, Mode::Monitor).unwrap();
        let mut running = Running::start();
        running.until(&ENDS);
        let report = yard.report();
        running.kill();
        assert_eq!(report.failure, Some(FailureKind::Refused));
        assert!(
            report.detail.contains("sudo patchyard-agent mode install"),
            "{report:?}"
        );
        assert_eq!(room.state("tool"), "1 installed");
    });
}

#[test]
fn a_damaged_journal_stops_all_orders_and_is_told() {
    room(|room| {
        room.install(&Package::new("tool", "1"));
        let yard = Yard::open(room, &Package::new("tool", "2"));
        let journal = yard.issuer.places.work().join("journal");
        fs::write(&journal, "patchyard-agent orders 1 00\n{}").unwrap();
        fs::set_permissions(&journal, fs::Permissions::from_mode(0o600)).unwrap();
        let mut running = Running::start();
        running.until(&["No order is followed before this is mended"]);
        let told = || Board::open(&yard.issuer.places).unwrap().troubles;
        for _ in 0..1_000 {
            if !told().is_empty() {
                break;
            }
            pause(10);
        }
        running.kill();
        assert!(told()[0].contains("is not whole"), "{:?}", told());
        let shown = room.run(&["sh", "-c", "patchyard-agent status || true"]);
        assert!(
            shown.contains("No order is followed before this is mended"),
            "{shown}"
        );
        assert_eq!(room.unpacked().len(), 1);
    });
}

#[test]
fn a_script_that_fails_is_told_by_its_package_and_its_own_words() {
    room(|room| {
        room.install(&Package::new("tool", "1"));
        let new = Package::new("tool", "2").script(
            "postinst",
            "#!/bin/sh\necho the disk of the moon is full\nexit 3\n",
        );
        let yard = Yard::open(room, &new);
        let mut running = Running::start();
        yard.deliver(room);
        running.until(&ENDS);
        let report = yard.report();
        running.kill();
        assert_eq!(
            (report.stage, report.failure),
            (Stage::Failed, Some(FailureKind::Script))
        );
        assert!(report.detail.contains("tool"), "{report:?}");
        assert!(yard.output(&report).contains("the disk of the moon is full"));
    });
}

/// The executor is killed again and again, at any point; the transaction is not, for it is not the executor's child.
#[test]
fn an_executor_that_is_killed_again_and_again_brings_the_order_to_one_end() {
    room(|room| {
        room.install(&Package::new("tool", "1"));
        let yard = Yard::open(room, &Package::new("tool", "2"));
        let mut random = StdRng::seed_from_u64(u64::from(std::process::id()));
        let mut ended = false;
        for round in 0..40 {
            let mut running = Running::start();
            if round == 0 {
                yard.deliver(room);
            }
            let (told, heard) = std::sync::mpsc::channel();
            let mut said = running.said;
            std::thread::spawn(move || {
                let mut line = String::new();
                while said.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if ENDS.iter().any(|words| line.contains(words)) {
                        let _ = told.send(());
                    }
                }
            });
            // At last it may finish.
            let patience = if round < 25 {
                random.gen_range(20..900)
            } else {
                60_000
            };
            let in_time = heard.recv_timeout(Duration::from_millis(patience));
            if in_time.is_ok() {
                yard.report();
            }
            running.child.kill().unwrap();
            running.child.wait().unwrap();
            ended = in_time.is_ok();
            if ended {
                break;
            }
            yard.offer();
        }
        let report = yard.report();
        assert!(ended, "{report:?}");
        assert!(
            matches!(report.stage, Stage::Succeeded | Stage::NotInEffect),
            "{report:?}"
        );
        assert_eq!(room.state("tool"), "2 installed");
        assert_eq!(room.unpacked(), UPGRADED);
    });
}
