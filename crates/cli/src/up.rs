//! `patchyard up`: the server of a data folder, with this machine as its first host; and what it takes to reach it.

pub mod here;

use crate::fleet::args::{Format, Listen, Up};
use crate::fleet::own_address;
use crate::place::Variables;
use crate::text;
use anyhow::{Context, bail};
use domain::text::escaped_json;
use here::Voice;
use serde_json::{Value, json};
use server::operations::logs::{self, Destination};
use server::private_file::write_durably;
use server::{Running, Server, Settings};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs the server until it is interrupted.
///
/// # Errors
/// The data folder is in use or damaged, the address is taken, the runtime does not start.
pub fn up(up: &Up, variables: &Variables<'_>) -> anyhow::Result<()> {
    let data = variables.data(up.data.as_deref())?;
    let settings = Settings::read(&data)?;
    let format = up.answering.format();
    let destination = match ((variables.variable)("JOURNAL_STREAM"), up.no_agent) {
        (Some(_), true) => Destination::Journal,
        _ => Destination::FilesAndTerminal(data.join("logs")),
    };
    make_private(&data)?;
    let subscriber = logs::subscriber(&destination, tracing::Level::INFO)
        .with_context(|| format!("write logs below {}", data.display()))?;
    tracing::subscriber::set_global_default(subscriber).context("two logs in one program")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the server's threads")?;
    runtime.block_on(async {
        let running = Server::start(settings).await?;
        note_address(&data, &running)?;
        let voice = Voice {
            format,
            program: program(variables),
            data: up
                .data
                .as_ref()
                .map_or_else(String::new, |data| format!(" --data {}", data.display())),
        };
        // There is a log-in link in it, which is no business of a journal: `patchyard user link` makes another.
        if !matches!(destination, Destination::Journal) {
            say_where(&running, &voice)?;
        }
        let package = tokio::spawn(offer_package(running.context().clone(), package_file(up)?));
        let here = match up.no_agent {
            true => None,
            false => Some(here::begin(&data, voice)),
        };
        until_told().await?;
        package.abort();
        say(format, &json!({ "said": "stopping" }), "\nStopping ...")?;
        if let Some(here) = here {
            here.end().await;
        }
        running.stop().await?;
        say(
            format,
            &json!({ "said": "stopped" }),
            "Stopped. The same command resumes.",
        )
    })
}

/// Writes the address into the settings; the server takes it at its next start.
///
/// # Errors
/// The settings cannot be read, or not written.
pub fn listen(listen: &Listen, variables: &Variables<'_>) -> anyhow::Result<String> {
    let data = variables.data(listen.data.as_deref())?;
    let path = data.join(server::settings::FILE_NAME);
    let mut text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    set_listen(&mut text, listen.address);
    make_private(&data)?;
    write_durably(&path, text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    if let Err(error) = Settings::read(&data) {
        bail!("{}", text::chain(&error));
    }
    let reach = match listen.address.ip() {
        ip if ip.is_loopback() => "only this machine reaches it",
        _ => "other machines reach it, as far as firewalls let them",
    };
    let sentence = format!(
        "From its next start on the server listens on {}: {reach}. Agents that are enrolled already learn the address by themselves.",
        listen.address
    );
    let answer = json!({ "listen": listen.address.to_string() });
    crate::fleet::said(listen.answering.format(), &answer, &sentence)
}

/// Puts `listen = "..."` in the place of the line that is there, or before the first table.
fn set_listen(text: &mut String, address: SocketAddr) {
    let line = format!("listen = \"{address}\"");
    let mut lines: Vec<&str> = text.lines().collect();
    let first_table = lines
        .iter()
        .position(|line| line.trim_start().starts_with('['))
        .unwrap_or(lines.len());
    let is_listen = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(name, _)| name.trim() == "listen")
    };
    match lines[..first_table].iter().position(is_listen) {
        Some(at) => lines[at] = &line,
        None => lines.insert(0, &line),
    }
    *text = lines.join("\n") + "\n";
}

/// What commands on this machine need to reach the server, beside the token that it keeps itself.
fn note_address(data: &Path, running: &Running) -> anyhow::Result<()> {
    let address = running.address();
    let reached = match address.ip().is_unspecified() {
        true => format!("https://localhost:{}", address.port()),
        false => format!("https://{address}"),
    };
    let keep = |name: &str, text: String| {
        let path = data.join(name);
        write_durably(&path, text.as_bytes()).with_context(|| format!("write {}", path.display()))
    };
    keep("local-address", format!("{reached}\n"))?;
    keep("root.pem", running.context().authority.root_pem())
}

