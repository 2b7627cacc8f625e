//! Channels as one version of apt reads them, and the rule by which a ledger judges under them.

use super::updates::Updates;
use crate::assess::channels::{Channels, Judged};
use domain::assess::fleet::{ChannelsNo, Interner, PackageId, PackageVerdict, Reading};
use domain::assess::policy::Policy;
use domain::assess::rules::AptRules;
use domain::digest::Sha256Digest;
use std::sync::Arc;

/// Channels as one version of apt reads them.
#[derive(Debug)]
pub(super) struct Slot {
    /// Which channel configs are meant.
    pub(super) meaning: Sha256Digest,
    /// What they mean now.
    pub(super) channels: Arc<Channels>,
    policy: Policy,
    rules: AptRules,
}

impl Slot {
    pub(super) fn new(meaning: Sha256Digest, channels: Arc<Channels>, rules: AptRules) -> Self {
        Self {
            meaning,
            policy: channels.policy(rules),
            channels,
            rules,
        }
    }

    /// Goes by these channels from now on.
    pub(super) fn set_channels(&mut self, channels: &Arc<Channels>) {
        self.channels = Arc::clone(channels);
        self.policy = channels.policy(self.rules);
    }

    /// Whether all sources can be believed and all pins followed.
    pub(super) fn reading(&self) -> Reading {
        match self.policy.problems() {
            [] => self.channels.reading(),
            _ => Reading::Holed,
        }
    }
}

/// The rule by which a ledger judges.
pub(super) fn judge<'a>(
    slots: &'a [Slot],
    packages: &'a Interner,
    updates: &'a mut Updates,
) -> impl FnMut(ChannelsNo, PackageId) -> PackageVerdict + 'a {
    move |channels, package| {
        let slot = &slots[channels.0 as usize];
        let Some(key) = packages.package(package) else {
            return PackageVerdict::Unknown;
        };
        match slot.channels.judge(&slot.policy, key) {
            Judged::Settled => PackageVerdict::Settled,
            Judged::Unknown => PackageVerdict::Unknown,
            Judged::Missing(update, kind) => {
                PackageVerdict::Missing(updates.number(update, kind.listed), kind.to_host)
            }
        }
    }
}
