//! Writes well-formed inputs for the fuzz targets, one folder each: what is signed, compressed or nested is out of a fuzzer's
//! reach if it has to start from nothing. Usage: `fuzz_seeds FOLDER`.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use testkit::archive::Archive;
use testkit::archive::compress::{Format, pack};
use testkit::archive::package::Package;
use testkit::keys::SigningKey;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("usage: fuzz_seeds FOLDER")?;
    let key = SigningKey::ed25519("Seeds <seeds@archive.example>");
    let files = archive(&key).files()?;
    for (path, bytes) in &files {
        let name = path.replace('/', "_");
        if path.ends_with("InRelease") {
            for target in ["clearsign", "inrelease"] {
                write(&folder, target, &name, bytes)?;
            }
        } else if path.ends_with("Release.gpg") {
            write(&folder, "detached", &name, bytes)?;
        } else if path.ends_with("Release") {
            write(&folder, "release", &name, bytes)?;
        } else if path.ends_with("Packages") {
            packages(&folder, bytes)?;
        }
    }
    write(&folder, "keyring", "binary.gpg", &key.certificate())?;
    write(&folder, "keyring", "armoured.asc", key.armored().as_bytes())?;
    versions(&folder)
}

fn archive(key: &SigningKey) -> Archive {
    Archive::new("seeds")
        .origin("Seeds")
        .arch("amd64")
        .formats(&[Format::Plain])
        .package(
            Package::new("hello", "2.10-3")
                .depends("libc6 (>= 2.34)")
                .multi_arch("foreign"),
        )
        .package(
            Package::new("libhello1", "1:2.10-3+b1")
                .source("hello (1:2.10-3)")
                .phased(30),
        )
        .sign(key)
}

fn packages(folder: &Path, text: &[u8]) -> Result<()> {
    write(folder, "deb822", "Packages", text)?;
    write(folder, "index_build", "Packages", &[b"@", text].concat())?;
    for (choice, format) in (0..).zip(Format::ALL) {
        let packed = pack(format, text).context("pack a seed")?;
        write(
            folder,
            "decompress",
            &format!("Packages{}", format.extension()),
            &[&[choice], &packed[..]].concat(),
        )?;
    }
    Ok(())
}

fn versions(folder: &Path) -> Result<()> {
    for (name, text) in [
        ("tilde", "1.0~rc1-1\n1.0-1\n1.0-1+b1"),
        ("epoch", "2:1.16.2+ds-1+b3\n1.16.2+ds0-1\n1:0"),
    ] {
        write(folder, "deb_version", name, text.as_bytes())?;
    }
    Ok(())
}

fn write(folder: &Path, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let folder = folder.join(target);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(folder.join(name), bytes).with_context(|| format!("write the seed {name}"))
}
