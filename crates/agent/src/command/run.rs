//! `run`, `once`, and the processes that they start.

use super::{Arguments, is_root};
use crate::{now, own_program, variable};
use agent::executor::spool::{self, List};
use agent::executor::{self, Executor};
use agent::host::ReadOptions;
use agent::network::{self, Bell, Network};
use agent::service::log::Log;
use agent::service::{Account, Places, network_account};
use agent::session::Trouble;
use agent::status;
use agent::survey::Look;
use agent::transport::ProxySettings;
use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What the caller cannot see without root, said once at the start.
const WITHOUT_ROOT: &str = "Not run by root: everything runs as this user. Packages and sources are seen in full; programs that still \
use replaced files, owners of sockets and serial numbers are seen for this user's own processes only.";

pub(super) fn service(arguments: &Arguments, places: &Places) -> Result<ExitCode> {
    // Wrong settings are said here, not by a process that starts again and again.
    let _ = arguments.settings(places)?;
    let lock = status::take_service_lock(places)
        .with_context(|| format!("cannot use {}", places.state.display()))?;
    let Some(_lock) = lock else {
        bail!("the agent already runs with {}", places.state.display());
    };
    let log = arguments.log();
    if !is_root() {
        log.say(now(), WITHOUT_ROOT);
    }
    let executor = Executor {
        places: places.clone(),
        program: own_program()?,
        arguments: arguments.for_children(places),
        account: account(),
        log,
        clock: now,
    };
    let never = executor::run(&executor)?;
    match never {}
}

/// The network process's user, if this process may choose one.
pub(super) fn account() -> Option<Account> {
    is_root().then(|| network_account(Path::new("/etc/passwd")))
}

/// Reads the host, then checks in once under the network process's user.
pub(super) fn once(arguments: &Arguments, places: &Places) -> Result<ExitCode> {
    let _ = arguments.settings(places)?;
    collect(places)?;
    as_network(arguments, places, "--once", None)
}

/// Starts the network process for one job, with these bytes on its standard input.
pub(super) fn as_network(
    arguments: &Arguments,
    places: &Places,
    job: &str,
    input: Option<&str>,
) -> Result<ExitCode> {
    let mut command = Command::new(own_program()?);
    command
        .args(["network", job])
        .args(arguments.for_children(places));
    command.stdin(if input.is_some() {
        std::process::Stdio::piped()
    } else {
        std::process::Stdio::null()
    });
    if let Some(account) = account() {
        command.gid(account.gid).uid(account.uid).current_dir("/");
    }
    let mut child = command.spawn().context("cannot start the network process")?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(input.as_bytes())
            .context("cannot hand over the token")?;
    }
    let status = child.wait().context("cannot wait for the network process")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) fn make_folders(places: &Places) -> Result<()> {
    spool::make_folders(places, account())
        .map_err(|(path, cause)| anyhow::Error::new(cause).context(format!("cannot make {}", path.display())))
}

/// Reads the host into the outbox.
pub(super) fn collect(places: &Places) -> Result<ExitCode> {
    make_folders(places)?;
    // One reading at a time, so that what was read last is what stays: a service that dpkg has just started reads too, in
    // the middle of its own installation.
    let outbox = File::open(places.outbox()).context("cannot open the outbox")?;
    flock(&outbox, FlockOperation::LockExclusive).context("cannot wait for another reading")?;
    let clock = network::boot_clock();
    let look = Look {
        now_micros: now().as_microsecond(),
        neighbours: spool::last_neighbours(places),
    };
    let reading = agent::documents::read(Path::new("/"), ReadOptions::for_environment(variable), &look)?;
    let list = List {
        boot: clock.boot.to_string(),
        boot_micros: clock.micros,
        ..List::default()
    };
    spool::publish(places, &reading, list, account().map(|account| account.gid))?;
    Ok(ExitCode::SUCCESS)
}

/// The network process of a running service.
pub(super) fn network(arguments: &Arguments, places: &Places) -> Result<ExitCode> {
    end_with_the_executor()?;
    let mut network = Network {
        bell: Some(Bell::of_this_process()),
        ..network_of(arguments, places)?
    };
    let never = network::run(&mut network)?;
    match never {}
}

pub(super) fn network_once(arguments: &Arguments, places: &Places) -> Result<ExitCode> {
    end_with_the_executor()?;
    let standing = network::once(&mut network_for_a_person(arguments, places)?)?;
    for trouble in &standing.troubles {
        tell(trouble)?;
    }
    if standing.state == "unenrolled" && standing.troubles.is_empty() {
        tell(&Trouble::new(
            "This host is not enrolled.",
            "get a token with `patchyard enrol` on the server, then run `patchyard-agent enrol TOKEN`.",
        ))?;
    }
    let is_fine = standing.state == "enrolled" && standing.troubles.is_empty();
    Ok(if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn network_of(arguments: &Arguments, places: &Places) -> Result<Network> {
    let environment = ProxySettings::for_environment(variable);
    Ok(Network {
        places: places.clone(),
        proxies: arguments.settings(places)?.proxies(environment),
        log: arguments.log(),
        bell: None,
    })
}

/// The same for one who waits for the outcome, and is told it once.
pub(super) fn network_for_a_person(arguments: &Arguments, places: &Places) -> Result<Network> {
    let mut network = network_of(arguments, places)?;
    if matches!(network.log, Log::StandardError) {
        network.log = Log::Nowhere;
    }
    Ok(network)
}

pub(super) fn tell(trouble: &Trouble) -> Result<()> {
    let sentence = agent::shown::harmless(&trouble.sentence, 600);
    let step = agent::shown::harmless(&trouble.next_step, 600);
    // Not among what a program would read.
    writeln!(std::io::stderr(), "{sentence}\nNext: {step}").context("cannot say what is wrong")
}

/// A network process without its executor has nobody to ask and nobody to start it again.
pub(super) fn end_with_the_executor() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot tie this process to the executor")
}
