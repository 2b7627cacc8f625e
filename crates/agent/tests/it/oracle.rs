//! Runs apt's and dpkg's own programs over a file tree made for a test.

use std::path::Path;
use std::process::Command;
use testkit::skip::skip;

/// What a program printed, or what it said against the files that it read.
pub type Answer = Result<String, String>;

/// Runs one of apt's programs as if the system's root were `root`; `None`, with a word, where it is not installed.
pub fn apt(root: &Path, program: &str, arguments: &[&str]) -> Option<Answer> {
    let settings = tempfile::NamedTempFile::new().unwrap();
    let (dir, log) = (root.display(), root.join("var/log").display().to_string());
    let text = format!("Dir \"{dir}/\";\nDir::Log \"{log}\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\n");
    std::fs::write(settings.path(), text).unwrap();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .env("APT_CONFIG", settings.path());
    run(program, &mut command)
}

/// Runs a program; `None`, with a word, where it is not installed.
pub fn run(program: &str, command: &mut Command) -> Option<Answer> {
    match command.output() {
        Ok(done) if done.status.success() => Some(Ok(String::from_utf8_lossy(&done.stdout).into_owned())),
        Ok(done) => Some(Err(String::from_utf8_lossy(&done.stderr).into_owned())),
        Err(_) => {
            skip(&format!("{program} is not installed"));
            None
        }
    }
}

/// Writes a file of a tree with the folders above it.
pub fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
