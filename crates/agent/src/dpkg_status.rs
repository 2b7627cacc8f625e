//! What is installed: dpkg's status file (`/var/lib/dpkg/status`), its list of architectures, and its journal.

use crate::problem::{Effect, Problem, printable};
use crate::tree::{ReadError, Tree, join};
use domain::deb822::{Field, Scanner};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, Inventory, PackageState, ReinstallRequired, Selection, multi_arch,
    relations_hash,
};

/// A status file larger than this is not read: 20,000 packages take about 40 MiB.
const FILE_BYTES: u64 = 256 << 20;
/// Problems that one status file may cause before the rest is only counted.
const PROBLEMS: usize = 100;
/// The longest field that is taken over, in bytes: dpkg and apt know no name or version near it.
const FIELD_BYTES: usize = 4_096;

/// A status file from which nothing can be concluded.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// It is missing or unreadable.
    #[error("cannot tell what is installed; is this the root of a Debian system, and may you read it?")]
    Unreadable(#[source] ReadError),
    /// It has no bytes, as after a crash on some file systems.
    #[error(
        "{path} is empty, so nothing can be said about this host; dpkg keeps its last good copy beside it as \
         status-old"
    )]
    Empty {
        /// The path inside the tree.
        path: String,
    },
    /// It has bytes, but no package could be read from it.
    #[error("{path} holds no package that can be read; {first}")]
    NoPackages {
        /// The path inside the tree.
        path: String,
        /// What was wrong with the first stanza.
        first: String,
    },
    /// Its last line does not end, so that the end is missing.
    #[error(
        "{path} ends in the middle of line {line}: it is truncated; dpkg keeps its last good copy beside it as \
         status-old"
    )]
    Truncated {
        /// The path inside the tree.
        path: String,
        /// The unfinished line, from 1.
        line: usize,
    },
}

/// Reads the status file at `path` and looks for an unfinished journal beside it.
pub fn read(tree: &Tree, path: &str) -> Result<(Inventory, Vec<Problem>), StatusError> {
    let bytes = tree.read(path, FILE_BYTES).map_err(StatusError::Unreadable)?;
    let (inventory, mut problems) = parse(path, &bytes)?;
    problems.extend(interruption(tree, path));
    Ok((inventory, problems))
}

/// Reads a status file's bytes; `path` is for messages. A malformed stanza is left out and named.
pub fn parse(path: &str, bytes: &[u8]) -> Result<(Inventory, Vec<Problem>), StatusError> {
    if bytes.is_empty() {
        return Err(StatusError::Empty {
            path: path.to_owned(),
        });
    }
    if bytes.last() != Some(&b'\n') {
        let line = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
        return Err(StatusError::Truncated {
            path: path.to_owned(),
            line,
        });
    }
    // A stanza takes about 1.5 kB.
    let mut packages = Vec::with_capacity(bytes.len() / 1_500);
    let mut problems = Problems {
        path,
        list: Vec::new(),
        more: 0,
    };
    let mut remembered = 0_usize;
    let mut scanner = Scanner::new(bytes);
    while let Some(stanza) = scanner.next_stanza() {
        match stanza {
            Ok(fields) => match package(fields) {
                Ok(Some(package)) => {
                    if package.state == PackageState::HalfInstalled
                        || package.reinstall_required == ReinstallRequired::Yes
                    {
                        problems.doubt(fields[0].line, half_there(&package));
                    }
                    packages.push(package);
                }
                Ok(None) => remembered += 1,
                Err(error) => {
                    let name = value_of(fields, "Package")
                        .map(String::from_utf8_lossy)
                        .unwrap_or_default();
                    problems.add(fields[0].line, format!("package “{}”: {error}", printable(&name)));
                }
            },
            Err(malformed) => problems.add(malformed.line, malformed.why.to_string()),
        }
    }
    if packages.is_empty() && remembered == 0 {
        let first = problems
            .list
            .first()
            .map_or_else(|| "it is blank".to_owned(), ToString::to_string);
        return Err(StatusError::NoPackages {
            path: path.to_owned(),
            first,
        });
    }
    sort(&mut packages, &mut problems);
    Ok((Inventory { packages }, problems.finish()))
}

/// The foreign architectures, in the order in which they were added, from dpkg's `arch` file beside its status.
pub(crate) fn foreign_architectures(tree: &Tree, status: &str, native: &str) -> Vec<String> {
    let Ok(bytes) = tree.read(&beside(status, "arch"), 1 << 16) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut foreign: Vec<String> = Vec::new();
    for architecture in text
        .lines()
        .map(str::trim)
        .filter(|name| is_architecture(name) && *name != native)
    {
        if !foreign.iter().any(|known| known == architecture) {
            foreign.push(architecture.to_owned());
        }
    }
    foreign
}

