//! The private apt world of one order: a folder with the ordered snapshots byte for byte, a source list of nothing else with the
//! keys of the host's own stanzas, lists, caches, and an archive folder with the ordered package files. The host's own lists,
//! caches and settings stay untouched; its dpkg, holds and marks are the real ones.
//!
//! Freshness is replaced by the digest that the order names: only a release file that has it is put there, and only then may it
//! be past its date. Authenticity is never replaced: apt verifies the signature, by the host's own keys.

use super::stanza::{self, Keys};
use super::tool::Tool;
use super::{Installed, Simulated, Trouble, publisher, settings, simulation};
use crate::host::{self, ReadOptions};
use domain::change::Approval;
use domain::digest::Sha256Digest;
use domain::order::{Order, OrderedPackage, OrderedSnapshot};
use domain::rollout::deployment::Failure;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The largest release file, in bytes, as everywhere.
const RELEASE_BYTES: u64 = 1 << 20;
/// The settings of the world, in its folder.
const SETTINGS: &str = "apt.conf";
/// What an armoured key begins with (RFC 9580, section 6.2), after comments.
const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// Its source list.
pub(super) const SOURCES: &str = "ordered.sources";

/// Where a world stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldPlaces {
    /// The order's own folder, which only root may enter. The world is `world` in it; one from before is replaced.
    pub folder: PathBuf,
}

impl WorldPlaces {
    /// The world's folder.
    pub(crate) fn world(&self) -> PathBuf {
        self.folder.join("world")
    }

    /// The package files, under apt's own names.
    pub(crate) fn archives(&self) -> PathBuf {
        self.world().join("archives")
    }

    /// The words with which apt's programs live in it.
    pub(crate) fn settings(&self) -> [OsString; 2] {
        ["-c".into(), self.world().join(SETTINGS).into_os_string()]
    }
}

/// A world whose release files apt verified.
#[derive(Debug)]
pub struct World {
    places: WorldPlaces,
    snapshots: Vec<(OrderedSnapshot, PathBuf, KeyFiles)>,
}

/// The keys of one snapshot, written where apt reads them.
#[derive(Debug)]
struct KeyFiles {
    paths: Vec<String>,
    fingerprints: Vec<String>,
}

