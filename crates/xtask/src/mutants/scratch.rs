//! The scratch checkout: a git worktree of the last commit below `target/mutants`, with a build folder of its own that is kept
//! from run to run. A break is written there, tested, and written back.

use super::Fate;
use super::row::Row;
use crate::command;
use crate::tree::Tree;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A test that takes longer has hung, in seconds.
const DEADLINE_SECONDS: &str = "600";
/// What coreutils' timeout(1) returns when it ended the command.
const TIMED_OUT: i32 = 124;

/// The scratch checkout.
pub struct Scratch {
    tree: PathBuf,
    build: PathBuf,
}

/// What one run of one test said.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Green,
    Red,
    /// Nothing ran under that name, or it skipped itself.
    DidNotRun,
    DoesNotBuild(String),
    Hung,
}

impl Verdict {
    /// Why the test is of no use on the unbroken product; nothing if it is green.
    pub fn why_not_green(&self) -> Option<String> {
        match self {
            Self::Green => None,
            Self::Red => Some("the test is red".into()),
            Self::DidNotRun => Some("no such test runs here".into()),
            Self::DoesNotBuild(why) => Some(format!("it does not build: {why}")),
            Self::Hung => Some("the test hangs".into()),
        }
    }

    /// What the verdict on the broken product means for its row.
    pub fn fate(self) -> Fate {
        match self {
            Self::Red => Fate::Killed,
            Self::Green => Fate::Survived,
            Self::DidNotRun => Fate::Invalid("with the break, no such test runs".into()),
            Self::DoesNotBuild(why) => Fate::Invalid(format!("with the break, it does not build: {why}")),
            Self::Hung => Fate::Invalid("with the break, the test hangs: give it a deadline".into()),
        }
    }
}

impl Scratch {
    /// Makes the scratch checkout, or brings it to the last commit.
    pub fn of_last_commit(tree: &Tree) -> Result<Self> {
        let folder = tree.root().join("target/mutants");
        let scratch = Self {
            tree: folder.join("tree"),
            build: folder.join("build"),
        };
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let git = |arguments: &[&str]| {
            command::output(Command::new("git").args(arguments).current_dir(tree.root()))
        };
        git(&["worktree", "prune"])?;
        let commit = git(&["rev-parse", "HEAD"])?;
        if scratch.tree.join(".git").exists() {
            let in_scratch = |arguments: &[&str]| {
                command::output(Command::new("git").args(arguments).current_dir(&scratch.tree))
            };
            in_scratch(&["checkout", "--quiet", "--force", "--detach", commit.trim()])?;
        } else {
            let path = scratch
                .tree
                .to_str()
                .context("the checkout's path is not UTF-8")?;
            git(&[
                "worktree",
                "add",
                "--quiet",
                "--force",
                "--detach",
                path,
                commit.trim(),
            ])?;
        }
        if !git(&["status", "--porcelain"])?.is_empty() {
            println!("what is not committed is not looked at: the scratch checkout is the last commit");
        }
        Ok(scratch)
    }

    /// The text of a file, if it is there.
    pub fn read(&self, file: &str) -> Result<Option<String>> {
        let path = self.tree.join(file);
        if !path.is_file() {
            return Ok(None);
        }
        fs::read_to_string(&path)
            .map(Some)
            .with_context(|| format!("read {}", path.display()))
    }

