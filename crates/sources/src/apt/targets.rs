//! Which package indexes of a source a host uses: apt's rule from stanzas to paths in the Release file, in apt's order.
//! Nothing is read or fetched here.

use domain::catalog::release::ReleaseFacts;
use domain::host::address::release_uri;
use domain::host::channels::Stanza;

/// One package index that a host uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Component such as `main`; empty for a flat repository.
    pub component: String,
    /// Architecture of the index, `all` for a separate one of architecture-independent packages; empty for a flat
    /// repository.
    pub architecture: String,
    /// Path below the folder of the Release file, without the extension of a compression:
    /// `main/binary-amd64/Packages`.
    pub path: String,
}

/// A configured index that the Release file does not list, so that apt fetches nothing and says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// What is configured.
    pub target: Target,
    /// Why it is not there.
    pub why: WhyUnlisted,
}

/// Why a configured index is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUnlisted {
    /// The source has no such component; perhaps it is misspelt.
    NoSuchComponent,
    /// The source does not support the architecture.
    NoSuchArchitecture,
    /// The source supports the architecture and has no packages for it: as good as an empty index.
    NoPackages,
    /// The source does not say why.
    NotProvided,
}

/// The stanzas of one source: one address, one suite. apt merges them, in the place of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged<'config> {
    /// The stanzas, in the order in which they are configured; never empty.
    pub stanzas: Vec<&'config Stanza>,
}

impl Merged<'_> {
    /// The address below which its release file and indexes stand.
    pub fn release_uri(&self) -> String {
        release_uri(&self.stanzas[0].uri, &self.stanzas[0].suite)
    }
}

impl Merged<'_> {
    /// What a release calls itself, if that is not the suite that is configured (apt's `metaIndex::CheckDist`, which
    /// warns). A mirror that serves one well-signed suite in another's place hides what the other has. A flat
    /// repository has no suite to compare.
    pub fn other_suite(&self, release: &ReleaseFacts) -> Option<String> {
        let stanza = self.stanzas[0];
        let names: Vec<&String> = [&release.suite, &release.codename]
            .into_iter()
            .flatten()
            .collect();
        let asked = stanza
            .suite
            .rsplit_once('/')
            .map_or(stanza.suite.as_str(), |(before, _)| before);
        let is_asked = |name: &&String| ***name == stanza.suite || ***name == *asked;
        let is_other = !stanza.is_flat() && !names.is_empty() && !names.iter().any(is_asked);
        is_other.then(|| names[0].clone())
    }
}

/// Groups stanzas by source (address and suite), in apt's order: a source stands where its first stanza stands.
pub fn merge(stanzas: &[Stanza]) -> Vec<Merged<'_>> {
    let mut sources: Vec<Merged<'_>> = Vec::new();
    for stanza in stanzas {
        let same = |source: &&mut Merged<'_>| {
            let first = source.stanzas[0];
            first.uri == stanza.uri && first.suite == stanza.suite
        };
        match sources.iter_mut().find(same) {
            Some(source) => source.stanzas.push(stanza),
            None => sources.push(Merged {
                stanzas: vec![stanza],
            }),
        }
    }
    sources
}

/// The indexes that a stanza uses of a release, in apt's order (`debReleaseIndex::GetIndexTargets`, then the choice of
/// `pkgAcqMetaClearSig::QueueIndexes`). `has_file` says whether the Release lists a path, without extension, exactly
/// as written. One that it lists with size 0 is a target too, although apt fetches none: it offers nothing.
pub fn targets(stanza: &Stanza, release: &ReleaseFacts, has_file: impl Fn(&str) -> bool) -> Vec<Target> {
    merged_targets(
        &Merged {
            stanzas: vec![stanza],
        },
        release,
        has_file,
    )
}

