//! Why a package is, or is not, missing an update: the chain of facts that led to the answer, each with a sentence for
//! people. What `apt-cache policy NAME` shows as a table is said here in words, with the lines of configuration that
//! decided.

mod sentence;

use super::overlay::{Phased, Simulated, is_excepted, is_held, phasing_of};
use super::policy::{
    ListingPriority, ListingReason, PinNo, Policy, Priority, VersionPriority, VersionReason,
};
use super::verdict::{Digests, Missing, Verdict, Versions, verdict};
use crate::catalog::listing::{Listing, ListingNo};
use crate::catalog::offer::Offer;
use crate::catalog::update::Classification;
use crate::host::channels::{PinMatcher, Settings};
use crate::host::inventory::{InstalledPackage, PackageState, ReinstallRequired, Selection};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Name of the package.
    pub name: &'a str,
    /// Its architecture.
    pub architecture: &'a str,
    /// The package, if it is installed.
    pub package: Option<&'a InstalledPackage>,
    /// All offers of the name, as for [`verdict`].
    pub offers: &'a [Offer<'a>],
    /// All listings, as for the policy.
    pub listings: &'a [Listing],
    /// The host's settings.
    pub settings: &'a Settings,
    /// What the host's simulation said, if it was asked.
    pub simulated: Option<&'a Simulated>,
}

/// The facts, in the order in which they lead to the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The facts.
    pub facts: Vec<Fact>,
}

/// One fact. Shown, it is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// What is installed.
    Installed {
        /// Name.
        name: String,
        /// Architecture.
        architecture: String,
        /// Version.
        version: String,
        /// dpkg's selection.
        selection: Selection,
        /// dpkg's state.
        state: PackageState,
        /// Whether dpkg marked it as broken.
        reinstall_required: ReinstallRequired,
    },
    /// It is not installed.
    NotInstalled {
        /// Name.
        name: String,
    },
    /// No verified source lists the package.
    NotListed {
        /// Name.
        name: String,
    },
    /// A version that sources offer, newest first.
    Offered {
        /// The version.
        version: String,
        /// How much the host wants it, and why.
        priority: Reason,
        /// Where it stands.
        places: Vec<Place>,
    },
    /// The installed version, which no source offers.
    OnlyInstalled {
        /// The version.
        version: String,
        /// How much the host wants to keep it, and why.
        priority: Reason,
    },
    /// The version that apt would have on the host.
    Chosen {
        /// The version.
        version: String,
        /// Its priority.
        priority: Priority,
        /// What that means for the host.
        meaning: Meaning,
    },
    /// Nothing that apt would take.
    NothingChosen,
    /// A newer version, or the one that would have been expected, that was not chosen.
    NotChosen {
        /// The version.
        version: String,
        /// What beat it.
        why: Lost,
        /// Its priority, and why.
        priority: Reason,
    },
    /// What kind of update it is, and which listing says so.
    Classified {
        /// The kind.
        classification: Classification,
        /// The version in a security listing, and the listing.
        listed: Option<(String, Place)>,
    },
    /// The administrator holds the package.
    Held,
    /// The host ignores the hold, by `APT::Ignore-Hold`.
    HoldIgnored,
    /// How far the update is phased in, and whether that includes the host.
    PhasedIn(Phased),
    /// apt never holds a security update back for phasing.
    PhasedButSecurity {
        /// The percentage.
        percent: u8,
    },
    /// What apt's simulation on the host did with it.
    Simulation(Simulated),
    /// Listings disagree about the file of this version.
    DigestsDiffer {
        /// The version.
        version: String,
    },
}

/// What a chosen version means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is installed.
    Installed,
    /// It is above what is installed.
    Upgrade,
    /// It has the installed version's number, but is another build.
    Rebuild,
    /// It is below what is installed.
    Downgrade,
    /// Nothing is installed.
    NewInstall,
}

/// Why a version was not chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its priority is below zero.
    Forbidden,
    /// Another has a higher priority.
    Outranked {
        /// The chosen version.
        by: String,
        /// Its priority.
        priority: Priority,
    },
    /// It is older than what is installed and its priority is below 1000.
    Older,
}

/// A listing, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub listing: ListingNo,
    /// Such as `bookworm-security/main amd64 of Debian at archive.example`.
    pub label: String,
    /// Its own priority, and why.
    pub priority: Reason,
}

/// A priority and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The priority.
    pub value: Priority,
    /// Where it comes from.
    pub cause: Cause,
}

