//! The sentences of the facts. Texts of hosts and sources stand in them as they came: whoever prints them makes them
//! harmless.

use super::{Cause, Explanation, Fact, Lost, Meaning, PinPlace, Place, Reason};
use crate::assess::overlay::{KeptBackReason, PhaseOf, Phased, Simulated};
use crate::assess::phasing::Decision;
use crate::assess::policy::NEVER;
use crate::catalog::update::Classification;
use crate::host::inventory::{PackageState, ReinstallRequired, Selection};
use std::fmt;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.iter().try_for_each(|fact| writeln!(f, "{fact}"))
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed {
                name,
                architecture,
                version,
                selection,
                state,
                reinstall_required,
            } => {
                write!(f, "{name} {version} ({architecture}) is {}", state_words(*state))?;
                if *reinstall_required == ReinstallRequired::Yes {
                    write!(f, ", and dpkg wants it installed again")?;
                }
                match selection {
                    Selection::Hold => write!(f, "; the administrator holds it"),
                    Selection::Deinstall | Selection::Purge => write!(f, "; it is marked for removal"),
                    Selection::Install | Selection::Unknown => Ok(()),
                }
            }
            Self::NotInstalled { name } => write!(f, "{name} is not installed"),
            Self::NotListed { name } => {
                write!(
                    f,
                    "no verified source lists {name}: nobody can say whether it is up to date"
                )
            }
            Self::Offered {
                version,
                priority,
                places,
            } => {
                write!(f, "{version} is offered with {priority}: ")?;
                for (number, place) in places.iter().enumerate() {
                    let gap = if number == 0 { "" } else { ", " };
                    write!(f, "{gap}{place}")?;
                }
                Ok(())
            }
            Self::OnlyInstalled { version, priority } => {
                write!(
                    f,
                    "{version} is installed and no source offers it; it has {priority}"
                )
            }
            Self::Chosen {
                version,
                priority,
                meaning,
            } => chosen(f, version, *priority, *meaning),
            Self::NothingChosen => write!(f, "apt would take none of these versions"),
            Self::NotChosen {
                version,
                why,
                priority,
            } => not_chosen(f, version, why, priority),
            Self::Classified {
                classification,
                listed,
            } => classified(f, *classification, listed.as_ref()),
            Self::Held => write!(
                f,
                "it is held: `apt upgrade` leaves it alone until `apt-mark unhold`"
            ),
            Self::HoldIgnored => write!(f, "it is held, but APT::Ignore-Hold is set"),
            Self::PhasedIn(phased) => write!(f, "{phased}"),
            Self::PhasedButSecurity { percent } => {
                write!(
                    f,
                    "it is phased in to {percent} %, but a security update is for every host at once"
                )
            }
            Self::Simulation(simulated) => write!(f, "{simulated}"),
            Self::DigestsDiffer { version } => write!(
                f,
                "the sources list two different files as {version}: look into it before anything is approved"
            ),
        }
    }
}

fn chosen(f: &mut fmt::Formatter<'_>, version: &str, priority: i16, meaning: Meaning) -> fmt::Result {
    match meaning {
        Meaning::Installed => write!(f, "apt keeps {version}, which is installed (priority {priority})"),
        Meaning::Upgrade => write!(f, "apt would upgrade to {version} (priority {priority})"),
        Meaning::Rebuild => {
            write!(
                f,
                "apt would install {version} again (priority {priority}): it is another build of it"
            )
        }
        Meaning::Downgrade => {
            write!(
                f,
                "apt would go back to {version}, because its priority {priority} is 1000 or more"
            )
        }
        Meaning::NewInstall => write!(
            f,
            "apt would install {version} (priority {priority}) if asked for it"
        ),
    }
}

