//! Running other programs: what they print, and a clear error when they fail.

use anyhow::{Context, Result, ensure};
use std::process::{Command, Output};

/// Runs a command to its end and gives what it printed on standard output. Fails, with what it printed on standard error,
/// unless it succeeds.
pub fn output(command: &mut Command) -> Result<String> {
    let name = shown(command);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().with_context(|| format!("start `{name}`"))?;
    ensure!(
        status.success(),
        "`{name}` ended with {status}: {}",
        last_lines(&String::from_utf8_lossy(&stderr), 20)
    );
    String::from_utf8(stdout).with_context(|| format!("`{name}` printed something that is not UTF-8"))
}

/// Runs a command to its end, its output where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let name = shown(command);
    let status = command.status().with_context(|| format!("start `{name}`"))?;
    ensure!(status.success(), "`{name}` ended with {status}");
    Ok(())
}

/// Whether a program of this name can be started and says its version.
pub fn is_installed(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
