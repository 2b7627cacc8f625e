//! The way to the tools that answers are compared with, and what happens where they are missing: a test says that it
//! is skipped, but in CI it fails.

use std::env;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

/// Debian's own Python, for which python3-apt is built.
const PYTHON: &str = "/usr/bin/python3";

/// The number in an environment variable, or the one given here.
#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
pub fn number(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |text| {
        text.parse().expect("a number in the environment")
    })
}

/// Says that a test is skipped, or fails in CI.
#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
pub fn skip(why: &str) {
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "nothing may be skipped in CI: {why}"
    );
    writeln!(std::io::stderr(), "skipped: {why}").expect("standard error is open");
}

/// Whether libapt answers through python3-apt; says `skipped` where not.
pub fn has_libapt() -> bool {
    let answers = Command::new(PYTHON)
        .args(["-c", "import apt_pkg"])
        .stderr(Stdio::null())
        .status();
    let answers = answers.is_ok_and(|status| status.success());
    if !answers {
        skip("libapt cannot be asked (install python3-apt)");
    }
    answers
}

/// Runs a Python script that has libapt as `apt_pkg`: `write` feeds it while `read` takes its answers.
pub fn ask_libapt<T>(
    script: &str,
    write: impl FnOnce(&mut dyn Write) + Send,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> T {
    let script = format!("import sys, os, apt_pkg\napt_pkg.init()\n{script}");
    let mut child = Command::new(PYTHON)
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python was there a moment ago");
    let stdin = child.stdin.take().expect("standard input is a pipe");
    let mut stdout = child.stdout.take().expect("standard output is a pipe");
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut stdin = std::io::BufWriter::with_capacity(1 << 16, stdin);
            write(&mut stdin);
        });
        let mut running = Running(child);
        let answer = read(&mut stdout);
        assert!(
            running.0.wait().expect("python ends").success(),
            "the script failed"
        );
        answer
    })
}

/// A process that ends with the test: without that, a failed comparison would leave both sides waiting for each other.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The package indexes that apt holds on this machine, decompressed by apt itself, by file name.
pub fn package_indexes() -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<_> = std::fs::read_dir("/var/lib/apt/lists")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.path().into_os_string().into_string().ok())
        .filter(|path| path.contains("_Packages"))
        .collect();
    names.sort();
    let unpack = |name: String| {
        let run = Command::new("/usr/lib/apt/apt-helper")
            .args(["cat-file", &name])
            .output();
        let output = run.expect("apt-helper comes with apt");
        assert!(output.status.success(), "apt-helper could not read {name}");
        (name, output.stdout)
    };
    names.into_iter().map(unpack).collect()
}

/// A generator of numbers that is the same every time (xorshift64*).
#[derive(Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// One of these.
    pub fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}