fn not_chosen(f: &mut fmt::Formatter<'_>, version: &str, why: &Lost, priority: &Reason) -> fmt::Result {
    match why {
        Lost::Forbidden => write!(f, "{version} is not offered, because {priority} forbids it"),
        Lost::Outranked { by, priority: best } => {
            write!(
                f,
                "{version} is not offered, because {priority} is below the {best} of {by}"
            )
        }
        Lost::Older => write!(
            f,
            "{version} is not offered, because it is older and {priority} is below 1000"
        ),
    }
}

fn classified(
    f: &mut fmt::Formatter<'_>,
    classification: Classification,
    listed: Option<&(String, Place)>,
) -> fmt::Result {
    match (classification, listed) {
        (Classification::Security, Some((version, place))) => {
            write!(
                f,
                "it is a security update, because {version} stands in {}",
                place.label
            )
        }
        (Classification::Security, None) => write!(f, "it is a security update"),
        (Classification::Other, _) => {
            write!(
                f,
                "it is no security update: nothing up to it stands in a security suite"
            )
        }
    }
}

fn state_words(state: PackageState) -> &'static str {
    match state {
        PackageState::Installed => "installed",
        PackageState::HalfInstalled => "half installed (unpacking did not finish)",
        PackageState::Unpacked => "unpacked, not configured",
        PackageState::HalfConfigured => "half configured (configuring did not finish)",
        PackageState::TriggersAwaited => "installed, waiting for another package's trigger",
        PackageState::TriggersPending => "installed, its trigger has still to run",
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.label, self.priority.value)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match &self.cause {
            Cause::GeneralPin(pin) | Cause::PackagePin(pin) if value == NEVER => {
                write!(f, "pin never from {pin}")
            }
            Cause::PackagePin(pin) => write!(f, "pin {value} from {pin}"),
            Cause::GeneralPin(pin) => write!(f, "pin {value} for all packages from {pin}"),
            Cause::Usual => write!(f, "the usual priority {value}"),
            Cause::NotAutomatic => write!(f, "priority {value} (its release says NotAutomatic)"),
            Cause::UpgradesOnly => {
                write!(
                    f,
                    "priority {value} (its release says NotAutomatic and ButAutomaticUpgrades)"
                )
            }
            Cause::Installed => write!(f, "priority {value} of what is installed"),
            Cause::DefaultRelease => write!(f, "priority {value} (APT::Default-Release names its release)"),
            Cause::Phasing => write!(
                f,
                "priority {value} (it is being phased in and has not reached this host)"
            ),
        }
    }
}

impl fmt::Display for PinPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({})", self.file, self.line, self.text)
    }
}

impl fmt::Display for Phased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.percent;
        match self.of {
            PhaseOf::Candidate => write!(f, "it is phased in to {percent} %: ")?,
            PhaseOf::Installed => write!(
                f,
                "the installed version is itself phased in to {percent} %, and this host's apt (before 2.7.2) leaves it \
                 until that is over: "
            )?,
        }
        match self.decision {
            Decision::Complete => write!(f, "it is for every host"),
            Decision::AlwaysChosen => write!(f, "this host takes phased updates at once, by its settings"),
            Decision::NeverChosen => write!(f, "this host waits until it is complete, by its settings"),
            Decision::NoDraw => write!(f, "without a machine-id, or in a chroot, apt takes it at once"),
            Decision::Included { draw } => {
                write!(
                    f,
                    "this host is in, its draw {draw} of 0 to 100 is not above {percent}"
                )
            }
            Decision::Excluded { draw } => {
                write!(
                    f,
                    "this host is not in yet, its draw {draw} of 0 to 100 is above {percent}"
                )
            }
        }
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upgraded => write!(f, "apt's simulated upgrade installs it"),
            Self::KeptBack(reason) => write!(f, "apt's simulated upgrade keeps it back: {reason}"),
        }
    }
}

impl fmt::Display for KeptBackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsNewPackages(names) => write!(f, "needs new packages: {}", names.join(", ")),
            Self::NeedsRemovals(names) => write!(f, "needs removals: {}", names.join(", ")),
            Self::Unsatisfied => write!(f, "something that it needs is not available"),
        }
    }
}