/// Where a priority comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Every release has it.
    Usual,
    /// Its release says `NotAutomatic`.
    NotAutomatic,
    /// Its release says `NotAutomatic` and `ButAutomaticUpgrades`.
    UpgradesOnly,
    /// It is installed.
    Installed,
    /// `APT::Default-Release`.
    DefaultRelease,
    /// A pin for all packages.
    GeneralPin(PinPlace),
    /// A pin for this package.
    PackagePin(PinPlace),
    /// Phasing.
    Phasing,
}

/// A pin, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinPlace {
    /// File.
    pub file: String,
    /// Line.
    pub line: u32,
    /// What it matches, as written.
    pub text: String,
}

/// Explains the answer for one package.
pub fn explain(policy: &Policy, question: &Question<'_>) -> Explanation {
    let mut explainer = Explainer {
        policy,
        question,
        facts: Vec::new(),
    };
    explainer.say_installed();
    explainer.say_versions();
    if let Some(package) = question.package
        && let Verdict::Missing(missing) = verdict(policy, package, question.offers)
    {
        explainer.say_classification(package, &missing);
        explainer.say_overlay(package, &missing);
    }
    Explanation {
        facts: explainer.facts,
    }
}

struct Explainer<'a> {
    policy: &'a Policy,
    question: &'a Question<'a>,
    facts: Vec<Fact>,
}

