//! The `patchyard` command: reads the command line, does what it says, prints the result or the reason, and leaves
//! with the exit code that scripts rely on.

mod args;
mod explain;
#[cfg(feature = "server")]
mod fleet;
mod people;
mod place;
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
            let chain: Vec<String> = error
                .chain()
                .map(|cause| text::shown(&cause.to_string()).into_owned())
                .collect();
            let _ = writeln!(io::stderr(), "patchyard: {}", chain.join(": "));
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
    use fleet::target;
    use place::Variables;
    use service::Leave;
    let variables = Variables {
        variable: &variable,
        is_root: rustix::process::geteuid().is_root(),
    };
    let text = match command {
        Command::Up(args) => {
            up::up(args, &variables)?;
            String::new()
        }
        Command::Listen(args) => up::listen(args, &variables)?,
        Command::Install => service::install(&std::env::current_exe()?)?,
        Command::Uninstall { purge, data } => {
            let leave = if *purge { Leave::Nothing } else { Leave::Data };
            let logins = target::login_file(&variables).ok();
            let logins = logins.and_then(|file| Some(file.parent()?.to_owned()));
            let data = variables.data(data.as_deref()).ok();
            let agent = data.as_deref().map(up::here::state);
            let folders = [data, agent, variables.cache(None).ok(), logins];
            let removed = service::uninstall(leave, &folders.into_iter().flatten().collect::<Vec<_>>())?;
            match removed.is_empty() {
                true => "Nothing of Patchyard's was here.\n".to_owned(),
                false => format!("Removed {}.\n", text::shown(&removed.join(", "))),
            }
        }
        Command::Login(args) => fleet::login::run(args, &variables)?,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            let mut command = <CommandLine as clap::CommandFactory>::command();
            clap_complete::generate(*shell, &mut command, "patchyard", &mut script);
            String::from_utf8(script)?
        }
        Command::Fleet(fleet::args::FleetCommand::Doctor(doctor)) => {
            let style = Style::new(args::Colour::Auto, variable);
            let asker = fleet::Asker::new(&doctor.asking, &variables, style, jiff::Timestamp::now())?;
            let examined = fleet::operations::doctor(&asker)?;
            print(&examined.text)?;
            return Ok(ExitCode::from(examined.exit_code));
        }
        Command::Fleet(command) => {
            let style = Style::new(args::Colour::Auto, variable);
            fleet::run(command, &variables, style, jiff::Timestamp::now())?
        }
        Command::Scan(_) => unreachable!("a scan needs no server"),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
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
            None if args.json => text::shown_json(serde_json::to_string_pretty(&report)?) + "\n",
            None => people::render(&report, shown, style),
        };
        print(&output)?;
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
