//! One verdict for each distinct pair of channels and package, found when it is first asked for.

use super::hosts::ChannelsNo;
use super::packages::PackageId;
use crate::catalog::update::Classification;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The number of an update, given by whoever judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateNo(pub u32);

/// What one package adds to the findings of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageVerdict {
    /// Nothing: it is current or ahead, or there is no candidate.
    Settled,
    /// The update is missing; of this kind to a host that has these channels and this package. It may be a security update
    /// to one that skips a version of a security suite on its way to it, and to another not.
    Missing(UpdateNo, Classification),
    /// No synced, verified source answers for it: its host is unknown.
    Unknown,
}

/// The verdicts, as a rule gives them. The rule has to give equal answers to equal questions; it is asked once for a
/// pair, or once by each of several threads that ask for the same pair at the same moment.
pub struct VerdictTable<Rule> {
    rule: Rule,
    packages: usize,
    channels: Vec<Pages>,
    updates: Mutex<Updates>,
}

/// The verdicts of one channels, by the halves of a package's number; a page is made when its first package is met.
type Pages = Box<[OnceLock<Box<Page>>]>;

/// The verdicts of 65,536 packages that have the upper half of their number in common.
pub(super) type Page = [AtomicU32; PAGE];
const PAGE: usize = 1 << 16;

/// A verdict as a number, so that a page is small and can be filled by several threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    pub(super) const UNASKED: Self = Self(0);
    pub(super) const SETTLED: Self = Self(1);
    pub(super) const UNKNOWN: Self = Self(2);
    const FIRST_UPDATE: u32 = 3;

    /// The place of the missing update among the table's updates.
    #[inline]
    pub(super) fn update(self) -> Option<usize> {
        self.missing().map(|(place, _)| place as usize)
    }

    /// A number and a kind of update.
    pub(super) fn of_update(number: u32, class: Classification) -> Self {
        let room = number.checked_mul(2).and_then(|number| {
            number.checked_add(Self::FIRST_UPDATE + u32::from(class == Classification::Security))
        });
        Self(room.expect("memory ends before 2^31 updates"))
    }

    /// The same again.
    #[inline]
    pub(super) fn missing(self) -> Option<(u32, Classification)> {
        let packed = self.0.checked_sub(Self::FIRST_UPDATE)?;
        let class = match packed % 2 {
            0 => Classification::Other,
            _ => Classification::Security,
        };
        Some((packed / 2, class))
    }
}

/// The updates that some package misses, in the order in which they were met.
#[derive(Default)]
struct Updates {
    places: BTreeMap<UpdateNo, u32>,
    numbers: Vec<UpdateNo>,
}

impl<Rule: Fn(ChannelsNo, PackageId) -> PackageVerdict> VerdictTable<Rule> {
    /// An empty table for channels numbered from 0 to `channels` − 1 and packages numbered from 0 to `packages` − 1.
    /// What lies outside is unknown.
    pub fn new(channels: usize, packages: usize, rule: Rule) -> Self {
        let pages = || (0..packages.div_ceil(PAGE)).map(|_| OnceLock::new()).collect();
        Self {
            rule,
            packages,
            channels: (0..channels).map(|_| pages()).collect(),
            updates: Mutex::default(),
        }
    }

    /// The verdict on a package under channels.
    pub fn verdict(&self, channels: ChannelsNo, package: PackageId) -> PackageVerdict {
        let Some(page) = self.page(channels, (package.0 >> 16) as u16) else {
            return PackageVerdict::Unknown;
        };
        match self.code(page, channels, package) {
            Code::SETTLED => PackageVerdict::Settled,
            code => match code.missing() {
                Some((place, class)) => {
                    PackageVerdict::Missing(self.updates().numbers[place as usize], class)
                }
                None => PackageVerdict::Unknown,
            },
        }
    }

    /// The verdicts on packages with this upper half; `None` outside the table.
    #[inline]
    pub(super) fn page(&self, channels: ChannelsNo, upper: u16) -> Option<&Page> {
        let page = self.channels.get(channels.0 as usize)?.get(usize::from(upper))?;
        Some(page.get_or_init(|| {
            let empty: Vec<AtomicU32> = (0..PAGE).map(|_| AtomicU32::new(Code::UNASKED.0)).collect();
            empty
                .into_boxed_slice()
                .try_into()
                .unwrap_or_else(|_| unreachable!("a page was just made"))
        }))
    }

    /// The verdict on a package of a page.
    #[inline]
    pub(super) fn code(&self, page: &Page, channels: ChannelsNo, package: PackageId) -> Code {
        let slot = &page[usize::from(package.0 as u16)];
        // Each slot stands for itself, and two threads write the same into it: no order is needed.
        match Code(slot.load(Ordering::Relaxed)) {
            Code::UNASKED => {
                let code = self.ask(channels, package);
                slot.store(code.0, Ordering::Relaxed);
                code
            }
            code => code,
        }
    }

    /// The updates by their places.
    pub(super) fn update_numbers(&self) -> Vec<UpdateNo> {
        self.updates().numbers.clone()
    }

    #[cold]
    fn ask(&self, channels: ChannelsNo, package: PackageId) -> Code {
        if package.0 as usize >= self.packages {
            return Code::UNKNOWN;
        }
        match (self.rule)(channels, package) {
            PackageVerdict::Settled => Code::SETTLED,
            PackageVerdict::Unknown => Code::UNKNOWN,
            PackageVerdict::Missing(update, class) => {
                let Updates { places, numbers } = &mut *self.updates();
                let place = *places.entry(update).or_insert_with(|| {
                    numbers.push(update);
                    (numbers.len() - 1) as u32
                });
                Code::of_update(place, class)
            }
        }
    }

    fn updates(&self) -> std::sync::MutexGuard<'_, Updates> {
        // Nothing under the lock can fail half-way.
        self.updates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