fn say_where(running: &Running, voice: &Voice) -> anyhow::Result<()> {
    let Voice {
        format,
        program,
        data,
    } = voice;
    let address = running.address();
    let context = running.context();
    let reach = match address.ip().is_loopback() {
        true => {
            let own = own_address().map_or_else(|| "ADDRESS".to_owned(), |own| own.to_string());
            let open = format!("{program} listen {own}:{}{data}", address.port());
            format!("only this machine reaches it; `{open}` opens it")
        }
        false => "other machines reach it".to_owned(),
    };
    let secret = context.local.new_link(context.clock.now(), &*context.chance);
    let link = format!("https://{address}/login?link={}", *secret);
    let authority = context.authority.root_digest();
    let words = format!(
        "\nPatchyard runs at https://{address} ({reach}).\n\
         \x20 log in        {link}   (once, within 30 minutes)\n\
         \x20 its authority SHA-256 {authority}\n\
         \x20 look around   {program} host list{data}\n\
         \x20 another host  {program} enrol --site main{data}\n\
         \x20 keep it       sudo {program} install\n\
         \x20 remove it     {program} uninstall --purge{data}\n\
         \x20 stop          Ctrl-C; the same command resumes\n"
    );
    let facts = json!({
        "said": "listening",
        "url": format!("https://{address}"),
        "log_in": link,
        "authority": authority.to_string(),
    });
    say(*format, &facts, &words)
}

/// How the person called this program.
fn program(variables: &Variables<'_>) -> String {
    (variables.variable)("PATCHYARD_COMMAND")
        .filter(|command| !command.is_empty())
        .unwrap_or_else(|| std::env::args().next().unwrap_or_else(|| "patchyard".to_owned()))
}

/// Where the agent's package is, or will be.
fn package_file(up: &Up) -> anyhow::Result<PathBuf> {
    match &up.agent_package {
        Some(file) => Ok(file.clone()),
        None => Ok(std::env::current_exe()
            .context("find this program")?
            .with_file_name("patchyard-agent.deb")),
    }
}

/// Offers the agent's package to hosts as soon as it is there, and a newer one when it is replaced.
async fn offer_package(context: server::Context, file: PathBuf) {
    let mut offered = None;
    loop {
        let changed = fs::metadata(&file).and_then(|facts| facts.modified()).ok();
        if changed.is_some() && changed != offered {
            match server::app::agent_package::offer(&context, &file).await {
                Ok(digest) => tracing::info!(%digest, "Hosts get the agent's package from here."),
                Err(error) => {
                    tracing::warn!(error = text::chain(&error), "The agent's package is not offered.")
                }
            }
            offered = changed;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn until_told() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut end = signal(SignalKind::terminate()).context("listen for signals")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for Ctrl-C"),
        _ = end.recv() => Ok(()),
    }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("make {}", folder.display()))
}

/// Says something at once: words for people, for programs an object on a line of its own.
pub(crate) fn say(format: Format, facts: &Value, words: &str) -> anyhow::Result<()> {
    let text = match format {
        Format::People | Format::Csv => format!("{words}\n"),
        Format::Json => escaped_json(&facts.to_string()).into_owned() + "\n",
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read it has gone; the server has not.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        said => Ok(said?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_takes_the_place_of_the_old_one_and_leaves_the_rest_of_the_settings() {
        let address = "192.0.2.10:8443".parse().expect("an address");
        let set = |text: &str| {
            let mut text = text.to_owned();
            set_listen(&mut text, address);
            text
        };
        assert_eq!(set(""), "listen = \"192.0.2.10:8443\"\n");
        assert_eq!(
            set("# mine\nlisten = \"127.0.0.1:1\"\nhold_seconds = 3\n[limits]\nqueue = 9\n"),
            "# mine\nlisten = \"192.0.2.10:8443\"\nhold_seconds = 3\n[limits]\nqueue = 9\n"
        );
        assert_eq!(
            set("[limits]\nqueue = 9\n"),
            "listen = \"192.0.2.10:8443\"\n[limits]\nqueue = 9\n"
        );
    }
}
