//! The `patchyard` command: reads the command line, does what it says, prints the result or the reason, and leaves
//! with the exit code that scripts rely on.

mod args;
mod explain;
mod people;
mod place;
mod report;
mod scan;
mod text;

use args::{Command, CommandLine, FailOn, ScanArgs};
use clap::Parser;
use people::Shown;
use report::{Report, Standing};
use std::io::{self, Write};
use std::process::ExitCode;
use text::Style;

fn main() -> ExitCode {
    let Command::Scan(args) = CommandLine::parse().command;
    match scan_command(&args) {
        Ok(code) => code,
        Err(error) => {
            let chain: Vec<String> = error
                .chain()
                .map(|cause| text::shown(&cause.to_string()).into_owned())
                .collect();
            let _ = writeln!(io::stderr(), "patchyard: {}", chain.join(": "));
            ExitCode::FAILURE
        }
    }
}

fn scan_command(args: &ScanArgs) -> anyhow::Result<ExitCode> {
    let style = Style::new(args.color, variable);
    let shown = if args.security {
        Shown::SecurityOnly
    } else {
        Shown::Everything
    };
    scan::run(args, |scan| {
        let report = scan.report();
        let output = match &args.explain {
            Some(name) => explain::render(scan, name, style)?,
            None if args.json => text::shown_json(serde_json::to_string_pretty(&report)?) + "\n",
            None => people::render(&report, shown, style),
        };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
            // The reader of a pipe may leave early (`| head`): that is no failure of the scan, and no finding less.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        Ok(ExitCode::from(exit_code(&report, args.fail_on)))
    })
}

/// The codes that `patchyard scan --help` promises.
fn exit_code(report: &Report, fail_on: Option<FailOn>) -> u8 {
    const MISSING: u8 = 3;
    const UNKNOWN: u8 = 4;
    let counts = &report.counts;
    let is_missing = match fail_on {
        None => return 0,
        Some(FailOn::Security) => counts.security_updates > 0,
        Some(FailOn::Any) => counts.updates > 0,
        Some(FailOn::Unknown) => false,
    };
    match report.standing {
        _ if is_missing => MISSING,
        Standing::Unknown => UNKNOWN,
        Standing::UpToDate | Standing::UpdatesMissing => 0,
    }
}

/// A variable of the environment, if it is text.
#[expect(
    clippy::disallowed_methods,
    reason = "the command is the edge at which the environment is read"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
