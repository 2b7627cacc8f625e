//! gpgv, and apt's method that calls it, as judges. gpgv's status lines are read as apt reads them: some good signature
//! with a digest that is no longer weak, and no bad one (apt's methods/gpgv.cc).

use super::{Case, Document};
use crate::tools;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const APT_METHOD: &str = "/usr/lib/apt/methods/gpgv";

/// A folder to work in, and the programs that judge.
pub struct Oracle {
    folder: tempfile::TempDir,
    number: AtomicU32,
}

/// What a judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused(String),
    NotAsked,
}

impl Verdict {
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }
}

/// The files of one case on disk.
struct Files {
    keyring: PathBuf,
    signed: PathBuf,
    signature: Option<PathBuf>,
}

impl Oracle {
    /// Says `skipped` where a judge is missing.
    pub fn new() -> Option<Self> {
        if !tools::has("gpgv", &["--version"]) {
            return None;
        }
        if !Path::new(APT_METHOD).exists() {
            tools::skip("apt's gpgv method is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // apt's method gives up its rights and must still read everything.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        Some(Self {
            folder,
            number: AtomicU32::new(0),
        })
    }

    fn files(&self, case: &Case) -> Files {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str, content: &[u8]| {
            let path = self.folder.path().join(format!("{number}-{name}"));
            fs::write(&path, content).unwrap();
            path
        };
        let keyring = file("keys.gpg", &case.keyring);
        match &case.document {
            Document::Inline(content) => Files {
                keyring,
                signed: file("InRelease", content),
                signature: None,
            },
            Document::Detached { release, signature } => Files {
                keyring,
                signed: file("Release", release),
                signature: Some(file("Release.gpg", signature)),
            },
        }
    }

    /// gpgv on the file itself.
    pub fn gpgv(&self, case: &Case) -> Verdict {
        let files = self.files(case);
        let mut command = Command::new("gpgv");
        command
            .args(["--status-fd", "1", "--keyring"])
            .arg(&files.keyring);
        let output = command
            .args(&files.signature)
            .arg(&files.signed)
            .output()
            .unwrap();
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        if matches!(output.status.code(), Some(0 | 2)) && is_good(&status) {
            Verdict::Accepted
        } else {
            Verdict::Refused(status.replace("[GNUPG:] ", " ").replace('\n', ";"))
        }
    }

    /// The text that gpgv hands out for a clear-signed file.
    pub fn text(&self, case: &Case) -> Option<Vec<u8>> {
        let files = self.files(case);
        if files.signature.is_some() {
            return None;
        }
        let mut command = Command::new("gpgv");
        command
            .args(["--output", "-", "--keyring"])
            .arg(&files.keyring)
            .arg(&files.signed);
        Some(command.stderr(Stdio::null()).output().unwrap().stdout)
    }

    /// apt's method, which splits the file itself and asks gpgv.
    pub fn apt(&self, case: &Case) -> Verdict {
        let files = self.files(case);
        let asked = files.signature.as_ref().unwrap_or(&files.signed);
        let request = format!(
            "600 URI Acquire\nURI: gpgv:{}\nFilename: {}\nSigned-By: {}\n\n",
            asked.display(),
            files.signed.display(),
            files.keyring.display(),
        );
        let mut command = Command::new(APT_METHOD);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        if answer.contains("\n201 URI Done\n") {
            Verdict::Accepted
        } else {
            Verdict::Refused(answer)
        }
    }
}

fn is_good(status: &str) -> bool {
    let has = |word: &str| {
        status.lines().any(|line| {
            line.strip_prefix("[GNUPG:] ")
                .is_some_and(|line| line.starts_with(word))
        })
    };
    // The digest's number stands eighth; 1 to 3 are MD5, SHA-1 and RIPEMD-160.
    let is_strong = |line: &&str| {
        line.split(' ')
            .nth(9)
            .is_some_and(|digest| !["1", "2", "3"].contains(&digest))
    };
    let valid = status
        .lines()
        .filter(|line| line.starts_with("[GNUPG:] VALIDSIG "))
        .filter(is_strong)
        .count();
    has("GOODSIG ") && valid > 0 && !has("BADSIG ")
}
