//! What apt says it would do (`apt-get -s`), held against the order by the same rule as the transaction itself. Whatever line
//! about a package is not understood is a difference.

use super::tool::Tool;
use super::{Installed, Trouble, Whole, WorldPlaces, allowed};
use domain::order::transaction::{self, Act, Build, Difference, Item, Objection, PackageName};
use domain::order::{Direction, Order, OrderedPackage};
use domain::rollout::deployment::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

/// A simulation that agrees with its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// Steps of dpkg that are left to do: unpacking, configuring, removing. None if all of it is already so.
    pub steps: usize,
}

/// The words after apt's settings, in a simulation and in earnest: what of the order is not so yet. apt knows nothing of a package
/// that is gone, and takes one that is there for wanted by a person.
pub(crate) fn install_words(order: &Order, in_place: &BTreeSet<PackageName>) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["-q", "-y", "--no-download", "--no-install-recommends"]
        .map(OsString::from)
        .to_vec();
    let is_left = |name: &str, architecture: &str| !in_place.contains(&PackageName::new(name, architecture));
    let removals = (order.removals.iter())
        .filter(|removal| is_left(&removal.name, &removal.architecture))
        .map(|removal| format!("{}-", word(&removal.name, &removal.architecture)).into());
    let removals: Vec<OsString> = removals.collect();
    if removals.is_empty() {
        words.push("--no-remove".into());
    }
    if order.direction == Direction::BackOut {
        words.push("--allow-downgrades".into());
    }
    words.push("install".into());
    let packages = (order.packages.iter()).filter(|package| is_left(&package.name, &package.architecture));
    words.extend(packages.map(|package| {
        let OrderedPackage { version, .. } = package;
        OsString::from(format!(
            "{}={version}",
            word(&package.name, &package.architecture)
        ))
    }));
    words.extend(removals);
    words
}

/// A package as apt is told of it. One of architecture `all` belongs to the native ones.
fn word(name: &str, architecture: &str) -> String {
    match architecture {
        "all" => name.to_owned(),
        _ => format!("{name}:{architecture}"),
    }
}

/// Simulates, and compares.
pub(super) fn compare(
    places: &WorldPlaces,
    order: &Order,
    installed: &Installed,
) -> Result<Simulated, Trouble> {
    let in_place = installed.in_place(order);
    if in_place.len() == order.packages.len() + order.removals.len() {
        return Ok(Simulated { steps: 0 });
    }
    let words = places.settings().into_iter().chain([OsString::from("-s")]);
    let said = Tool::AptGet.ask(words.chain(install_words(order, &in_place)))?;
    if !said.is_success() {
        let kind = match super::classify(&said.all()) {
            Failure::PackageManager => Failure::Differs,
            other => other,
        };
        return Err(Trouble::new(kind, &said.complaint("apt-get")));
    }
    let text = said.text();
    let items = items(&text, installed, order)?;
    // Which files they are is judged when dpkg is about to open them; here each line stands for the ordered one.
    let packages = (order.packages.iter()).map(|package| ((&*package.name, &*package.architecture), package));
    let packages: BTreeMap<_, _> = packages.collect();
    let line = |item: &Item<'_>| match (item.act, item.after) {
        (Act::Unpack(line), Some(after)) => {
            let package = packages.get(&(item.name, after.architecture))?;
            Some((line.to_owned(), package.sha256))
        }
        _ => None,
    };
    let lines: BTreeMap<_, _> = items.iter().filter_map(line).collect();
    let ordered = |line: &str| lines.get(line).copied().ok_or(());
    match transaction::judge(&items, allowed(order, &in_place), ordered) {
        Ok(()) => Ok(Simulated { steps: items.len() }),
        Err(Objection::Differs(difference)) => Err(differs(&difference)),
        Err(Objection::File(())) => {
            let detail = "apt would unpack what was not ordered";
            Err(Trouble::new(Failure::Differs, detail))
        }
    }
}

/// A difference as a trouble: what the host had before is its own matter, all else is apt's.
pub(crate) fn differs(difference: &Difference) -> Trouble {
    let kind = match difference {
        Difference::OtherBefore { .. } => Failure::HostChanged,
        _ => Failure::Differs,
    };
    Trouble::new(kind, &difference.to_string())
}

/// The steps of a simulation. What somebody left half done on the host is left out: apt would finish it too, and it is finished
/// before the order begins.
fn items<'a>(text: &'a str, installed: &'a Installed, order: &Order) -> Result<Vec<Item<'a>>, Trouble> {
    let mut items = Vec::new();
    for line in text.lines() {
        let Some((act, rest)) = line.split_once(' ') else {
            continue;
        };
        let item = match act {
            "Inst" => step(rest, installed, Step::Unpack),
            "Conf" => step(rest, installed, Step::Configure),
            "Remv" | "Purg" => gone(rest, installed),
            _ => continue,
        };
        let item = item.ok_or_else(|| {
            let detail = format!("apt would do what is not understood: {line}");
            Trouble::new(Failure::Differs, &detail)
        })?;
        if !is_left_over(&item, installed, order) {
            items.push(item);
        }
    }
    Ok(items)
}

/// Whether a step only configures what is on the host already, and is none of the order's.
fn is_left_over(item: &Item<'_>, installed: &Installed, order: &Order) -> bool {
    let (Act::Configure, Some(after)) = (item.act, item.after) else {
        return false;
    };
    let mut packages = order.packages.iter();
    let is_ordered =
        packages.any(|package| *package.name == *item.name && *package.architecture == *after.architecture);
    !is_ordered && installed.state(item.name, after.architecture) == Some((after.version, Whole::No))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Unpack,
    Configure,
}

/// `name[:architecture] [before] (after origin [architecture]) [...]`, as apt-get(8) prints it.
fn step<'a>(line: &'a str, installed: &'a Installed, step: Step) -> Option<Item<'a>> {
    let (name, rest) = line.split_once(' ')?;
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let (before, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (before, rest) = rest.split_once("] ")?;
            (Some(before), rest)
        }
        None => (None, rest),
    };
    let inner = rest.strip_prefix('(')?.split(')').next()?;
    let (version, rest) = inner.split_once(' ')?;
    let architecture = rest.rsplit_once('[')?.1.strip_suffix(']')?;
    // apt says the version that goes, dpkg knows of which architecture.
    let state = |architecture: &str| installed.state(name, architecture).map(|(version, _)| version);
    let before = match before {
        Some(version) if state(architecture) == Some(version) => Some(Build {
            version,
            architecture,
        }),
        Some(version) => Some(Build {
            version,
            architecture: installed.architecture_of(name, version)?,
        }),
        None => None,
    };
    Some(Item {
        name,
        before,
        after: Some(Build {
            version,
            architecture,
        }),
        act: match step {
            Step::Unpack => Act::Unpack(line),
            Step::Configure => Act::Configure,
        },
    })
}

/// `name[:architecture] [version]`.
fn gone<'a>(rest: &'a str, installed: &'a Installed) -> Option<Item<'a>> {
    let (name, rest) = rest.split_once(' ')?;
    let (name, said) = name
        .split_once(':')
        .map_or((name, None), |(name, it)| (name, Some(it)));
    let version = rest.strip_prefix('[')?.split(']').next()?;
    let architecture = match said {
        Some(architecture) => architecture,
        None => installed.architecture_of(name, version)?,
    };
    Some(Item {
        name,
        before: Some(Build {
            version,
            architecture,
        }),
        after: None,
        act: Act::Remove,
    })
}