/// The first line of dpkg's `arch` file: it lists the native architecture first.
pub(crate) fn first_architecture(tree: &Tree, status: &str) -> Option<String> {
    let bytes = tree.read(&beside(status, "arch"), 1 << 16).ok()?;
    let first = std::str::from_utf8(&bytes).ok()?.lines().next()?.trim();
    is_architecture(first).then(|| first.to_owned())
}

/// Whether dpkg would take the text for an architecture (dpkg's `dpkg_arch_name_is_illegal`).
fn is_architecture(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// dpkg journals each step as a numbered file and merges them into the status at its end: what is left over means
/// that it was stopped, and that the status is behind.
fn interruption(tree: &Tree, status: &str) -> Option<Problem> {
    let updates = beside(status, "updates");
    let entries = tree.entries(&updates).ok()?;
    let is_journal = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let count = entries.iter().filter(|entry| is_journal(&entry.name)).count();
    let what = "dpkg was interrupted or is at work: the status may be behind; if no package manager runs, repair \
                it with: dpkg --configure -a";
    (count > 0).then(|| Problem::new(&updates, 0, Effect::Doubted, what))
}

fn beside(status: &str, name: &str) -> String {
    join(status.rsplit_once('/').map_or("", |(folder, _)| folder), name)
}

fn half_there(package: &InstalledPackage) -> String {
    format!(
        "{} is only half installed: its files may be of another version than {}; install it again with: \
         apt-get install --reinstall {}",
        package.name, package.version, package.name
    )
}

/// Problems with a cap, so that a file of nothing but damage costs no memory.
struct Problems<'path> {
    path: &'path str,
    list: Vec<Problem>,
    more: usize,
}

impl Problems<'_> {
    /// A package that was left out.
    fn add(&mut self, line: u32, what: String) {
        self.push(line, Effect::Skipped, what);
    }

    /// A package that counts and may not be what it says.
    fn doubt(&mut self, line: u32, what: String) {
        self.push(line, Effect::Doubted, what);
    }

    fn push(&mut self, line: u32, effect: Effect, what: String) {
        if self.list.len() < PROBLEMS {
            self.list.push(Problem::new(self.path, line, effect, what));
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let what = format!("{} more packages cannot be read or relied on", self.more);
            self.list.push(Problem::new(self.path, 0, Effect::Skipped, what));
        }
        self.list
    }
}

/// Why a stanza gives no package.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum StanzaError {
    #[error("the field {0} is missing or empty")]
    Missing(&'static str),
    #[error("the field {0} holds control characters, spaces or no UTF-8")]
    Illegible(&'static str),
    #[error("the field {0} is longer than {FIELD_BYTES} bytes")]
    TooLong(&'static str),
    #[error("the Status “{0}” is not one that dpkg writes")]
    Status(String),
}

/// The fields that matter, each at most once as the scanner promises.
#[derive(Default)]
struct Found<'file> {
    package: Option<&'file [u8]>,
    status: Option<&'file [u8]>,
    architecture: Option<&'file [u8]>,
    version: Option<&'file [u8]>,
    source: Option<&'file [u8]>,
    multi_arch: Option<&'file [u8]>,
    relations: [Option<&'file [u8]>; 6],
}

impl<'file> Found<'file> {
    fn in_fields(fields: &[Field<'file>]) -> Self {
        let mut found = Self::default();
        for field in fields {
            let place = match field.name.len() {
                6 if field.is("Status") => &mut found.status,
                6 if field.is("Source") => &mut found.source,
                6 if field.is("Breaks") => &mut found.relations[4],
                7 if field.is("Package") => &mut found.package,
                7 if field.is("Version") => &mut found.version,
                7 if field.is("Depends") => &mut found.relations[1],
                8 if field.is("Replaces") => &mut found.relations[5],
                9 if field.is("Conflicts") => &mut found.relations[3],
                10 if field.is("Multi-Arch") => &mut found.multi_arch,
                11 if field.is("Pre-Depends") => &mut found.relations[2],
                12 if field.is("Architecture") => &mut found.architecture,
                14 if field.is("Installed-Size") => &mut found.relations[0],
                _ => continue,
            };
            *place = Some(field.value);
        }
        found
    }
}

fn value_of<'file>(fields: &[Field<'file>], name: &str) -> Option<&'file [u8]> {
    fields
        .iter()
        .find(|field| field.is(name))
        .map(|field| field.value)
}