    /// Replaces a file's text.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.tree.join(file), text).with_context(|| format!("write {file} of the scratch checkout"))
    }

    /// Builds and runs the one test of a row.
    pub fn test(&self, row: &Row) -> Result<Verdict> {
        let program = match self.build(row)? {
            Ok(program) => program,
            Err(why) => return Ok(Verdict::DoesNotBuild(why)),
        };
        let (code, printed) = self.run(&program, row, &[&row.test])?;
        Ok(verdict(&row.test, code, &printed))
    }

    /// Whether all of these tests of one test binary, which `row` names, are green: one build and one run for many.
    pub fn are_green(&self, row: &Row, tests: &[&str]) -> Result<bool> {
        let Ok(program) = self.build(row)? else {
            return Ok(false);
        };
        let (code, printed) = self.run(&program, row, tests)?;
        let count = format!("running {} test", tests.len());
        let did_run = printed.lines().any(|line| line.starts_with(&count));
        Ok(code == Some(0) && did_run && !is_skipped(&printed))
    }

    fn run(&self, program: &Path, row: &Row, tests: &[&str]) -> Result<(Option<i32>, String)> {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=10", DEADLINE_SECONDS])
            .arg(program)
            .args(["--exact", "--show-output"])
            .args(tests)
            .current_dir(self.tree.join("crates").join(&row.package));
        let ran = command
            .output()
            .with_context(|| format!("start `{}`", command::shown(&command)))?;
        let printed = [ran.stdout, ran.stderr].concat();
        Ok((ran.status.code(), String::from_utf8_lossy(&printed).into_owned()))
    }

    /// Builds the test binary of a row; the program, or why there is none.
    fn build(&self, row: &Row) -> Result<Result<PathBuf, String>> {
        let built = self.cargo(row)?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr).into_owned();
            let first = said.lines().find(|line| line.starts_with("error"));
            return Ok(Err(first.unwrap_or("cargo says nothing").to_owned()));
        }
        let said = String::from_utf8_lossy(&built.stdout).into_owned();
        let program = said.lines().rev().find_map(program_of);
        program
            .with_context(|| format!("{}: cargo names no test program", row.name))
            .map(Ok)
    }

    fn cargo(&self, row: &Row) -> Result<Output> {
        let mut command = Command::new("timeout");
        command.args([
            "--kill-after=10",
            DEADLINE_SECONDS,
            "cargo",
            "test",
            "--quiet",
            "--locked",
            "--no-run",
            "--message-format=json-render-diagnostics",
            "-p",
            &row.package,
        ]);
        match row.target.as_str() {
            "lib" => command.arg("--lib"),
            target => match target.split_once(':') {
                Some(("bin", name)) => command.args(["--bin", name]),
                None => command.args(["--test", target]),
                Some(_) => bail!(
                    "{}: `target` is `it`, `lib` or `bin:NAME`, not {target}",
                    row.name
                ),
            },
        };
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build);
        command
            .output()
            .with_context(|| format!("start `{}`", command::shown(&command)))
    }
}

/// The program that a line of cargo's messages says was built for tests.
fn program_of(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_test = message["profile"]["test"].as_bool() == Some(true);
    message["executable"]
        .as_str()
        .filter(|_| is_test)
        .map(PathBuf::from)
}

fn is_skipped(printed: &str) -> bool {
    printed.lines().any(|line| line.starts_with("skipped: "))
}

fn verdict(test: &str, code: Option<i32>, printed: &str) -> Verdict {
    let did_run = printed.lines().any(|line| line == "running 1 test");
    match code {
        Some(TIMED_OUT) => Verdict::Hung,
        _ if !did_run || is_skipped(printed) => Verdict::DidNotRun,
        Some(0) => Verdict::Green,
        // A crash of the whole test binary names no test: it is red too, but only a named failure is what the row promises.
        _ if printed.lines().any(|line| line.trim() == test) => Verdict::Red,
        _ => Verdict::DidNotRun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_test_turning_red_counts() {
        let red = "running 1 test\nfailures:\n    a::b\n";
        assert_eq!(verdict("a::b", Some(101), red), Verdict::Red);
        assert_eq!(verdict("a::b", Some(0), "running 1 test\n.\n"), Verdict::Green);
        assert_eq!(verdict("a::b", Some(0), "running 0 tests\n"), Verdict::DidNotRun);
        assert_eq!(
            verdict("a::b", Some(0), "running 1 test\nskipped: no root\n"),
            Verdict::DidNotRun
        );
        assert_eq!(
            verdict("a::b", Some(TIMED_OUT), "running 1 test\n"),
            Verdict::Hung
        );
    }
}
