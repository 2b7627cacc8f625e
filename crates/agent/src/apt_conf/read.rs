//! Reads a host's apt configuration in apt's order: built-in defaults, the file that `APT_CONFIG` names, the folder
//! `apt.conf.d`, `apt.conf`, and last what a caller sets, as `-o` does.

use super::syntax::{self, Include};
use super::{AptConf, SetError};
use crate::config_dir;
use crate::problem::{Effect, Problem};
use crate::tree::{Kind, ReadError, Tree};

/// A configuration file larger than this is not read.
const FILE_BYTES: u64 = 1 << 20;
/// Files that one configuration may consist of, with all that it includes.
const FILES: u32 = 1_000;
/// Files that include files that include files: apt's own limit.
const INCLUDES: u32 = 10;

/// The values that apt has before it reads a file (`pkgInitConfig`), as far as they matter here.
const DEFAULTS: [(&str, &str); 23] = [
    ("Dir", "/"),
    ("Dir::State", "var/lib/apt"),
    ("Dir::State::lists", "lists/"),
    ("Dir::State::cdroms", "cdroms.list"),
    ("Dir::Cache", "var/cache/apt"),
    ("Dir::Cache::archives", "archives/"),
    ("Dir::Etc", "etc/apt"),
    ("Dir::Etc::sourcelist", "sources.list"),
    ("Dir::Etc::sourceparts", "sources.list.d"),
    ("Dir::Etc::main", "apt.conf"),
    ("Dir::Etc::netrc", "auth.conf"),
    ("Dir::Etc::netrcparts", "auth.conf.d"),
    ("Dir::Etc::parts", "apt.conf.d"),
    ("Dir::Etc::preferences", "preferences"),
    ("Dir::Etc::preferencesparts", "preferences.d"),
    ("Dir::Etc::trustedparts", "trusted.gpg.d"),
    ("Dir::Log", "var/log/apt"),
    (
        "Acquire::IndexTargets::deb::Packages::MetaKey",
        "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages",
    ),
    ("Acquire::IndexTargets::deb::Packages::flatMetaKey", "Packages"),
    (
        "Acquire::IndexTargets::deb::Translations::MetaKey",
        "$(COMPONENT)/i18n/Translation-$(LANGUAGE)",
    ),
    (
        "Acquire::IndexTargets::deb::Translations::flatMetaKey",
        "$(LANGUAGE)",
    ),
    (
        "Acquire::IndexTargets::deb-src::Sources::MetaKey",
        "$(COMPONENT)/source/Sources",
    ),
    ("Acquire::IndexTargets::deb-src::Sources::flatMetaKey", "Sources"),
];

impl AptConf {
    /// What apt has before it reads a file, as far as it matters here.
    pub fn builtin() -> Self {
        let mut conf = Self::default();
        for (name, value) in DEFAULTS {
            conf.set(name, value)
                .expect("two dozen names of up to five parts are within the limits");
        }
        conf
    }
}

/// Settings from outside the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfOptions {
    /// The file that `APT_CONFIG` names, as a path inside the tree; read before all others.
    pub apt_config: Option<String>,
    /// Names and values that are set after all files, as apt's `-o` does.
    pub overrides: Vec<(String, String)>,
}

/// Reads the configuration in `tree`. A file that cannot be read or understood is a [`Problem`]; what stood in it
/// before the fault counts, as it does for `apt-config dump`.
pub fn read(tree: &Tree, options: &ConfOptions) -> (AptConf, Vec<Problem>) {
    let mut reader = Reader {
        tree,
        problems: Vec::new(),
        files: 0,
        depth: 0,
    };
    let mut conf = AptConf::builtin();
    if let Some(file) = &options.apt_config {
        reader.file(&mut conf, file);
    }
    let parts = conf.folder("Dir::Etc::parts");
    if matches!(tree.kind(&parts), Ok(Some(Kind::Folder)) | Err(_)) {
        reader.folder(&mut conf, &parts);
    }
    let main = conf.file("Dir::Etc::main");
    if !matches!(tree.kind(&main), Ok(None | Some(Kind::Folder))) || tree.is_broken_link(&main) {
        reader.file(&mut conf, &main);
    }
    for (name, value) in &options.overrides {
        reader.set(&mut conf, name, value);
    }
    (conf, reader.problems)
}

/// Reads one file's text into a configuration of its own; what it includes is not read.
pub fn parse(file: &str, text: &str) -> (AptConf, Vec<Problem>) {
    let mut conf = AptConf::default();
    let fault = syntax::parse(&mut conf, text, &mut Nothing).err();
    let problem =
        |(line, error): syntax::Fault| Problem::new(file, line, Effect::AptRefuses, error.to_string());
    (conf, fault.map(problem).into_iter().collect())
}

struct Nothing;

impl Include for Nothing {
    fn include(&mut self, _conf: &mut AptConf, _name: &str, _line: u32) {}
}

struct Reader<'tree> {
    tree: &'tree Tree,
    problems: Vec<Problem>,
    files: u32,
    depth: u32,
}

impl Reader<'_> {
    fn set(&mut self, conf: &mut AptConf, name: &str, value: &str) {
        if let Err(error) = conf.set(name, value) {
            let error: SetError = error;
            self.problems.push(Problem::new(
                "command line",
                0,
                Effect::Skipped,
                error.to_string(),
            ));
        }
    }

    fn folder(&mut self, conf: &mut AptConf, folder: &str) {
        match config_dir::files(self.tree, folder, &["conf", ""]) {
            Ok(files) => files.iter().for_each(|file| self.file(conf, file)),
            Err(error) => self.unreadable(folder, &error),
        }
    }

    fn file(&mut self, conf: &mut AptConf, file: &str) {
        if self.files == FILES {
            return;
        }
        self.files += 1;
        if self.files == FILES {
            let what =
                format!("the configuration consists of more than {FILES} files; the rest was not read");
            return self.problems.push(Problem::new(file, 0, Effect::Skipped, what));
        }
        let bytes = match self.tree.read(file, FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(file, &error),
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut including = Including { reader: self, file };
        if let Err((line, error)) = syntax::parse(conf, &text, &mut including) {
            let what = format!("{error}; the rest of the file was not read");
            self.problems
                .push(Problem::new(file, line, Effect::AptRefuses, what));
        }
    }

    fn unreadable(&mut self, path: &str, error: &ReadError) {
        if self.tree.is_broken_link(path) {
            return self.problems.push(Problem::unreadable(path, error));
        }
        self.problems.push(Problem::new(
            path,
            0,
            Effect::AptRefuses,
            crate::problem::chain(error),
        ));
    }
}

struct Including<'reader, 'tree> {
    reader: &'reader mut Reader<'tree>,
    file: &'reader str,
}

impl Include for Including<'_, '_> {
    fn include(&mut self, conf: &mut AptConf, name: &str, line: u32) {
        if self.reader.depth > INCLUDES {
            let what = format!("files include each other more than {INCLUDES} deep");
            return self
                .reader
                .problems
                .push(Problem::new(self.file, line, Effect::AptRefuses, what));
        }
        self.reader.depth += 1;
        if name.len() > 2 && name.ends_with('/') {
            self.reader.folder(conf, name);
        } else {
            self.reader.file(conf, name);
        }
        self.reader.depth -= 1;
    }
}