impl World {
    /// Builds the world of an order, and has apt verify it. `files` says where the file of a digest lies; each belongs to root and
    /// was verified.
    ///
    /// # Errors
    /// [`Failure::Snapshot`]: a release file is not the ordered one, or its signature does not hold by the host's keys.
    /// [`Failure::Content`]: a file is missing or altered. [`Failure::HostChanged`]: the host does not use that source any more.
    /// [`Failure::DiskFull`], [`Failure::PackageManager`]: the world could not be written or read.
    pub fn build(
        places: &WorldPlaces,
        order: &Order,
        files: &dyn Fn(&Sha256Digest) -> PathBuf,
    ) -> Result<Self, Trouble> {
        let folder = places.world();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Trouble::io("remove an earlier world", &error));
            }
            _ => {}
        }
        for part in ["lists/partial", "archives/partial", "keys", "proof/partial"] {
            make(&folder.join(part))?;
        }
        let host = host::read(Path::new("/"), ReadOptions::default())
            .map_err(|error| Trouble::new(Failure::PackageManager, &crate::problem::chain(&error)))?;
        let mut snapshots = Vec::new();
        for (number, snapshot) in order.snapshots.iter().enumerate() {
            let stanza = stanza::stanza_of(&host, snapshot)?;
            let keys = write_keys(&folder, number, &stanza::keys_of(&host, stanza)?)?;
            let own = folder.join(number.to_string());
            put_snapshot(&own, snapshot, files)?;
            snapshots.push((snapshot.clone(), own, keys));
        }
        for package in &order.packages {
            let name = archive_name(package);
            put(&files(&package.sha256), &places.archives().join(name))?;
        }
        let world = Self {
            places: places.clone(),
            snapshots,
        };
        write(&folder.join(SETTINGS), &settings::text(places)?)?;
        world.write_sources()?;
        world.verify()?;
        Ok(world)
    }

    /// What apt would do, held against the order; whether every package is of an approved update, by its publisher's own word.
    ///
    /// # Errors
    /// [`Failure::Differs`]: apt would do something else, or a package is of no approved update. [`Failure::HostChanged`]: what is
    /// to be replaced is not what the order was made for, or is on hold. [`Failure::PackageManager`]: apt failed otherwise.
    pub fn simulate(&self, order: &Order, approval: &Approval) -> Result<Simulated, Trouble> {
        publisher::judge(self, order, approval)?;
        let installed = Installed::read()?;
        simulation::compare(&self.places, order, &installed)
    }

    /// Lists of the packages of each snapshot, and the Origin of its release file, as apt has them.
    pub(super) fn targets(&self) -> Result<Vec<publisher::Target>, Trouble> {
        let words = [
            "indextargets",
            "--format",
            "$(REPO_URI)\t$(ORIGIN)\t$(FILENAME)",
            "Created-By: Packages",
        ];
        let words = (self.places.settings().into_iter()).chain(words.map(OsString::from));
        let text = Tool::AptGet.tell(words, Failure::PackageManager)?;
        let mut targets = Vec::new();
        for line in text.lines() {
            let mut fields = line.splitn(3, '\t');
            let (Some(uri), Some(origin), Some(file)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let folder = uri.trim_start_matches("file:").trim_end_matches('/');
            let is_of = |own: &Path| own == Path::new(folder);
            let Some(snapshot) = self.snapshots.iter().position(|(_, own, _)| is_of(own)) else {
                continue;
            };
            targets.push(publisher::Target {
                snapshot,
                // What no field says is left as the name of the field.
                origin: if origin == "$(ORIGIN)" { "" } else { origin }.to_owned(),
                list: PathBuf::from(file),
            });
        }
        Ok(targets)
    }

    /// Whether apt finds a good signature of this snapshot's release file by one of these certificates of the host.
    pub(super) fn is_signed_by(&self, snapshot: usize, fingerprints: &[String]) -> Result<(), Trouble> {
        let (ordered, own, keys) = &self.snapshots[snapshot];
        let words: Vec<_> = (keys.paths.iter().chain(fingerprints)).cloned().collect();
        // A target that there is none of: the release file is verified, and no index is read again.
        let text = stanza::text_of(ordered, own, &words)?.replace("Targets: Packages", "Targets: none");
        let folder = self.places.world();
        let (sources, lists) = (folder.join("proof.sources"), folder.join("proof"));
        fs::remove_dir_all(&lists).map_err(|error| Trouble::io("empty a folder of lists", &error))?;
        make(&lists.join("partial"))?;
        write(&sources, &text)?;
        self.update(&sources, &lists, &[])
    }

    fn write_sources(&self) -> Result<(), Trouble> {
        let mut text = String::new();
        for place in 0..self.snapshots.len() {
            text.push_str(&self.source(place)?);
        }
        write(&self.places.world().join(SOURCES), &text)
    }

    /// The stanzas of a snapshot, with the host's keys.
    fn source(&self, place: usize) -> Result<String, Trouble> {
        let (snapshot, own, keys) = &self.snapshots[place];
        let words: Vec<_> = keys.paths.iter().chain(&keys.fingerprints).cloned().collect();
        stanza::text_of(snapshot, own, &words)
    }

    /// Each snapshot by itself: apt asks for indexes in the form in which they were ordered, and one source may be packed
    /// otherwise than the next.
    fn verify(&self) -> Result<(), Trouble> {
        let folder = self.places.world();
        for (place, (snapshot, ..)) in self.snapshots.iter().enumerate() {
            let sources = folder.join(format!("{place}.sources"));
            write(&sources, &self.source(place)?)?;
            let forms = format!(
                "Acquire::IndexTargets::deb::Packages::CompressionTypes={}",
                settings::forms(snapshot)
            );
            self.update(&sources, &folder.join("lists"), &["-o".into(), forms.into()])?;
        }
        Ok(())
    }

    /// `apt-get update` of these sources: it takes over into the lists what it verified, and nothing else.
    fn update(&self, sources: &Path, lists: &Path, more: &[OsString]) -> Result<(), Trouble> {
        let option = |name: &str, path: &Path| ["-o".into(), format!("{name}={}", path.display()).into()];
        let words = (self.places.settings().into_iter())
            .chain(option("Dir::Etc::sourcelist", sources))
            .chain(option("Dir::State::lists", lists))
            // The cache over all of them is made when it is first asked for.
            .chain(["-o".into(), "pkgCacheFile::Generate=false".into()])
            .chain(more.iter().cloned());
        let before = releases(lists)?;
        let said = Tool::AptGet.ask(words.chain(["-q".into(), "update".into()]))?;
        // An older apt also ends well without what it refused.
        if said.is_success() && releases(lists)? > before {
            return Ok(());
        }
        let text = said.all();
        let kind = match super::classify(&text) {
            Failure::DiskFull => Failure::DiskFull,
            _ if is_about_a_signature(&text) => Failure::Snapshot,
            _ => Failure::Content,
        };
        // Which key is missing stands in a warning; the error after it says only that nothing is signed.
        let reason = text
            .lines()
            .find(|line| line.contains("GPG error") || line.contains("OpenPGP signature"));
        let complaint = said.complaint("apt-get update");
        let detail = match (kind, reason) {
            (Failure::Snapshot, Some(reason)) => format!("apt-get update: {}", reason.trim()),
            _ => complaint,
        };
        Err(Trouble::new(kind, &detail))
    }
}

