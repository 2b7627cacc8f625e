//! A host as the documents that travel: what is installed, what it is configured to use, what else it says of itself, and
//! the keys that it trusts, each by the digest of its bytes. Every document is read back before it is handed out: what the
//! server would refuse is not sent, and the reason stands in the host's facts instead.

pub mod carry;
mod claim;

use crate::host::{Host, HostError, ReadOptions};
use crate::problem::{Effect, Problem};
use crate::survey::{self, Look};
use crate::tree::{OpenTreeError, Tree};
use domain::assess::phasing::InChroot;
use domain::digest::Sha256Digest;
use domain::host::facts::{HostFacts, PackageDatabase};
use domain::host::measures::Measures;
use domain::host::network::Neighbours;
use domain::identity::HardwareMark;
use protocol::document::channels::{ChannelConfigDocument, HostProblem, ProblemEffect, StanzaEvidence};
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentError, DocumentKind};
use protocol::limits;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A document's bytes and their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// SHA-256 of its bytes.
    pub digest: Sha256Digest,
    /// The bytes, as they are sent.
    pub bytes: Arc<[u8]>,
}

/// A host, ready to be told.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The packages; absent where they cannot be had, and then the facts say why.
    pub inventory: Option<HostDocument>,
    /// Where they come from; absent likewise.
    pub channel_config: Option<HostDocument>,
    /// What else the host says.
    pub facts: HostDocument,
    /// The key files that the channel config names, each once, by digest.
    pub key_files: Vec<HostDocument>,
    /// What changes by itself.
    pub measures: Measures,
    /// What was seen of neighbours, for the next [`Look`].
    pub neighbours: Option<Neighbours>,
    /// What tells this computer from another; absent where nothing does.
    pub hardware: Option<HardwareMark>,
    /// What could not be told, in sentences for people.
    pub troubles: Vec<String>,
}

impl Reading {
    /// The documents of which a host has one, in the order in which a check-in names them.
    pub fn named(&self) -> impl Iterator<Item = &HostDocument> {
        [
            self.inventory.as_ref(),
            self.channel_config.as_ref(),
            Some(&self.facts),
        ]
        .into_iter()
        .flatten()
    }

    /// Any document that the host has, by its digest.
    pub fn find(&self, digest: &Sha256Digest) -> Option<&HostDocument> {
        self.named()
            .chain(&self.key_files)
            .find(|own| own.digest == *digest)
    }
}

/// Reads the host whose file tree has its root at `root`. A host without dpkg has facts all the same.
///
/// # Errors
/// [`OpenTreeError`] if the root cannot be opened.
pub fn read(root: &Path, options: ReadOptions, look: &Look) -> Result<Reading, OpenTreeError> {
    match crate::host::read(root, options) {
        Ok(host) => Ok(of_host(&host, look)),
        Err(HostError::Tree(error)) => Err(error),
        Err(error) => {
            let tree = Tree::open(root)?;
            let why = crate::problem::chain(&error);
            let facts = survey::facts_without_packages(&tree, &why, look);
            Ok(assemble(&tree, facts, None, None, look))
        }
    }
}

/// The documents of a host that was read.
pub fn of_host(host: &Host, look: &Look) -> Reading {
    let facts = survey::facts(host, look);
    let inventory = document(&InventoryDocument::from(&host.inventory));
    let (channels, key_files, troubles) = channels(host);
    let channels = document(&channels);
    let mut reading = assemble(&host.tree, facts, Some(inventory), Some(channels), look);
    reading.key_files = key_files;
    reading.troubles.extend(troubles);
    reading.troubles.truncate(limits::TROUBLES);
    reading
}

type Made = Result<HostDocument, DocumentError>;

fn assemble(
    tree: &Tree,
    facts: HostFacts,
    inventory: Option<Made>,
    channels: Option<Made>,
    look: &Look,
) -> Reading {
    let mut troubles = Vec::new();
    let mut facts = facts;
    if let PackageDatabase::Rpm { why } | PackageDatabase::Unknown { why } = &facts.packages {
        troubles.push(format!("The packages of this host are unknown: {why}"));
    }
    let mut keep = |what: &str, made: Option<Made>| match made? {
        Ok(document) => Some(document),
        Err(error) => {
            let why = format!("{what} cannot be told: {}", crate::problem::chain(&error));
            troubles.push(why.clone());
            facts.packages = PackageDatabase::Unknown { why };
            None
        }
    };
    let inventory = keep("The packages of this host", inventory);
    let channel_config = keep("The sources of this host", channels);
    let neighbours = facts.neighbours.known().cloned();
    let hardware = hardware_mark(tree, &facts);
    Reading {
        inventory,
        channel_config,
        facts: document(&FactsDocument::from(&facts)).unwrap_or_else(|error| bare_facts(&facts, &error)),
        key_files: Vec::new(),
        measures: survey::measures(tree, look.now_micros),
        neighbours,
        hardware,
        troubles,
    }
}

