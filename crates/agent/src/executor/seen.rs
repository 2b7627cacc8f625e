//! What a fresh reading of the host shows of an order: whether every version is in place, and what still runs old code. What
//! cannot be seen is never read as done.

use super::spool::{Outbox, SpoolError};
use crate::order::Seen;
use crate::session::upload::Shelf;
use domain::digest::Sha256Digest;
use domain::host::facts::{HostFacts, Known, PendingRestart, RebootReason, Sight};
use domain::host::inventory::{Inventory, PackageState};
use domain::order::{Order, RebootRule};
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentKind};
use protocol::limits;

/// Names that are told of several; the rest is counted.
const NAMED: usize = 5;

/// What the documents in the outbox show of an order.
pub(super) fn seen(outbox: Result<Outbox, SpoolError>, order: &Order) -> Seen {
    let read = outbox.map_err(|error| crate::problem::chain(&error));
    let shown = read.and_then(|outbox| {
        let inventory = document(&outbox, DocumentKind::Inventory)?;
        let inventory = InventoryDocument::parse_kept(&inventory).map_err(|error| error.to_string())?;
        let facts = document(&outbox, DocumentKind::Facts)?;
        let facts = FactsDocument::parse_kept(&facts).map_err(|error| error.to_string())?;
        Ok((Inventory::from(inventory), HostFacts::from(facts)))
    });
    match shown {
        Ok((inventory, facts)) => judge(order, &inventory, &facts.restart),
        Err(why) => Seen {
            missing: Some(format!("the host could not be read afterwards: {why}")),
            ..Seen::default()
        },
    }
}

fn document(outbox: &Outbox, kind: DocumentKind) -> Result<Vec<u8>, String> {
    let entry = outbox.list.documents.iter().find(|entry| entry.kind == kind);
    let digest = entry.and_then(|entry| entry.digest.parse::<Sha256Digest>().ok());
    let bytes = digest.and_then(|digest| outbox.read(kind, digest, 0, limits::BODY_BYTES));
    let (bytes, _) = bytes.ok_or("a document of it is missing")?;
    Ok(bytes)
}

/// The same, of what was read.
fn judge(order: &Order, inventory: &Inventory, restart: &Known<PendingRestart>) -> Seen {
    let state = |name: &str, architecture: &str| {
        let mut packages = inventory.packages.iter();
        packages.find(|package| &*package.name == name && &*package.architecture == architecture)
    };
    let is_whole = |name: &str, architecture: &str, version: &str| {
        state(name, architecture)
            .is_some_and(|found| found.state == PackageState::Installed && &*found.version == version)
    };
    let absent = (order.packages.iter())
        .filter(|package| !is_whole(&package.name, &package.architecture, &package.version))
        .map(|package| format!("{} {} is not installed", package.name, package.version));
    let left = (order.removals.iter())
        .filter(|removal| state(&removal.name, &removal.architecture).is_some())
        .map(|removal| format!("{} is still there", removal.name));
    let missing: Vec<String> = absent.chain(left).collect();
    let (old, reboot) = match restart {
        Known::Known(pending) => (old(pending), reboot(pending, order.reboot)),
        Known::Unknown { why } => (Some(format!("what still runs old code is unknown: {why}")), None),
    };
    Seen {
        missing: (!missing.is_empty()).then(|| some_of(&missing)),
        old,
        reboot,
    }
}

fn old(pending: &PendingRestart) -> Option<String> {
    let names: Vec<String> = (pending.services.iter())
        .chain(&pending.programs)
        .cloned()
        .collect();
    match (names.is_empty(), pending.sight) {
        (false, _) => Some(format!("replaced files are still run by {}", some_of(&names))),
        (true, Sight::Partial) => Some("not all processes could be looked at".to_owned()),
        (true, Sight::Whole) => None,
    }
}

/// Why the host has to restart. Services that still run old code by now are those that are not restarted alone: they are a
/// reason where the host may be restarted.
fn reboot(pending: &PendingRestart, rule: RebootRule) -> Option<String> {
    let mut reasons: Vec<String> = pending.reboot.iter().map(reason).collect();
    if rule != RebootRule::Never {
        reasons.extend(pending.services.iter().cloned());
    }
    (!reasons.is_empty()).then(|| format!("the host has to restart for {}", some_of(&reasons)))
}

fn reason(reason: &RebootReason) -> String {
    match reason {
        RebootReason::Kernel { running, installed } => format!("the kernel {installed} (it runs {running})"),
        RebootReason::Package(package) => package.clone(),
        RebootReason::Asked => "a package that does not say its name".to_owned(),
    }
}

