//! Whether each ordered package is of an approved update, by its publisher's own signed word and nobody else's: its stanza stands,
//! with the ordered digest, in an index that apt verified; the release file over it calls itself what was approved; and apt finds
//! a good signature of it by a certificate that was approved as that publisher's. See docs/adr/0009.

use super::{Trouble, World};
use domain::catalog::update::Publisher;
use domain::change::Approval;
use domain::deb822::Scanner;
use domain::digest::Sha256Digest;
use domain::order::{Order, OrderedPackage};
use domain::rollout::deployment::Failure;
use domain::version::deb::split_rebuild;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The longest stanza that is read, in bytes.
const STANZA_BYTES: u64 = 1 << 20;
/// The largest list, in bytes, as everywhere.
const LIST_BYTES: u64 = 512 << 20;

/// A list of packages that apt verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The snapshot, counted from 0.
    pub(super) snapshot: usize,
    /// What its release file calls its publisher; empty for none.
    pub(super) origin: String,
    /// The file.
    pub(super) list: PathBuf,
}

/// What an index says of an ordered package.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    source: String,
    source_version: String,
    build: String,
}

/// Judges each package of an order.
pub(super) fn judge(world: &World, order: &Order, approval: &Approval) -> Result<(), Trouble> {
    let targets = world.targets()?;
    let wanted: BTreeMap<_, _> = (order.packages.iter())
        .map(|package| {
            (
                (&*package.name, &*package.architecture, &*package.version),
                package,
            )
        })
        .collect();
    // For each snapshot, the sets of keys of which one has to hold, a set for each package that only this snapshot can vouch for.
    let mut proofs: BTreeMap<usize, BTreeSet<BTreeSet<String>>> = BTreeMap::new();
    let mut vouched = BTreeMap::new();
    for target in &targets {
        for (place, listed) in read(&target.list, &wanted)? {
            let keys = keys_that_may_vouch(approval, &target.origin, &listed);
            vouched
                .entry(place)
                .or_insert_with(Vec::new)
                .push((target.snapshot, keys, listed));
        }
    }
    for package in &order.packages {
        let place = (package.name.clone(), package.architecture.clone());
        let listings = vouched.remove(&place).unwrap_or_default();
        let Some((_, _, first)) = listings.first() else {
            let detail = format!(
                "{} {} is not, as ordered, in any index of the approved snapshots",
                package.package(),
                package.version
            );
            return Err(Trouble::new(Failure::Content, &detail));
        };
        let Some((snapshot, keys, _)) = listings.iter().find(|(_, keys, _)| !keys.is_empty()) else {
            let detail = format!(
                "{} is of {} {}{}, which was not approved",
                package.package(),
                first.source,
                first.source_version,
                first.build
            );
            return Err(Trouble::new(Failure::Differs, &detail));
        };
        proofs.entry(*snapshot).or_default().insert(keys.clone());
    }
    for (snapshot, sets) in proofs {
        for keys in sets {
            let keys: Vec<_> = keys.into_iter().collect();
            world.is_signed_by(snapshot, &keys)?;
        }
    }
    Ok(())
}

/// The certificates of the approved publishers whose update this is. The publisher's name is known; which of them signed is
/// asked of apt.
fn keys_that_may_vouch(approval: &Approval, origin: &str, listed: &Listed) -> BTreeSet<String> {
    let updates = approval.release.updates.iter().filter(|update| {
        let Publisher { origin: approved, .. } = &update.publisher;
        approved == origin
            && update.source == listed.source
            && update.source_version == listed.source_version
            && update.build == listed.build
    });
    let keys = updates.flat_map(|update| update.publisher.keys.iter());
    keys.filter(|key| is_fingerprint(key)).cloned().collect()
}

/// Only a whole fingerprint becomes a word of a source list.
fn is_fingerprint(key: &str) -> bool {
    matches!(key.len(), 40 | 64) && key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

type Wanted<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a OrderedPackage>;
type Place = (Box<str>, Box<str>);

/// The wanted packages of one list whose stanza names the ordered file.
fn read(list: &Path, wanted: &Wanted<'_>) -> Result<Vec<(Place, Listed)>, Trouble> {
    let failed = |error: &std::io::Error| Trouble::io("read a list that apt verified", error);
    let names: BTreeSet<&str> = wanted.keys().map(|(name, _, _)| *name).collect();
    let file = File::open(list).map_err(|error| failed(&error))?;
    let mut lines = BufReader::with_capacity(1 << 16, file.take(LIST_BYTES));
    let (mut found, mut stanza, mut is_wanted) = (Vec::new(), Vec::new(), false);
    loop {
        let start = stanza.len();
        let room = STANZA_BYTES.saturating_sub(start as u64) + 1;
        let read = lines
            .by_ref()
            .take(room)
            .read_until(b'\n', &mut stanza)
            .map_err(|error| failed(&error))?;
        if stanza.len() as u64 > STANZA_BYTES {
            let detail = "a stanza of a verified list is longer than any may be";
            return Err(Trouble::new(Failure::Content, detail));
        }
        let line = &stanza[start..];
        if let Some(name) = line.strip_prefix(b"Package:") {
            let name = std::str::from_utf8(name.trim_ascii()).unwrap_or_default();
            is_wanted |= names.contains(name);
        }
        // As libapt: only an empty line ends a stanza, carriage returns aside.
        if line.iter().any(|byte| !matches!(byte, b'\n' | b'\r')) {
            continue;
        }
        if is_wanted && let Some(one) = listed(&stanza, wanted)? {
            found.push(one);
        }
        if read == 0 {
            return Ok(found);
        }
        stanza.clear();
        is_wanted = false;
    }
}

/// What a stanza says, if it is of a wanted package and of its very file.
fn listed(stanza: &[u8], wanted: &Wanted<'_>) -> Result<Option<(Place, Listed)>, Trouble> {
    let malformed = |_| Trouble::new(Failure::Content, "a stanza of a verified list cannot be read");
    let mut scanner = Scanner::new(stanza);
    let Some(fields) = scanner.next_stanza() else {
        return Ok(None);
    };
    let fields = fields.map_err(malformed)?;
    let text = |name: &str| {
        let field = fields.iter().find(|field| field.is(name));
        field.map(|field| field.text()).transpose().map_err(malformed)
    };
    let (Some(name), Some(architecture), Some(version)) =
        (text("Package")?, text("Architecture")?, text("Version")?)
    else {
        return Ok(None);
    };
    let Some(package) = wanted.get(&(name, architecture, version)) else {
        return Ok(None);
    };
    let digest = text("SHA256")?.and_then(|digest| Sha256Digest::parse(digest.as_bytes()).ok());
    if digest != Some(package.sha256) {
        return Ok(None);
    }
    // `Source: name (version)`, blanks and parentheses in whatever number; what is left out is the binary's own.
    let mut words = (text("Source")?.unwrap_or_default())
        .split([' ', '(', ')'])
        .filter(|word| !word.is_empty());
    let source = words.next().unwrap_or(name);
    let source_version = words.next().unwrap_or(version);
    Ok(Some((
        (package.name.clone(), package.architecture.clone()),
        Listed {
            source: source.to_owned(),
            source_version: source_version.to_owned(),
            build: split_rebuild(version).1.to_owned(),
        },
    )))
}