/// Facts that the server would refuse, down to who the host is: that much is within every limit.
fn bare_facts(facts: &HostFacts, error: &DocumentError) -> HostDocument {
    use domain::host::facts::Known;
    let why = format!("the facts cannot be told: {}", crate::problem::chain(error));
    let bare = HostFacts {
        updaters: Vec::new(),
        history: domain::host::change::History {
            transactions: Vec::new(),
            unread: vec![why.clone()],
        },
        kernels: domain::host::kernel::Kernels::default(),
        restart: Known::unknown(&why),
        interfaces: Known::unknown(&why),
        neighbours: Known::unknown(&why),
        listening: Known::unknown(&why),
        ..facts.clone()
    };
    document(&FactsDocument::from(&bare)).expect("facts of single, cut lines are within the limits")
}

/// The document's bytes, if they read back as what they were made from.
fn document<D: Document>(document: &D) -> Made {
    let bytes = document.to_bytes();
    D::parse(&bytes)?;
    Ok(named(D::KIND, bytes.into()))
}

fn named(kind: DocumentKind, bytes: Arc<[u8]>) -> HostDocument {
    HostDocument {
        kind,
        digest: protocol::sha256(&bytes),
        bytes,
    }
}

/// The channel config with its evidence, the key files that it names, and what is wrong with any of them.
fn channels(host: &Host) -> (ChannelConfigDocument, Vec<HostDocument>, Vec<String>) {
    let mut key_files: BTreeMap<Sha256Digest, HostDocument> = BTreeMap::new();
    let mut problems: Vec<HostProblem> = host.problems.iter().map(problem).collect();
    let mut troubles = Vec::new();
    let mut evidence = Vec::new();
    for stanza in &host.channel_config.stanzas {
        let files = host.keys.for_stanza(stanza).unwrap_or_else(|error| {
            problems.push(HostProblem {
                file: crate::problem::printable(&stanza.file),
                line: stanza.line,
                what: crate::problem::printable(&error.to_string()),
                effect: ProblemEffect::Doubted,
            });
            Vec::new()
        });
        let documents = files
            .into_iter()
            .filter(|file| file.bytes.len() <= limits::KEY_FILE_BYTES);
        let documents = documents.map(|file| named(DocumentKind::KeyFile, file.bytes));
        let mut digests = Vec::new();
        for document in documents.take(limits::KEYS_PER_STANZA) {
            digests.push(document.digest);
            key_files.insert(document.digest, document);
        }
        digests.sort();
        digests.dedup();
        evidence.push(StanzaEvidence {
            keys: digests,
            release: claim::of_stanza(host, stanza),
        });
    }
    problems.sort();
    problems.dedup();
    if problems.len() > limits::PROBLEMS {
        troubles.push(format!(
            "{} faults in the files of this host are not told one by one",
            problems.len() - limits::PROBLEMS
        ));
        // What makes the answer unknown stays; the sort of what is merely noted goes first.
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.effect));
        problems.truncate(limits::PROBLEMS);
        problems.sort();
    }
    let mut document = ChannelConfigDocument::of(&host.channel_config, &evidence);
    document.in_chroot = host.in_chroot == InChroot::Yes;
    document.problems = problems;
    (document, key_files.into_values().collect(), troubles)
}

fn problem(problem: &Problem) -> HostProblem {
    HostProblem {
        file: problem.file.clone(),
        line: problem.line,
        what: problem.what.clone(),
        effect: match problem.effect {
            Effect::Noted => ProblemEffect::Noted,
            Effect::Doubted => ProblemEffect::Doubted,
            Effect::Skipped => ProblemEffect::Skipped,
            Effect::AptRefuses => ProblemEffect::AptRefuses,
        },
    }
}

/// What tells one computer's hardware from another's, digested: the nameplate's serial numbers where root may read them,
/// and the link addresses that the hardware brings (not those that software makes up). A clone of a virtual machine gets
/// others from its hypervisor; a container has none of its own.
fn hardware_mark(tree: &Tree, facts: &HostFacts) -> Option<HardwareMark> {
    if !tree.is_live() || facts.virtualisation.is_container() {
        return None;
    }
    let number = |name: &str| {
        let text = tree.read(&format!("/sys/class/dmi/id/{name}"), 4096).ok()?;
        crate::facts::fact(&String::from_utf8_lossy(&text))
    };
    let mut marks: Vec<String> = ["product_uuid", "product_serial", "board_serial"]
        .into_iter()
        .filter_map(|name| Some(format!("{name} {}", number(name)?)))
        .collect();
    for entry in tree.entries("/sys/class/net").unwrap_or_default() {
        let folder = format!("/sys/class/net/{}", entry.name);
        // Only a device of hardware, or one that the hypervisor plugs in, has a folder of its own behind it.
        let is_hardware = matches!(tree.kind(&format!("{folder}/device")), Ok(Some(_)));
        let address = tree
            .read(&format!("{folder}/address"), 4096)
            .ok()
            .filter(|_| is_hardware);
        marks.extend(address.map(|address| format!("link {}", String::from_utf8_lossy(&address).trim())));
    }
    marks.sort();
    marks.dedup();
    if marks.is_empty() {
        return None;
    }
    let digest = protocol::sha256(marks.join("\n").as_bytes());
    let (first, _) = digest.0.split_first_chunk::<16>()?;
    Some(HardwareMark(*first))
}