/// How many signed release files a folder of lists has.
fn releases(lists: &Path) -> Result<usize, Trouble> {
    let entries = fs::read_dir(lists).map_err(|error| Trouble::io("list what apt verified", &error))?;
    let is_release = |name: &str| name.ends_with("InRelease") || name.ends_with("Release.gpg");
    Ok((entries.flatten())
        .filter(|entry| is_release(&entry.file_name().to_string_lossy()))
        .count())
}

/// Whether apt complains of a release file, not of what it names.
fn is_about_a_signature(text: &str) -> bool {
    ["is not signed", "GPG error", "signatures", "OpenPGP", "Signed-By"]
        .iter()
        .any(|words| text.contains(words))
}

/// The files of a snapshot in its folder; the release file has the digest that the order names, whatever was verified before.
fn put_snapshot(
    own: &Path,
    snapshot: &OrderedSnapshot,
    files: &dyn Fn(&Sha256Digest) -> PathBuf,
) -> Result<(), Trouble> {
    if !stanza::is_plain_suite(&snapshot.suite) {
        let detail = format!("{} cannot be the name of a suite", snapshot.suite);
        return Err(Trouble::new(Failure::Refused, &detail));
    }
    let folder = own.join(stanza::release_folder(&snapshot.suite));
    make(&folder)?;
    let release = crate::service::read_bounded(&files(&snapshot.release), RELEASE_BYTES)
        .map_err(|error| Trouble::new(Failure::Content, &format!("a release file is missing: {error}")))?;
    let is_ordered = |bytes: &Vec<u8>| protocol::sha256(bytes) == snapshot.release;
    let Some(release) = release.filter(is_ordered) else {
        let detail = format!(
            "the release file of {} is not the one that was ordered",
            snapshot.suite
        );
        return Err(Trouble::new(Failure::Snapshot, &detail));
    };
    let name = match snapshot.signature {
        Some(signature) => {
            put(&files(&signature), &folder.join("Release.gpg"))?;
            "Release"
        }
        None => "InRelease",
    };
    fs::write(folder.join(name), release).map_err(|error| Trouble::io("write a release file", &error))?;
    for index in &snapshot.indexes {
        let path = folder.join(&*index.path);
        make(path.parent().unwrap_or(&folder))?;
        put(&files(&index.sha256), &path)?;
    }
    Ok(())
}

