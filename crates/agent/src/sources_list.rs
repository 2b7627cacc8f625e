//! A host's configured package sources, sources.list(5): one-line and deb822 files in apt's order, as
//! [`Stanza`]s. The two syntaxes are in [`one_line`] and [`deb822`]; what their options mean is in [`options`];
//! [`collect`] joins entries of one release, as apt does before it looks at any index.

mod collect;
mod deb822;
mod one_line;
mod options;

use crate::apt_conf::AptConf;
use crate::config_dir;
use crate::problem::chain;
use crate::problem::{Effect, Problem};
use crate::tree::{Kind, Tree};
use collect::Collector;
use domain::host::channels::Stanza;

/// A source list larger than this is not read.
const FILE_BYTES: u64 = 4 << 20;
/// Entries (a suite and component of an address each) that one host may have.
const ENTRIES: usize = 10_000;

/// The architectures of a host in apt's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Architectures {
    /// dpkg's own.
    pub native: String,
    /// All that are configured, the native one among them.
    pub configured: Vec<String>,
    /// `APT::BarbarianArchitectures`: fetched for, but nothing is installed from them.
    pub barbarian: Vec<String>,
}

/// Whether a line configures binary packages or sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryType {
    Deb,
    DebSrc,
}

impl EntryType {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "deb" => Some(Self::Deb),
            "deb-src" => Some(Self::DebSrc),
            _ => None,
        }
    }
}

/// One address, suite and component as a file has it.
#[derive(Clone, Debug)]
struct Entry {
    file: String,
    line: u32,
    uri: String,
    suite: String,
    /// Empty for a flat repository.
    component: String,
    options: options::Options,
}

impl Entry {
    fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }
}

/// What all entries are read with.
struct Context<'host> {
    conf: &'host AptConf,
    architectures: &'host Architectures,
}

/// Reads the source lists that `conf` names in `tree`: the main file first, then the folder's by name.
///
/// A malformed entry is left out and named; the others are used. apt itself refuses to work until it is repaired.
pub fn read(tree: &Tree, conf: &AptConf, architectures: &Architectures) -> (Vec<Stanza>, Vec<Problem>) {
    let context = Context { conf, architectures };
    let mut problems = Vec::new();
    let mut collector = Collector::default();
    for file in files(tree, conf, &mut problems) {
        let bytes = match tree.read(&file, FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                problems.push(Problem::unreadable(&file, &error));
                continue;
            }
        };
        add_file(&mut collector, &file, &bytes, &context, &mut problems);
    }
    (collector.into_stanzas(), problems)
}

/// Reads one list's bytes; its name decides on the syntax, as for apt: deb822 for `.sources`, else one line each.
pub fn parse(
    file: &str,
    bytes: &[u8],
    conf: &AptConf,
    architectures: &Architectures,
) -> (Vec<Stanza>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut collector = Collector::default();
    add_file(
        &mut collector,
        file,
        bytes,
        &Context { conf, architectures },
        &mut problems,
    );
    (collector.into_stanzas(), problems)
}

fn add_file(
    collector: &mut Collector,
    file: &str,
    bytes: &[u8],
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) {
    let is_deb822 = file
        .rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "sources");
    let entries = if is_deb822 {
        deb822::entries(file, bytes, context, problems)
    } else {
        one_line::entries(file, bytes, context, problems)
    };
    for entry in entries {
        collector.add(entry, context, problems);
    }
}

/// The main list and those of the folder, in apt's order.
fn files(tree: &Tree, conf: &AptConf, problems: &mut Vec<Problem>) -> Vec<String> {
    let main = conf.file("Dir::Etc::sourcelist");
    let parts = conf.folder("Dir::Etc::sourceparts");
    let mut files = Vec::new();
    let mut missing = Vec::new();
    match tree.kind(&main) {
        Ok(Some(Kind::File)) => files.push(main),
        Ok(None) if tree.is_broken_link(&main) => files.push(main),
        Ok(_) => missing.push(main),
        Err(error) => problems.push(Problem::new(&main, 0, Effect::Skipped, chain(&error))),
    }
    match config_dir::files(tree, &parts, &["list", "sources"]) {
        Ok(more) => files.extend(more),
        Err(error) if error.is_not_found() => missing.push(parts),
        Err(_) if parts.ends_with("/dev/null") => missing.push(parts),
        Err(error) => problems.push(Problem::new(&parts, 0, Effect::Skipped, chain(&error))),
    }
    if let ([], [main, parts]) = (files.as_slice(), missing.as_slice()) {
        let what = format!("neither it nor {parts} exists: no source of packages is configured");
        problems.push(Problem::new(main, 0, Effect::Noted, what));
    }
    files
}