/// The package of a stanza; none where dpkg only remembers it.
fn package(fields: &[Field<'_>]) -> Result<Option<InstalledPackage>, StanzaError> {
    let found = Found::in_fields(fields);
    let name = word(found.package, "Package")?;
    let status = found.status.ok_or(StanzaError::Missing("Status"))?;
    let Some((selection, reinstall_required, state)) = status_of(status)? else {
        return Ok(None);
    };
    let version = word(found.version, "Version")?;
    let architecture = word(found.architecture, "Architecture")?;
    let (source, source_version) = match found.source {
        None => (name, version),
        Some(source) => source_of(source, version)?,
    };
    let fingerprint = BuildFingerprint {
        relations: relations_hash(found.relations),
        multi_arch: multi_arch(architecture.as_bytes(), found.multi_arch),
        size_bytes: 0,
    };
    Ok(Some(InstalledPackage {
        name: name.into(),
        architecture: architecture.into(),
        version: version.into(),
        source: source.into(),
        source_version: source_version.into(),
        selection,
        state,
        reinstall_required,
        fingerprint,
    }))
}

/// A value that is one word of visible characters.
fn word<'file>(value: Option<&'file [u8]>, field: &'static str) -> Result<&'file str, StanzaError> {
    let value = value
        .filter(|value| !value.is_empty())
        .ok_or(StanzaError::Missing(field))?;
    if value.len() > FIELD_BYTES {
        return Err(StanzaError::TooLong(field));
    }
    // Package names, versions and architectures are ASCII (Policy 5.6.1, 5.6.8, 5.6.12).
    if !value.iter().all(u8::is_ascii_graphic) {
        return Err(StanzaError::Illegible(field));
    }
    std::str::from_utf8(value).map_err(|_| StanzaError::Illegible(field))
}

/// `Source: name (version)`, deb-control(5).
fn source_of<'file>(
    source: &'file [u8],
    version: &'file str,
) -> Result<(&'file str, &'file str), StanzaError> {
    const FIELD: &str = "Source";
    let open = source.iter().position(|&byte| byte == b'(');
    let name = word(Some(source[..open.unwrap_or(source.len())].trim_ascii()), FIELD)?;
    let Some(open) = open else {
        return Ok((name, version));
    };
    let inner = source[open + 1..]
        .strip_suffix(b")")
        .ok_or(StanzaError::Illegible(FIELD))?;
    Ok((name, word(Some(inner.trim_ascii()), FIELD)?))
}

/// The three words of a status; none where there is no version on the host.
fn status_of(status: &[u8]) -> Result<Option<(Selection, ReinstallRequired, PackageState)>, StanzaError> {
    let unknown = || StanzaError::Status(printable(&String::from_utf8_lossy(status)));
    let mut words = status
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let mut next = || words.next().ok_or_else(unknown);
    let selection = match next()? {
        b"install" => Selection::Install,
        b"hold" => Selection::Hold,
        b"deinstall" => Selection::Deinstall,
        b"purge" => Selection::Purge,
        b"unknown" => Selection::Unknown,
        _ => return Err(unknown()),
    };
    let reinstall_required = match next()? {
        b"ok" => ReinstallRequired::No,
        b"reinstreq" => ReinstallRequired::Yes,
        _ => return Err(unknown()),
    };
    let state = match next()? {
        b"installed" => PackageState::Installed,
        b"half-installed" => PackageState::HalfInstalled,
        b"unpacked" => PackageState::Unpacked,
        b"half-configured" => PackageState::HalfConfigured,
        b"triggers-awaited" => PackageState::TriggersAwaited,
        b"triggers-pending" => PackageState::TriggersPending,
        b"not-installed" | b"config-files" => return Ok(None),
        _ => return Err(unknown()),
    };
    if words.next().is_some() {
        Err(unknown())
    } else {
        Ok(Some((selection, reinstall_required, state)))
    }
}

/// Sorts by name, then architecture; of two stanzas of one package the later counts, as it does for dpkg.
fn sort(packages: &mut Vec<InstalledPackage>, problems: &mut Problems<'_>) {
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    packages.dedup_by(|later, earlier| {
        let is_same = (&later.name, &later.architecture) == (&earlier.name, &earlier.architecture);
        if is_same {
            problems.add(
                0,
                format!(
                    "{}:{} stands in it twice; the later one counts",
                    later.name, later.architecture
                ),
            );
            std::mem::swap(later, earlier);
        }
        is_same
    });
}
