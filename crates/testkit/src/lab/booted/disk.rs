//! A host's disk: an overlay whose lower side is a pristine root that all hosts of a suite share, and whose upper side is
//! what this host has written.

use anyhow::{Context, bail};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where a disk is: the pristine root, and a folder for what is written.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) image: PathBuf,
    pub(super) folder: PathBuf,
}

/// What tells a fresh host from its pristine root.
pub(super) struct Person<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    /// Whom it knows by the name `server`.
    pub(super) server: Ipv4Addr,
    /// Counts installations: each has a machine-id of its own.
    pub(super) installation: u32,
}

impl Disk {
    /// The whole, as the host sees it.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    /// Mounts it; an empty one where nothing was written yet.
    pub(super) fn mount(&self) -> anyhow::Result<()> {
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(self.folder.join(part)).context("could not make the host's folder")?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.image.display(),
            self.upper().display(),
            self.folder.join("work").display()
        );
        let mut command = Command::new("mount");
        command.args(["-t", "overlay", "overlay", "-o", &options]);
        run(command.arg(self.root()))
    }

    /// Mounts a copy of another one, on which nobody may be writing.
    pub(super) fn mount_copy_of(&self, other: &Self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder).context("could not make the host's folder")?;
        let mut command = Command::new("cp");
        // With the extended attributes by which overlayfs knows what was replaced and what is gone.
        command.args(["--archive", "--no-target-directory"]);
        run(command.arg(other.upper()).arg(self.upper()))?;
        self.mount()
    }

    /// Takes the mount away even while something still uses it.
    pub(super) fn unmount(&self) {
        unmount(&self.root());
    }

    /// Forgets all that was written.
    pub(super) fn wipe(&self) -> anyhow::Result<()> {
        self.unmount();
        for part in ["upper", "work"] {
            fs::remove_dir_all(self.folder.join(part)).context("could not wipe the host's disk")?;
        }
        self.mount()
    }

    /// Gives a fresh host its name, machine-id and neighbours.
    pub(super) fn personalise(&self, person: &Person<'_>) -> anyhow::Result<()> {
        let Person {
            name,
            address,
            server,
            installation,
        } = person;
        let id = identity(&format!("{} {address} {installation}", self.folder.display()));
        let hosts = format!("127.0.0.1 localhost\n::1 localhost\n{address} {name}\n{server} server\n");
        let files = [
            ("etc/machine-id", format!("{id}\n")),
            ("etc/hostname", format!("{name}\n")),
            ("etc/hosts", hosts),
            ("etc/resolv.conf", String::new()),
        ];
        for (path, text) in files {
            let path = self.root().join(path);
            // It may be a link out of the tree.
            let _ = fs::remove_file(&path);
            fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        }
        let _ = fs::remove_file(self.root().join("var/lib/dbus/machine-id"));
        Ok(())
    }

    /// Does something in the host's root while names resolve there as they do on this machine.
    pub(super) fn with_this_machines_names<T>(
        &self,
        work: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let root = self.root();
        let files = ["etc/resolv.conf", "etc/hosts"];
        let mut own = Vec::new();
        for file in files {
            own.push(fs::read(root.join(file)).with_context(|| format!("could not read {file}"))?);
            fs::copy(Path::new("/").join(file), root.join(file))
                .with_context(|| format!("could not lend {file}"))?;
        }
        let done = work(&root);
        for (file, bytes) in files.iter().zip(own) {
            fs::write(root.join(file), bytes).with_context(|| format!("could not take {file} back"))?;
        }
        done
    }
}

/// A machine-id, the same for the same seed.
fn identity(seed: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(seed.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Takes a mount away even while something still uses it.
pub(in crate::lab) fn unmount(path: &Path) {
    let _ = Command::new("umount")
        .args(["--lazy", "--recursive", "--quiet"])
        .arg(path)
        .stderr(Stdio::null())
        .status();
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command
        .output()
        .with_context(|| format!("could not run {name}"))?;
    if !done.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
