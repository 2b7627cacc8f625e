//! What the listings at hand say about each package of one host, and what stands in the way there. Where offers come from
//! is the caller's; the same function serves a scan and a fleet's server.

use super::coverage::{self, Assessed, Coverage, SourceNo, SourceReport};
use super::overlay::{self, Simulated, State};
use super::phasing::{InChroot, Machine};
use super::policy::Policy;
use super::rules::{AptRules, HostSide};
use super::verdict::{self, Missing, Verdict};
use crate::catalog::listing::Listing;
use crate::catalog::offer::Offer;
use crate::host::channels::ChannelConfig;
use crate::host::inventory::{InstalledPackage, Inventory};

/// The host that is looked at.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// What it is configured to use.
    pub config: &'a ChannelConfig,
    /// What it has.
    pub inventory: &'a Inventory,
    /// What decides about phasing.
    pub machine: Machine,
}

impl<'a> Subject<'a> {
    /// A host with this machine-id.
    pub fn new(
        config: &'a ChannelConfig,
        inventory: &'a Inventory,
        machine_id: Option<String>,
        in_chroot: InChroot,
    ) -> Self {
        Self {
            config,
            inventory,
            machine: Machine {
                machine_id,
                in_chroot,
            },
        }
    }

    /// What it brings to the assessment besides its configuration.
    pub fn side(&self) -> HostSide {
        HostSide {
            machine: self.machine.clone(),
            rules: apt_rules(self.inventory),
        }
    }
}

/// The rules of the apt that is installed; the newest known ones where none is.
pub fn apt_rules(inventory: &Inventory) -> AptRules {
    let apt = inventory.packages.iter().find(|package| &*package.name == "apt");
    apt.map(|apt| AptRules::of_version(&apt.version))
        .unwrap_or_default()
}

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
    /// Judges every installed package by the `listings`; `offers` fills in all that they offer under a name, in apt's
    /// order, and `said` is what apt's own simulation did with a package, where it was asked.
    pub fn of(
        subject: &Subject<'a>,
        listings: &[Listing],
        offers: impl Fn(&'a str, &mut Vec<Offer<'a>>),
        said: impl Fn(&InstalledPackage) -> Option<Simulated>,
    ) -> Self {
        let config = subject.config;
        let mut findings = Self {
            policy: Policy::new(config, listings).on(subject.side()),
            missing: Vec::new(),
            settled: Vec::new(),
        };
        let mut offered = Vec::new();
        for package in &subject.inventory.packages {
            offers(&package.name, &mut offered);
            match verdict::verdict(&findings.policy, package, &offered) {
                Verdict::Missing(missing) => {
                    let said = said(package);
                    let host = findings.policy.host();
                    let state = overlay::overlay(&missing, package, &config.settings, host, said.as_ref());
                    findings.missing.push(Finding {
                        package,
                        missing,
                        state,
                        is_kept_back: said.map(|said| matches!(said, Simulated::KeptBack(_))),
                    });
                }
                settled => findings.settled.push((package, settled)),
            }
        }
        findings
    }

    /// What is known and not known of the host, when its sources are in these states; `likely_home` is a source that
    /// answers nothing now and once listed a package of that name.
    pub fn coverage(
        &self,
        sources: &[SourceReport],
        likely_home: impl Fn(&str) -> Option<SourceNo>,
    ) -> Coverage {
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
                    Verdict::Unknown => likely_home(&package.name),
                    _ => None,
                },
            }),
        )
    }
}