impl Explainer<'_> {
    fn say_installed(&mut self) {
        let name = self.question.name.to_owned();
        self.facts.push(match self.question.package {
            None => Fact::NotInstalled { name },
            Some(package) => Fact::Installed {
                name,
                architecture: package.architecture.to_string(),
                version: package.version.to_string(),
                selection: package.selection,
                state: package.state,
                reinstall_required: package.reinstall_required,
            },
        });
    }

    fn say_versions(&mut self) {
        let Question {
            name,
            architecture,
            package,
            offers,
            ..
        } = *self.question;
        let versions = match package {
            Some(package) => Versions::of_installed(self.policy, package, offers),
            None => Versions::of_offers(self.policy, name, architecture, offers),
        };
        if !versions.has_offers() {
            self.facts.push(Fact::NotListed {
                name: name.to_owned(),
            });
        }
        let pins = versions.pins(self.policy);
        let priorities: Vec<VersionPriority> = versions
            .list
            .iter()
            .map(|version| versions.priority(self.policy, &pins, version))
            .collect();
        for (version, priority) in versions.list.iter().zip(&priorities) {
            let places: Vec<Place> = versions
                .offers_of(version)
                .filter_map(|offer| self.place(offer.listing))
                .collect();
            let (text, priority) = (version.text.to_owned(), self.version_reason(*priority));
            self.facts.push(if places.is_empty() {
                Fact::OnlyInstalled {
                    version: text,
                    priority,
                }
            } else {
                Fact::Offered {
                    version: text,
                    priority,
                    places,
                }
            });
        }
        if versions.has_offers() {
            self.say_choice(&versions, &priorities, versions.candidate(self.policy, &pins));
        }
    }

    fn say_choice(
        &mut self,
        versions: &Versions<'_, '_>,
        priorities: &[VersionPriority],
        chosen: Option<(usize, VersionPriority)>,
    ) {
        let installed = versions.installed_position();
        match chosen {
            None => self.facts.push(Fact::NothingChosen),
            Some((position, priority)) => {
                let text = versions.list[position].text;
                let meaning = match installed {
                    None => Meaning::NewInstall,
                    Some(installed) if installed == position => Meaning::Installed,
                    Some(installed) if versions.list[installed].text == text => Meaning::Rebuild,
                    Some(installed) if position < installed => Meaning::Upgrade,
                    Some(_) => Meaning::Downgrade,
                };
                self.facts.push(Fact::Chosen {
                    version: text.to_owned(),
                    priority: priority.value,
                    meaning,
                });
            }
        }
        // Of interest are versions that a reader would have expected instead: newer ones than the chosen.
        let newer = chosen.map_or(versions.list.len(), |(position, _)| position);
        for (version, priority) in versions.list.iter().zip(priorities).take(newer) {
            let why = match chosen {
                _ if priority.value < 0 => Lost::Forbidden,
                Some((position, best)) => Lost::Outranked {
                    by: versions.list[position].text.to_owned(),
                    priority: best.value,
                },
                None => Lost::Older,
            };
            let priority = self.version_reason(*priority);
            self.facts.push(Fact::NotChosen {
                version: version.text.to_owned(),
                why,
                priority,
            });
        }
    }

    fn say_classification(&mut self, package: &InstalledPackage, missing: &Missing<'_>) {
        let versions = Versions::of_installed(self.policy, package, self.question.offers);
        let installed = versions.installed_position().unwrap_or(0);
        let is_security = |no: ListingNo| {
            self.question
                .listings
                .get(usize::from(no.0))
                .is_some_and(Listing::is_security)
        };
        let above = versions.list.iter().take(installed);
        let candidate = missing.candidate.version;
        let in_reach = above.skip_while(|version| version.text != candidate);
        let listed = in_reach.into_iter().find_map(|version| {
            let offer = versions
                .offers_of(version)
                .find(|offer| is_security(offer.listing))?;
            Some((version.text.to_owned(), self.place(offer.listing)?))
        });
        self.facts.push(Fact::Classified {
            classification: missing.classification,
            listed,
        });
        if missing.candidate.digests == Digests::Differ {
            self.facts.push(Fact::DigestsDiffer {
                version: candidate.to_owned(),
            });
        }
    }

    fn say_overlay(&mut self, package: &InstalledPackage, missing: &Missing<'_>) {
        let Question {
            settings, simulated, ..
        } = *self.question;
        if is_held(package, settings) {
            self.facts.push(Fact::Held);
        } else if package.selection == Selection::Hold {
            self.facts.push(Fact::HoldIgnored);
        }
        let percent = missing.candidate.phased_percent;
        if let Some(phased) = phasing_of(missing, settings, self.policy.host()) {
            self.facts.push(Fact::PhasedIn(phased));
        } else if percent < 100 && is_excepted(missing, self.policy.host().rules.security_exception) {
            self.facts.push(Fact::PhasedButSecurity { percent });
        }
        if let Some(simulated) = simulated {
            self.facts.push(Fact::Simulation(simulated.clone()));
        }
    }

    fn place(&self, number: ListingNo) -> Option<Place> {
        let listing = self.question.listings.get(usize::from(number.0))?;
        let priority = self.listing_reason(self.policy.listing(number)?);
        Some(Place {
            listing: number,
            label: label(listing),
            priority,
        })
    }

    fn listing_reason(&self, priority: ListingPriority) -> Reason {
        let cause = match priority.reason {
            ListingReason::Usual => Cause::Usual,
            ListingReason::NotAutomatic => Cause::NotAutomatic,
            ListingReason::UpgradesOnly => Cause::UpgradesOnly,
            ListingReason::Status => Cause::Installed,
            ListingReason::DefaultRelease => Cause::DefaultRelease,
            ListingReason::Pin(number) => self.pin_place(number).map_or(Cause::Usual, Cause::GeneralPin),
        };
        Reason {
            value: priority.value,
            cause,
        }
    }

    fn version_reason(&self, priority: VersionPriority) -> Reason {
        let cause = match priority.reason {
            VersionReason::Pin(number) => self.pin_place(number).map_or(Cause::Usual, Cause::PackagePin),
            VersionReason::Listing(number) => match self.policy.listing(number) {
                Some(listing) => self.listing_reason(listing).cause,
                None => Cause::Usual,
            },
            VersionReason::Installed => self.listing_reason(self.policy.status()).cause,
            VersionReason::Phasing => Cause::Phasing,
        };
        Reason {
            value: priority.value,
            cause,
        }
    }

    fn pin_place(&self, number: PinNo) -> Option<PinPlace> {
        let pin = self.policy.pin(number)?;
        Some(PinPlace {
            file: pin.file.clone(),
            line: pin.line,
            text: pin_text(&pin.matcher),
        })
    }
}

fn pin_text(matcher: &PinMatcher) -> String {
    match matcher {
        PinMatcher::Version(text) => format!("version {text}"),
        PinMatcher::SourceVersion(text) => format!("source-version {text}"),
        PinMatcher::Release(text) => format!("release {text}"),
        PinMatcher::Origin(text) => format!("origin {text}"),
    }
}

/// Such as `bookworm-security/main amd64 of Debian at archive.example`; what a release does not say is left out.
fn label(listing: &Listing) -> String {
    let release = &*listing.release;
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut label = filled(&release.codename)
        .or_else(|| filled(&release.suite))
        .unwrap_or_else(|| "an unnamed suite".to_owned());
    if !listing.component.is_empty() {
        label.push('/');
        label.push_str(&listing.component);
    }
    if !listing.architecture.is_empty() {
        label.push(' ');
        label.push_str(&listing.architecture);
    }
    if let Some(origin) = filled(&release.origin) {
        label.push_str(" of ");
        label.push_str(&origin);
    }
    if !listing.site.is_empty() {
        label.push_str(" at ");
        label.push_str(&listing.site);
    }
    label
}
