//! A small world for tests of the command: a host with three packages, an archive for two of them and a security
//! archive, served on loopback and fetched by the command itself or laid out as apt's lists.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::host::{HostTree, Installed};
use testkit::keys::SigningKey;
use testkit::server::Server;

/// Where the host keeps the key of its archives.
pub const KEY_FILE: &str = "/usr/share/keyrings/world.gpg";

/// A host, its archives, a server for them, and a cache.
pub struct World {
    pub server: Server,
    folder: tempfile::TempDir,
}

/// What `patchyard` did.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// `hello` is missing a security update, `plain` an ordinary one, `current` nothing.
    pub fn new() -> Self {
        Self::with(|main, _| main, |tree| tree)
    }

    /// The same with an own main archive and an own host.
    pub fn with(
        main: impl FnOnce(Archive, &SigningKey) -> Archive,
        host: impl FnOnce(HostTree) -> HostTree,
    ) -> Self {
        let key = SigningKey::ed25519("World <world@archive.example>");
        let folder = tempfile::tempdir().unwrap();
        let served = folder.path().join("served");
        std::fs::create_dir_all(&served).unwrap();
        let server = Server::start(&served).unwrap();
        let archive = |name: &str| Archive::new(name).origin("World").arch("amd64").sign(&key);
        let hello = Package::new("hello", "1.0-1");
        let plain = Package::new("plain", "2.0-1");
        let current = Package::new("current", "3.0-1");
        let main_archive = archive("stable")
            .package(hello.clone())
            .package(plain.clone().with_version("2.0-2"))
            .package(current.clone());
        let security = archive("stable-security").package(hello.clone().with_version("1.0-1+deb1u1"));
        let main_archive = main(main_archive, &key);
        let mut tree = HostTree::new().key(KEY_FILE, &key.certificate());
        for package in [&hello, &plain, &current] {
            tree = tree.package(package, Installed::Yes);
        }
        for archive in [&main_archive, &security] {
            archive.write_to(&served).unwrap();
            let stanza = archive.stanza(&server.uri(), &[&format!("Signed-By: {KEY_FILE}")]);
            tree = tree.stanza(&archive.sources_suite(), &stanza);
        }
        host(tree).write_to(&folder.path().join("host")).unwrap();
        Self { server, folder }
    }

    pub fn host(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn served(&self) -> PathBuf {
        self.folder.path().join("served")
    }

    pub fn lists(&self) -> PathBuf {
        self.host().join("var/lib/apt/lists")
    }

    /// Publishes the main archive anew, with these packages besides `hello` and `current`.
    pub fn publish_main(&self, packages: &[Package]) {
        let key = SigningKey::ed25519("World <world@archive.example>");
        let archive = Archive::new("stable").origin("World").arch("amd64").sign(&key);
        let kept = [Package::new("hello", "1.0-1"), Package::new("current", "3.0-1")];
        archive
            .packages(kept)
            .packages(packages.iter().cloned())
            .write_to(&self.served())
            .unwrap();
    }

    /// A path of the served archive, copied into the host's lists as apt would have fetched it.
    pub fn fetch_as_apt(&self) {
        let base = self.server.uri();
        let base = base.trim_start_matches("http://").trim_end_matches('/');
        for suite in ["stable", "stable-security"] {
            for file in [
                "InRelease",
                "main/binary-amd64/Packages",
                "main/binary-all/Packages",
            ] {
                let path = format!("dists/{suite}/{file}");
                let Ok(bytes) = self.plain(&path) else { continue };
                let name = format!("{base}/{path}").replace('/', "_");
                std::fs::write(self.lists().join(name), bytes).unwrap();
            }
        }
    }

    /// The lists file of a served path.
    pub fn list(&self, path: &str) -> PathBuf {
        let base = self.server.uri();
        let base = base.trim_start_matches("http://").trim_end_matches('/');
        self.lists().join(format!("{base}/{path}").replace('/', "_"))
    }

    fn plain(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let served = self.served().join(path);
        if served.exists() {
            return std::fs::read(served);
        }
        let packed = PathBuf::from(format!("{}.xz", served.display()));
        if !packed.exists() {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        testkit::archive::compress::unpack(testkit::archive::compress::Format::Xz, &std::fs::read(packed)?)
    }

    /// Runs `patchyard scan` over the host.
    pub fn scan(&self, options: &[&str]) -> Ran {
        scan_at(&self.host(), &self.cache(), options)
    }

    /// The result as JSON.
    pub fn json(&self, options: &[&str]) -> serde_json::Value {
        let ran = self.scan(&[options, &["--json"]].concat());
        serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
    }
}

/// Runs `patchyard scan` over any root.
pub fn scan_at(root: &Path, cache: &Path, options: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchyard"));
    command
        .arg("scan")
        .arg("--root")
        .arg(root)
        .arg("--cache-dir")
        .arg(cache)
        .args(options);
    command
        .env("LC_ALL", "C.UTF-8")
        .env_remove("http_proxy")
        .env_remove("https_proxy");
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Ran {
        code: status.code().expect("it was not killed"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}
