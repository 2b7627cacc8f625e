//! Real release files of Debian with Debian's own keys, as they are and changed.

use super::Expected::{NeverMore, Refused};
use super::{Case, Document};
use std::fs;
use std::path::{Path, PathBuf};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// How many cases are made of one file.
pub const MUTATIONS: usize = 7;

/// Nothing where the files are missing.
pub fn cases() -> Vec<Case> {
    let (Some(folder), Ok(keyring)) = (folder(), fs::read(KEYRING)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.to_string_lossy().ends_with("_InRelease"));
    paths.sort();
    let files: Vec<_> = paths.iter().map(|path| (path, fs::read(path).unwrap())).collect();
    let mut cases = Vec::new();
    for (number, (path, file)) in files.iter().enumerate() {
        let name = path.file_name().unwrap().to_string_lossy();
        let (_, next) = &files[(number + 1) % files.len()];
        let signature = find(file, b"-----BEGIN PGP SIGNATURE-----");
        let next_signature = find(next, b"-----BEGIN PGP SIGNATURE-----");
        let mut add = |what: &str, file: Vec<u8>, expected| {
            let document = Document::Inline(file);
            cases.push(Case {
                name: format!("{name} {what}"),
                keyring: keyring.clone(),
                document,
                expected,
            });
        };
        add("as it is", file.clone(), NeverMore);
        add("with a digit changed", flipped(file, signature / 2), Refused);
        add(
            "with its date changed",
            flipped(file, find(file, b"\nDate: ") + 12),
            Refused,
        );
        add(
            "with its signature changed",
            flipped(file, (signature + file.len()) / 2),
            Refused,
        );
        add("cut in half", file[..file.len() / 2].to_vec(), Refused);
        add(
            "with another's signature",
            [&file[..signature], &next[next_signature..]].concat(),
            Refused,
        );
        add("twice", file.repeat(2), Refused);
    }
    assert!(
        cases.len() == files.len() * MUTATIONS,
        "every file makes as many cases"
    );
    cases
}

#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
fn folder() -> Option<PathBuf> {
    let folder = Path::new(&std::env::var_os("PATCHYARD_SHARED")?).join("data/apt-meta");
    folder.is_dir().then_some(folder)
}

fn find(file: &[u8], part: &[u8]) -> usize {
    file.windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

fn flipped(file: &[u8], place: usize) -> Vec<u8> {
    let mut changed = file.to_vec();
    changed[place] ^= 1;
    changed
}