fn write_keys(folder: &Path, number: usize, keys: &Keys) -> Result<KeyFiles, Trouble> {
    let mut paths = Vec::new();
    for (count, bytes) in keys.files.iter().enumerate() {
        // apt tells the two forms apart by the file's name.
        let is_armored = String::from_utf8_lossy(&bytes[..bytes.len().min(4_096)]).contains(ARMOR);
        let form = if is_armored { "asc" } else { "gpg" };
        let path = folder.join(format!("keys/{number}-{count}.{form}"));
        fs::write(&path, bytes).map_err(|error| Trouble::io("write a key", &error))?;
        paths.push(path.display().to_string());
    }
    Ok(KeyFiles {
        paths,
        fingerprints: keys.fingerprints.clone(),
    })
}

/// apt's own name of a package file in its archive folder (apt-pkg/acquire-item.cc, `pkgAcqArchive`; strutl.cc, `QuoteString`).
fn archive_name(package: &OrderedPackage) -> String {
    let quoted = |text: &str, bad: &str| -> String {
        let quote =
            |byte: u8| bad.as_bytes().contains(&byte) || !(0x21..0x7f).contains(&byte) || byte == b'%';
        text.bytes().fold(String::new(), |mut name, byte| {
            if quote(byte) {
                name.push_str(&format!("%{byte:02x}"));
            } else {
                name.push(char::from(byte));
            }
            name
        })
    };
    let OrderedPackage {
        name,
        version,
        architecture,
        ..
    } = package;
    format!(
        "{}_{}_{}.deb",
        quoted(name, "_:/"),
        quoted(version, "_:/"),
        quoted(architecture, "_:./")
    )
}

/// The same file under another name, without copying it where that is possible.
fn put(from: &Path, to: &Path) -> Result<(), Trouble> {
    match fs::hard_link(from, to) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let detail = format!("a file of the order is missing ({})", to.display());
            return Err(Trouble::new(Failure::Content, &detail));
        }
        // To copy over it would be to write into whatever file it is.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let detail = format!("two files of the order have one place ({})", to.display());
            return Err(Trouble::new(Failure::Refused, &detail));
        }
        // Another file system, for example.
        Err(_) => {}
    }
    let copied = fs::copy(from, to).map(drop);
    copied.map_err(|error| Trouble::io(&format!("put {} in place", to.display()), &error))
}

fn make(folder: &Path) -> Result<(), Trouble> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Trouble::io(&format!("make the folder {}", folder.display()), &error))
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, text).map_err(|error| Trouble::io(&format!("write {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_file_has_the_name_by_which_apt_looks_for_it() {
        // Seen in /var/cache/apt/archives of Debian 12.
        let package = |name: &str, version: &str, architecture: &str| OrderedPackage {
            name: name.into(),
            architecture: architecture.into(),
            version: version.into(),
            from: None,
            sha256: Sha256Digest([0; 32]),
            size_bytes: 0,
        };
        let name = archive_name(&package("git", "1:2.39.5-0+deb12u2", "amd64"));
        assert_eq!(name, "git_1%3a2.39.5-0+deb12u2_amd64.deb");
        let name = archive_name(&package("libstdc++6", "12.2.0-14+deb12u1", "amd64"));
        assert_eq!(name, "libstdc++6_12.2.0-14+deb12u1_amd64.deb");
        let name = archive_name(&package("x", "1.0~rc1_2", "all"));
        assert_eq!(name, "x_1.0~rc1%5f2_all.deb");
    }
}
