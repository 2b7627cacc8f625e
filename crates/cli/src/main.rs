//! The `patchyard` command: reads the command line, does what it says, prints the result or the reason, and leaves
//! with the exit code that scripts rely on.

mod args;
mod exit;
mod explain;
#[cfg(feature = "server")]
mod fleet;
mod people;
mod place;
mod progress;
mod report;
mod scan;
#[cfg(feature = "server")]
mod service;
mod text;
#[cfg(feature = "server")]
mod up;

use args::{Command, CommandLine, FailOn, ScanArgs};
use clap::Parser;
use people::Shown;
use report::{Report, Standing};
use std::io::{self, Write};
use std::process::ExitCode;
use text::Style;

fn main() -> ExitCode {
    match run(&CommandLine::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "patchyard: {}", text::refusal(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Scan(args) => scan_command(args),
        #[cfg(feature = "server")]
        other => server_command(other),
    }
}

#[cfg(feature = "server")]
#[expect(
    clippy::disallowed_methods,
    reason = "the command is the edge at which the time is read"
)]
fn server_command(command: &Command) -> anyhow::Result<ExitCode> {
    let variables = place::Variables {
        variable: &variable,
        is_root: rustix::process::geteuid().is_root(),
    };
    let text = match command {
        Command::Up(args) => {
            up::up(args, &variables)?;
            String::new()
        }
        Command::Listen(args) => up::listen(args, &variables)?,
        Command::Install(args) => service::install(&std::env::current_exe()?, args.answering.format())?,
        Command::Uninstall(args) => uninstall(args, &variables)?,
        Command::Login(args) => fleet::login::run(args, &variables)?,
        Command::Completion { shell } => completion(*shell)?,
        Command::Fleet(command) => {
            let (style, now) = (Style::new(args::Colour::Auto, variable), jiff::Timestamp::now());
            let asker = |asking: &_| fleet::Asker::new(asking, &variables, style, now);
            let done = fleet::run(command, &asker, now)?;
            print(&done.text)?;
            return Ok(ExitCode::from(done.exit_code));
        }
        Command::Scan(_) => unreachable!("a scan needs no server"),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "server")]
fn uninstall(args: &fleet::args::Uninstall, variables: &place::Variables<'_>) -> anyhow::Result<String> {
    use server::start::{DataDir, DataDirError};
    use service::Leave;
    let leave = if args.purge { Leave::Nothing } else { Leave::Data };
    let logins = fleet::target::login_file(variables).ok();
    let logins = logins.and_then(|file| Some(file.parent()?.to_owned()));
    let data = variables.data(args.data.as_deref()).ok();
    let agent = data.as_deref().map(up::here::state);
    // Held until everything is gone; that of a service is its own user's, and dpkg stops it first.
    let in_use = data.as_deref().filter(|data| data.join("lock").is_file());
    let _held = match in_use.map(DataDir::open) {
        Some(Err(error @ DataDirError::InUse { .. })) if args.purge => return Err(error.into()),
        held => held,
    };
    let folders = [data, agent, variables.cache(None).ok(), logins];
    let removed = service::uninstall(leave, &folders.into_iter().flatten().collect::<Vec<_>>())?;
    let sentence = match removed.is_empty() {
        true => "Nothing of Patchyard's was here.".to_owned(),
        false => format!("Removed {}.", text::shown(&removed.join(", "))),
    };
    fleet::said(
        args.answering.format(),
        &serde_json::json!({ "removed": removed }),
        &sentence,
    )
}

#[cfg(feature = "server")]
fn completion(shell: clap_complete::Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    let mut command = <CommandLine as clap::CommandFactory>::command();
    clap_complete::generate(shell, &mut command, "patchyard", &mut script);
    Ok(String::from_utf8(script)?)
}

/// Prints. The reader of a pipe may leave early (`| head`): that is no failure.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
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
            None if args.json => {
                domain::text::escaped_json(&serde_json::to_string_pretty(&report)?).into_owned() + "\n"
            }
            None => people::render(&report, shown, style),
        };
        print(&output)?;
        Ok(ExitCode::from(exit_code(&report, args.fail_on)))
    })
}

/// The codes that `patchyard scan --help` promises.
fn exit_code(report: &Report, fail_on: Option<FailOn>) -> u8 {
    let counts = &report.counts;
    let is_missing = match fail_on {
        None => return exit::DONE,
        Some(FailOn::Security) => counts.security_updates > 0,
        Some(FailOn::Any) => counts.updates > 0,
        Some(FailOn::Unknown) => false,
    };
    match report.standing {
        _ if is_missing => exit::FOUND,
        Standing::Unknown => exit::UNSURE,
        Standing::UpToDate | Standing::UpdatesMissing => exit::DONE,
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
