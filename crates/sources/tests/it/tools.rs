//! The tools that answers are compared with, and what happens where one is missing: a test says that it is skipped,
//! but in CI it fails.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Debian's own Python, for which python3-apt is built.
pub const PYTHON: &str = "/usr/bin/python3";

/// Says that a test is skipped, or fails in CI.
#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
pub fn skip(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "nothing may be skipped in CI: {why}"
    );
    writeln!(std::io::stderr(), "skipped: {why}").expect("standard error is open");
}

/// Whether the program runs with these arguments; says `skipped` where not.
pub fn has(program: &str, probe: &[&str]) -> bool {
    let run = Command::new(program).args(probe).stdin(Stdio::null()).output();
    let runs = run.is_ok_and(|output| output.status.success());
    if !runs {
        skip(&format!("`{program} {}` does not run", probe.join(" ")));
    }
    runs
}

/// Whether libapt answers through python3-apt; says `skipped` where not.
pub fn has_libapt() -> bool {
    has(PYTHON, &["-c", "import apt_pkg"])
}

/// What a program makes of `input`. It must succeed.
pub fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("the program ends")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed: {complaint}"
    );
    output.stdout
}

/// The package lists that apt holds on this machine; says `skipped` where there are none.
pub fn machine_lists() -> Vec<PathBuf> {
    let mut lists: Vec<PathBuf> = std::fs::read_dir("/var/lib/apt/lists")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains("_Packages"))
        .collect();
    lists.sort();
    if lists.is_empty() {
        skip("this machine has no package lists (apt-get update)");
    }
    lists
}

/// A package list as apt itself unpacks it.
pub fn unpacked_by_apt(list: &std::path::Path) -> Vec<u8> {
    let run = Command::new("/usr/lib/apt/apt-helper")
        .arg("cat-file")
        .arg(list)
        .output();
    let output = run.expect("apt-helper runs where apt has lists");
    assert!(
        output.status.success(),
        "apt-helper cat-file {} failed",
        list.display()
    );
    output.stdout
}