/// The same for all stanzas of one source; what two of them name stands where the first names it.
pub fn merged_targets(
    source: &Merged<'_>,
    release: &ReleaseFacts,
    has_file: impl Fn(&str) -> bool,
) -> Vec<Target> {
    let wanted = wanted(source);
    let used = |wanted: &Wanted| wanted.is_supported(release) && has_file(&wanted.target.path);
    wanted
        .into_iter()
        .filter(used)
        .map(|wanted| wanted.target)
        .collect()
}

/// The paths of all indexes that a source may have for the host, listed or not.
pub fn paths(source: &Merged<'_>) -> impl Iterator<Item = String> {
    wanted(source).into_iter().map(|wanted| wanted.target.path)
}

/// What is configured and not listed, of all stanzas of one source. A separate index for `all` that nobody asked for
/// by name is never missed.
pub fn unlisted(
    source: &Merged<'_>,
    release: &ReleaseFacts,
    has_file: impl Fn(&str) -> bool,
) -> Vec<Unlisted> {
    let wanted = wanted(source);
    let is_seen = |component: &str| {
        wanted
            .iter()
            .any(|other| other.target.component == component && has_file(&other.target.path))
    };
    let why = |target: &Target| {
        let known_architectures = &release.architectures;
        let is_flat = target.architecture.is_empty();
        if !is_flat && !is_seen(&target.component) && !has_component(release, &target.component) {
            WhyUnlisted::NoSuchComponent
        } else if is_flat || known_architectures.is_empty() {
            WhyUnlisted::NotProvided
        } else if known_architectures.contains(&target.architecture) {
            WhyUnlisted::NoPackages
        } else {
            WhyUnlisted::NoSuchArchitecture
        }
    };
    let missed = |wanted: &&Wanted| wanted.origin == Origin::Named && !has_file(&wanted.target.path);
    wanted
        .iter()
        .filter(missed)
        .map(|wanted| Unlisted {
            target: wanted.target.clone(),
            why: why(&wanted.target),
        })
        .collect()
}

/// A target before the Release file was asked.
struct Wanted {
    target: Target,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The stanza names the architecture.
    Named,
    /// apt adds `all` to what a stanza names.
    ImpliedAll,
}

impl Wanted {
    /// Whether the release supports a separate index for `all`; everything else is supported if it is listed.
    fn is_supported(&self, release: &ReleaseFacts) -> bool {
        if self.origin == Origin::Named {
            return true;
        }
        let has_all =
            release.architectures.is_empty() || release.architectures.iter().any(|name| name == "all");
        has_all && !release.no_support_for_all
    }
}

fn wanted(source: &Merged<'_>) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for stanza in &source.stanzas {
        for wanted in wanted_by(stanza) {
            // apt keeps the first target, and with it whether `all` was asked for by name.
            if all.iter().all(|other| other.target.path != wanted.target.path) {
                all.push(wanted);
            }
        }
    }
    all
}

fn wanted_by(stanza: &Stanza) -> Vec<Wanted> {
    if stanza.is_flat() {
        let target = Target {
            component: String::new(),
            architecture: String::new(),
            path: "Packages".to_owned(),
        };
        return vec![Wanted {
            target,
            origin: Origin::Named,
        }];
    }
    let named = stanza
        .architectures
        .iter()
        .map(|name| (name.as_str(), Origin::Named));
    let implied = match stanza.architectures.iter().any(|name| name == "all") {
        true => None,
        false => Some(("all", Origin::ImpliedAll)),
    };
    let architectures: Vec<_> = named.chain(implied).collect();
    let mut wanted = Vec::new();
    for component in &stanza.components {
        for &(architecture, origin) in &architectures {
            let path = format!("{component}/binary-{architecture}/Packages");
            let target = Target {
                component: component.clone(),
                architecture: architecture.to_owned(),
                path,
            };
            wanted.push(Wanted { target, origin });
        }
    }
    wanted
}

/// Whether the release lists the component, by its name or, as security archives write it, `updates/` before it.
fn has_component(release: &ReleaseFacts, component: &str) -> bool {
    release.components.is_empty()
        || release
            .components
            .iter()
            .any(|listed| listed == component || listed.rsplit('/').next() == Some(component))
}
