//! Keys and signatures that GnuPG itself makes, in a home folder of their own.

use super::Expected::{Accepted, Refused};
use super::{Case, Document, Expected, TEXT};
use std::fs;
use std::process::{Command, Stdio};

const ALGORITHMS: [(&str, Expected); 9] = [
    ("ed25519", Accepted),
    ("rsa2048", Accepted),
    ("rsa3072", Accepted),
    ("nistp256/ecdsa", Accepted),
    ("nistp384/ecdsa", Accepted),
    ("nistp521/ecdsa", Accepted),
    ("dsa2048", Refused),
    ("secp256k1/ecdsa", Refused),
    ("brainpoolP256r1/ecdsa", Refused),
];

/// A GnuPG home folder; its agent ends with it.
struct Home(tempfile::TempDir);

impl Home {
    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.0.path());
        command
            .args([
                "--batch",
                "--yes",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let kill = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--kill", "all"])
            .status();
        drop(kill);
    }
}

/// Each algorithm as the primary key and as a subkey, inline and detached.
pub fn cases() -> Vec<Case> {
    let home = Home(tempfile::tempdir().unwrap());
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(home.0.path(), closed).unwrap();
    let text = home.0.path().join("text");
    fs::write(&text, TEXT).unwrap();
    let text = text.to_str().unwrap();
    let mut cases = Vec::new();
    let mut add = |name: &str, user: &str, expected| {
        let keyring = home.run(&["--export", user]);
        let inline = home.run(&["--local-user", user, "--output", "-", "--clear-sign", text]);
        let signature = home.run(&[
            "--local-user",
            user,
            "--output",
            "-",
            "--armor",
            "--detach-sign",
            text,
        ]);
        let detached = Document::Detached {
            release: TEXT.to_vec(),
            signature,
        };
        for (form, document) in [("inline", Document::Inline(inline)), ("detached", detached)] {
            cases.push(Case {
                name: format!("{name}, {form}"),
                keyring: keyring.clone(),
                document,
                expected,
            });
        }
    };
    for (algorithm, expected) in ALGORITHMS {
        let user = format!("{algorithm}@deb.example");
        home.run(&["--quick-generate-key", &user, algorithm, "sign", "never"]);
        add(algorithm, &user, expected);
        let user = format!("sub-{algorithm}@deb.example");
        home.run(&["--quick-generate-key", &user, "ed25519", "cert", "1y"]);
        let listing = String::from_utf8(home.run(&["--with-colons", "--list-keys", &user])).unwrap();
        let fingerprint = listing
            .lines()
            .find_map(|line| line.strip_prefix("fpr:"))
            .unwrap();
        let fingerprint = fingerprint.trim_matches(':').to_owned();
        home.run(&["--quick-add-key", &fingerprint, algorithm, "sign", "1y"]);
        add(&format!("{algorithm} as a subkey"), &user, expected);
    }
    cases
}
