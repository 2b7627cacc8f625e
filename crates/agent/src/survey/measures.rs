//! What of a host changes by itself: its boot, clocks, free space and load.

use super::proc::head;
use super::virtualisation::virtualisation;
use crate::tree::Tree;
use domain::host::measures::{ClockKeeping, Disk, Measures};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

/// Where updates need room: the system, kernels, dpkg's state, downloads.
const PATHS: [&str; 6] = ["/", "/boot", "/boot/efi", "/usr", "/var", "/var/cache/apt"];

/// A time service and the file that it touches whenever it knows the clock to be right.
struct TimeService {
    name: &'static str,
    /// Exists while it runs.
    runs: &'static [&'static str],
    /// Written when it has set or checked the clock.
    set: &'static [&'static str],
}

const TIME_SERVICES: [TimeService; 3] = [
    TimeService {
        name: "systemd-timesyncd",
        runs: &["/run/systemd/timesync"],
        set: &["/run/systemd/timesync/synchronized"],
    },
    TimeService {
        name: "chrony",
        runs: &["/run/chrony/chronyd.pid", "/run/chronyd.pid"],
        set: &["/var/lib/chrony/chrony.drift", "/var/lib/chrony/drift"],
    },
    TimeService {
        name: "ntpsec",
        runs: &["/run/ntpd.pid"],
        set: &["/var/lib/ntpsec/ntp.drift", "/var/lib/ntp/ntp.drift"],
    },
];

/// Looks once. `now_micros` is the host's own clock. A file tree has no measures.
pub fn measures(tree: &Tree, now_micros: i64) -> Measures {
    if !tree.is_live() {
        return Measures {
            clock_micros: now_micros,
            ..Measures::default()
        };
    }
    let uptime_micros = head(tree, "/proc/uptime")
        .and_then(|text| decimal(&text, 6))
        .unwrap_or(0);
    let load = head(tree, "/proc/loadavg").and_then(|text| decimal(&text, 3));
    Measures {
        boot_id: head(tree, "/proc/sys/kernel/random/boot_id").and_then(|text| crate::facts::fact(&text)),
        boot_clock_micros: uptime_micros,
        clock_micros: now_micros,
        clock: clock(tree, now_micros.saturating_sub(uptime_micros)),
        disks: disks(),
        load_milli: load.and_then(|load| u32::try_from(load).ok()),
    }
}

fn clock(tree: &Tree, booted_micros: i64) -> ClockKeeping {
    let exists = |path: &&str| matches!(tree.kind(path), Ok(Some(_)));
    let Some(service) = TIME_SERVICES
        .iter()
        .find(|service| service.runs.iter().any(exists))
    else {
        return match virtualisation(tree).is_container() {
            true => ClockKeeping::Machine,
            false => ClockKeeping::Unknown,
        };
    };
    let modified = |path: &&str| {
        let facts = std::fs::metadata(tree.outside(path)).ok()?;
        let micros = facts.mtime().checked_mul(1_000_000)?;
        micros.checked_add(facts.mtime_nsec() / 1_000)
    };
    let latest = service.set.iter().filter_map(modified).max();
    match latest.filter(|&at| at >= booted_micros) {
        Some(at_micros) => ClockKeeping::Synchronised {
            by: service.name.to_owned(),
            at_micros,
        },
        None => ClockKeeping::NotYet {
            by: service.name.to_owned(),
        },
    }
}

/// Each file system once, by the first path that lies on it.
fn disks() -> Vec<Disk> {
    let mut seen = BTreeSet::new();
    let disk = |path: &str| {
        let device = std::fs::metadata(path).ok()?.dev();
        if !seen.insert(device) {
            return None;
        }
        let room = rustix::fs::statvfs(path).ok()?;
        Some(Disk {
            path: path.to_owned(),
            total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
            available_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            available_files: (room.f_files > 0).then_some(room.f_favail),
        })
    };
    PATHS.into_iter().filter_map(disk).collect()
}

/// The first number of a text such as `350735.47 234388.90`, in units of 10^-`digits`.
fn decimal(text: &str, digits: usize) -> Option<i64> {
    let number = text.split_whitespace().next()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let padded: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(digits)
        .collect();
    let scale = 10_i64.checked_pow(u32::try_from(digits).ok()?)?;
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(scale)?.checked_add(padded.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_is_read_without_rounding() {
        assert_eq!(decimal("350735.47 234388.90\n", 6), Some(350_735_470_000));
        assert_eq!(decimal("0.05 0.10 0.2 1/100 7\n", 3), Some(50));
        assert_eq!(decimal("7", 3), Some(7_000));
        for nonsense in ["", "x", "1.x", "99999999999999999999"] {
            assert_eq!(decimal(nonsense, 6), None, "{nonsense:?}");
        }
    }
}
