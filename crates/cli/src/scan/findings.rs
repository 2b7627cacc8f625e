//! What the channels say about each installed package, and what stands in the way on this host.

use super::channels::Channels;
use super::simulate::{self, Simulated};
use agent::host::Host;
use domain::assess::coverage::{self, Assessed, Coverage, SourceReport};
use domain::assess::overlay::{self, State};
use domain::assess::phasing::Machine;
use domain::assess::policy::Policy;
use domain::assess::rules::{AptRules, HostSide};
use domain::assess::verdict::{self, Missing, Verdict};
use domain::host::inventory::InstalledPackage;

/// One installed package that could have another version.
#[derive(Debug)]
pub struct Finding<'a> {
    /// The package.
    pub package: &'a InstalledPackage,
    /// What is missing.
    pub missing: Missing<'a>,
    /// What stands in the way.
    pub state: State,
    /// Whether apt would keep it back; absent where it was not asked.
    pub is_kept_back: Option<bool>,
}

/// All that was found.
#[derive(Debug)]
pub struct Findings<'a> {
    /// The host's priorities.
    pub policy: Policy,
    /// What is missing, in the order of the inventory.
    pub missing: Vec<Finding<'a>>,
    /// Every other verdict, in the order of the inventory.
    settled: Vec<(&'a InstalledPackage, Verdict<'a>)>,
}

impl<'a> Findings<'a> {
    /// Judges every installed package.
    pub fn of(host: &'a Host, channels: &'a Channels<'_>, simulated: Option<&Simulated>) -> Self {
        let config = &host.channel_config;
        let policy = Policy::new(config, &channels.listings).on(host_side(host));
        let mut findings = Self {
            policy,
            missing: Vec::new(),
            settled: Vec::new(),
        };
        let mut offers = Vec::new();
        for package in &host.inventory.packages {
            channels.offers(&package.name, &mut offers);
            match verdict::verdict(&findings.policy, package, &offers) {
                Verdict::Missing(missing) => findings.add(host, package, missing, simulated),
                settled => findings.settled.push((package, settled)),
            }
        }
        findings
    }

    /// What is known and not known of the host, when its sources are in these states.
    pub fn coverage(&self, channels: &Channels<'_>, sources: &[SourceReport]) -> Coverage {
        let missing = self
            .missing
            .iter()
            .map(|finding| (finding.package, Verdict::Missing(finding.missing.clone())));
        let verdicts: Vec<_> = missing.chain(self.settled.iter().cloned()).collect();
        coverage::coverage(
            sources,
            verdicts.iter().map(|(package, verdict)| Assessed {
                package,
                verdict,
                named_by: match verdict {
                    Verdict::Unknown => channels.likely_home(&package.name),
                    _ => None,
                },
            }),
        )
    }

    fn add(
        &mut self,
        host: &Host,
        package: &'a InstalledPackage,
        missing: Missing<'a>,
        simulated: Option<&Simulated>,
    ) {
        let native = &host.channel_config.native_architecture;
        let said = simulated.map(|simulated| simulate::said(simulated, package, native));
        let settings = &host.channel_config.settings;
        let state = overlay::overlay(&missing, package, settings, self.policy.host(), said.as_ref());
        let is_kept_back = said.map(|said| matches!(said, overlay::Simulated::KeptBack(_)));
        self.missing.push(Finding {
            package,
            missing,
            state,
            is_kept_back,
        });
    }
}

/// What this host brings to the assessment besides its configuration.
pub fn host_side(host: &Host) -> HostSide {
    let apt = host
        .inventory
        .packages
        .iter()
        .find(|package| &*package.name == "apt");
    HostSide {
        machine: Machine {
            machine_id: host.facts.machine_id.clone(),
            in_chroot: host.in_chroot,
        },
        rules: apt
            .map(|apt| AptRules::of_version(&apt.version))
            .unwrap_or_default(),
    }
}