fn some_of(names: &[String]) -> String {
    let rest = names.len().saturating_sub(NAMED);
    let named = names[..names.len() - rest].join(", ");
    if rest == 0 {
        return named;
    }
    format!("{named} and {rest} more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::host::inventory::{BuildFingerprint, InstalledPackage, ReinstallRequired, Selection};
    use domain::order::{Direction, OrderedPackage, RebootRule, Removal, Start, Window};

    fn installed(version: &str, state: PackageState) -> Inventory {
        let package = InstalledPackage {
            name: "tool".into(),
            architecture: "amd64".into(),
            version: version.into(),
            source: "tool".into(),
            source_version: version.into(),
            selection: Selection::Install,
            state,
            reinstall_required: ReinstallRequired::No,
            fingerprint: BuildFingerprint::default(),
        };
        Inventory {
            packages: vec![package],
        }
    }

    fn order() -> Order {
        Order {
            number: 1,
            epoch: 1,
            tenant: domain::id::TenantId([1; 16]),
            host: domain::id::HostId([1; 16]),
            change: domain::id::ChangeId([1; 16]),
            deployment: domain::id::DeploymentId([1; 16]),
            approved: Sha256Digest([1; 32]),
            direction: Direction::Forward,
            snapshots: Vec::new(),
            packages: vec![OrderedPackage {
                name: "tool".into(),
                architecture: "amd64".into(),
                version: "2".into(),
                from: None,
                sha256: Sha256Digest([1; 32]),
                size_bytes: 1,
            }],
            removals: Vec::new(),
            window: Window {
                opens: jiff::Timestamp::UNIX_EPOCH,
                closes: jiff::Timestamp::MAX,
            },
            needs: domain::host::mode::Mode::Install,
            start: Start::WithGo,
            reboot: RebootRule::Never,
        }
    }

    fn quiet() -> Known<PendingRestart> {
        Known::Known(PendingRestart::default())
    }

    #[test]
    fn only_what_a_reading_shows_whole_and_in_its_version_is_in_place() {
        let missing = |inventory: &Inventory| judge(&order(), inventory, &quiet()).missing;
        assert_eq!(missing(&installed("2", PackageState::Installed)), None);
        let others = [
            Inventory::default(),
            installed("1", PackageState::Installed),
            installed("2", PackageState::Unpacked),
            installed("2", PackageState::HalfConfigured),
        ];
        for other in &others {
            assert_eq!(missing(other).as_deref(), Some("tool 2 is not installed"));
        }
        let mut removing = order();
        removing.packages.clear();
        removing.removals.push(Removal {
            name: "tool".into(),
            architecture: "amd64".into(),
        });
        let left = judge(&removing, &installed("1", PackageState::Installed), &quiet()).missing;
        assert_eq!(left.as_deref(), Some("tool is still there"));
        assert_eq!(judge(&removing, &Inventory::default(), &quiet()).missing, None);
    }

    #[test]
    fn what_cannot_be_seen_of_old_code_is_never_read_as_nothing() {
        let inventory = installed("2", PackageState::Installed);
        let seen = |restart: Known<PendingRestart>| judge(&order(), &inventory, &restart);
        assert_eq!(seen(quiet()), Seen::default());
        assert!(seen(Known::unknown("it is a file tree")).old.is_some());
        let partial = PendingRestart {
            sight: Sight::Partial,
            ..PendingRestart::default()
        };
        assert!(seen(Known::Known(partial)).old.is_some());
        let pending = PendingRestart {
            services: (1..8).map(|number| format!("s{number}.service")).collect(),
            reboot: vec![RebootReason::Asked],
            ..PendingRestart::default()
        };
        let seen = seen(Known::Known(pending));
        let old = "replaced files are still run by s1.service, s2.service, s3.service, s4.service, s5.service and 2 more";
        assert_eq!(seen.old.as_deref(), Some(old));
        assert!(seen.reboot.is_some());
    }

    #[test]
    fn a_service_that_is_not_restarted_alone_is_a_reason_for_the_host_to_restart_where_it_may() {
        let inventory = installed("2", PackageState::Installed);
        let logind = || {
            Known::Known(PendingRestart {
                services: vec!["systemd-logind.service".to_owned()],
                ..PendingRestart::default()
            })
        };
        assert_eq!(
            judge(&order(), &inventory, &logind()).reboot,
            None,
            "its rule is never"
        );
        let rebooting = Order {
            reboot: RebootRule::IfNeeded { notice_seconds: 0 },
            ..order()
        };
        let seen = judge(&rebooting, &inventory, &logind());
        assert!(seen.reboot.is_some_and(|why| why.contains("systemd-logind")));
        assert_eq!(judge(&rebooting, &inventory, &quiet()).reboot, None);
    }

    #[test]
    fn an_outbox_without_a_reading_shows_nothing_in_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = crate::service::Places {
            state: folder.path().to_owned(),
            settings: folder.path().join("agent.toml"),
        };
        let seen = seen(Outbox::open(&places), &order());
        assert!(seen.missing.is_some_and(|why| why.contains("could not be read")));
    }
}
