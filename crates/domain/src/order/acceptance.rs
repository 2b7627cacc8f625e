//! Whether a host takes an order: for it, in turn, in time, below its ceiling. What the packages are to apt is judged
//! later, by [`super::transaction`].

use super::{Order, OrderedPackage};
use crate::host::mode::Mode;
use crate::id::{HostId, TenantId};
use jiff::{SignedDuration, Timestamp};

/// Packages of an order at most.
pub const MAX_PACKAGES: usize = 20_000;
/// The longest time from now to the end of an order's window, in days: what was approved longer ago is approved again.
pub const LONGEST_DAYS: i64 = 400;

/// What a host knows of itself when an order comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// Who it is.
    pub host: HostId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The highest number of an order that it has seen, carried out or not.
    pub highest_number: u64,
    /// The highest epoch that it has heard of.
    pub epoch: u64,
    /// What it lets a server do.
    pub mode: Mode,
}

/// Why an order is not taken.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotTaken {
    /// For another host or tenant.
    #[error("the order is for another host")]
    OtherHost,
    /// From a life of the server that is over.
    #[error("the order is from before the server was restored")]
    OldEpoch,
    /// Seen before, or older than one that was.
    #[error("the order has number {number}, and number {highest} was already seen here")]
    OldNumber {
        /// Its number.
        number: u64,
        /// The highest so far.
        highest: u64,
    },
    /// Its window is over.
    #[error("the order's time ended {seconds_ago} s ago")]
    Over {
        /// How long ago, in seconds.
        seconds_ago: i64,
    },
    /// Its window ends later than anybody approves for.
    #[error("the order would be good for more than {LONGEST_DAYS} days")]
    TooLong,
    /// It wants more than the host allows.
    #[error(
        "the order needs mode {needs}, and this host is in mode {mode}; `sudo patchyard-agent mode {needs}` raises it"
    )]
    AboveCeiling {
        /// What it needs.
        needs: Mode,
        /// What there is.
        mode: Mode,
    },
    /// It contradicts itself.
    #[error("the order cannot be right: {0}")]
    Malformed(&'static str),
}

/// Whether the host takes the order now.
///
/// # Errors
/// [`NotTaken`]; nothing of the order has any effect then, not even its number.
pub fn take(order: &Order, addressee: &Addressee, now: Timestamp) -> Result<(), NotTaken> {
    if order.host != addressee.host || order.tenant != addressee.tenant {
        return Err(NotTaken::OtherHost);
    }
    if order.epoch < addressee.epoch {
        return Err(NotTaken::OldEpoch);
    }
    if order.number <= addressee.highest_number {
        return Err(NotTaken::OldNumber {
            number: order.number,
            highest: addressee.highest_number,
        });
    }
    is_sound(order).map_err(NotTaken::Malformed)?;
    let left = order.window.closes.duration_since(now);
    if left <= SignedDuration::ZERO {
        return Err(NotTaken::Over {
            seconds_ago: -left.as_secs(),
        });
    }
    if left > SignedDuration::from_hours(24 * LONGEST_DAYS) {
        return Err(NotTaken::TooLong);
    }
    if order.needs > addressee.mode {
        return Err(NotTaken::AboveCeiling {
            needs: order.needs,
            mode: addressee.mode,
        });
    }
    Ok(())
}

fn is_sound(order: &Order) -> Result<(), &'static str> {
    if order.packages.is_empty() && order.removals.is_empty() {
        return Err("it changes nothing");
    }
    if order.packages.len() > MAX_PACKAGES || order.removals.len() > MAX_PACKAGES {
        return Err("it has too many packages");
    }
    let key = |package: &OrderedPackage| (package.name.clone(), package.architecture.clone());
    if !order.packages.is_sorted_by(|one, next| key(one) < key(next)) {
        return Err("its packages are not in order, or one stands twice");
    }
    if !(order.removals)
        .is_sorted_by(|one, next| (&one.name, &one.architecture) < (&next.name, &next.architecture))
    {
        return Err("its removals are not in order, or one stands twice");
    }
    if order.snapshots.is_empty() && !order.packages.is_empty() {
        return Err("its packages come from nowhere");
    }
    let paths = order.snapshots.iter().flat_map(|snapshot| &snapshot.indexes);
    if !paths.map(|index| &*index.path).all(is_inside) {
        return Err("an index file of it lies outside its snapshot");
    }
    if order.window.opens >= order.window.closes {
        return Err("its window closes before it opens");
    }
    if order
        .packages
        .iter()
        .any(|package| package.from.as_ref() == Some(&package.version))
    {
        return Err("a package would replace itself");
    }
    let restarts = matches!(order.reboot, super::RebootRule::IfNeeded { .. });
    if order.needs < Mode::Install || (restarts && order.needs < Mode::Full) {
        return Err("it needs more than it says");
    }
    Ok(())
}

/// Whether a path stays below where it starts: it becomes the name of a file.
fn is_inside(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._~".contains(&byte);
    path.split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain))
}
