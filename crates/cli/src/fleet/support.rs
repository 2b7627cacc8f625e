//! `patchyard support-bundle`: what somebody who helps wants to see of the server, shown before it is written, and written
//! as one archive of exactly what was shown.

use super::args::Format;
use super::client::ApiError;
use super::{Asker, json, member};
use crate::text::shown;
use anyhow::{Context, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `patchyard support-bundle`
#[derive(Debug, clap::Args)]
pub struct SupportBundle {
    /// Only print the list of its files and all that stands in them; write nothing.
    #[arg(long, conflicts_with = "output")]
    pub preview: bool,
    /// Where to write it; a file that is there stays [default: patchyard-support-TIME.tar.gz].
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave names and addresses in, in place of the same stand-in for each. Secrets are taken out either way.
    #[arg(long)]
    pub with_names: bool,
}

/// One file of the bundle.
struct File<'a> {
    name: &'a str,
    text: &'a str,
    is_cut: bool,
}

/// Fetches a bundle and shows or writes it.
///
/// # Errors
/// The server refuses, or the file is there or cannot be written.
pub fn run(asker: &Asker, command: &SupportBundle) -> anyhow::Result<String> {
    ensure!(asker.asking.format() != Format::Csv, ApiError::NoList);
    let names = match command.with_names {
        true => "shown",
        false => "hidden",
    };
    let bundle = asker.client.get("/api/v1/support-bundle", &[("names", names)])?;
    if command.preview && asker.asking.format() == Format::Json {
        return json(&bundle);
    }
    let files = files(&bundle)?;
    if command.preview {
        return Ok(preview(&files));
    }
    let made_at: Timestamp = member(&bundle, "made_at")?
        .parse()
        .context("read when the bundle was made")?;
    let path = match &command.output {
        Some(path) => path.clone(),
        None => made_at
            .strftime("patchyard-support-%Y-%m-%dT%H%M%SZ.tar.gz")
            .to_string()
            .into(),
    };
    write_new(&path, &archive(&files, made_at)?)?;
    let shown_path = shown(&path.display().to_string()).into_owned();
    let told = match command.with_names {
        true => "names and addresses stand in it",
        false => "names and addresses have stand-ins",
    };
    let sentence = format!(
        "Wrote {} files into {shown_path}; secrets were taken out, {told}. Look through it before you give it away.",
        files.len()
    );
    asker.say(
        &serde_json::json!({ "file": path, "files": files.len(), "names": names }),
        &sentence,
    )
}

/// The files of an answer. A name that could leave a folder is refused, whoever the server is.
fn files(bundle: &Value) -> anyhow::Result<Vec<File<'_>>> {
    let Some(files) = bundle["files"].as_array() else {
        bail!("the server's answer has no files: is it a newer version than this program?");
    };
    files
        .iter()
        .map(|file| {
            let name = member(file, "name")?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-./".contains(&byte);
            let is_plain = name.bytes().all(plain)
                && name
                    .split('/')
                    .all(|part| !part.is_empty() && !part.starts_with('.'));
            ensure!(
                is_plain,
                "the server names a file {:?}, which is no plain name",
                shown(name)
            );
            Ok(File {
                name,
                text: member(file, "text")?,
                is_cut: file["is_cut"] == true,
            })
        })
        .collect()
}

/// The list of files, then what stands in each.
fn preview(files: &[File<'_>]) -> String {
    let mut out = String::new();
    for file in files {
        let cut = if file.is_cut { ", cut" } else { "" };
        let _ = writeln!(out, "{:20} {:>9} bytes{cut}", file.name, file.text.len());
    }
    for file in files {
        let _ = writeln!(out, "\n==> {} <==", file.name);
        for line in file.text.lines() {
            let _ = writeln!(out, "{}", shown(line));
        }
    }
    out
}

/// The bundle as a compressed tar archive, in one folder.
fn archive(files: &[File<'_>], made_at: Timestamp) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let folder = made_at.strftime("patchyard-support-%Y-%m-%dT%H%M%SZ").to_string();
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(file.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(made_at.as_second()).unwrap_or(0));
        archive.append_data(
            &mut header,
            format!("{folder}/{}", file.name),
            file.text.as_bytes(),
        )?;
    }
    archive.into_inner()?.finish()
}

/// Writes a file that only its owner reads, and that was not there.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("write {}; name another file with --output", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as object;

    #[test]
    fn the_archive_holds_what_was_shown_and_tar_reads_it() {
        let bundle = object!({ "files": [
            { "name": "README.txt", "text": "read me\n", "is_cut": false },
            { "name": "logs/server.log", "text": "{\"message\":\"hello\"}\n", "is_cut": true },
        ] });
        let files = files(&bundle).expect("plain names");
        let shown = preview(&files);
        assert!(
            shown.contains("logs/server.log             20 bytes, cut\n"),
            "{shown}"
        );
        assert!(shown.contains("\n==> README.txt <==\nread me\n"), "{shown}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bundle.tar.gz");
        let bytes = archive(&files, Timestamp::UNIX_EPOCH).expect("packed");
        write_new(&path, &bytes).expect("written");
        assert!(write_new(&path, b"again").is_err(), "a file that is there stays");
        let tar = std::process::Command::new("tar")
            .arg("-xzf")
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .status();
        assert!(tar.expect("tar runs").success());
        let unpacked = folder.path().join("patchyard-support-1970-01-01T000000Z");
        for file in &files {
            let text = std::fs::read_to_string(unpacked.join(file.name)).expect("it is in it");
            assert_eq!(text, file.text);
        }
    }

    #[test]
    fn a_server_cannot_name_a_file_outside() {
        for name in ["../a", "/a", "a/../b", "a//b", "", ".a", "a\nb", "a b"] {
            let bundle = object!({ "files": [{ "name": name, "text": "", "is_cut": false }] });
            assert!(files(&bundle).is_err(), "{name:?}");
        }
    }
}
