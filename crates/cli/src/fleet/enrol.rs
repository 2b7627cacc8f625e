//! `patchyard enrol`: one command for another host, in the form that the person needs; then waiting for the host and saying
//! what came of it.

use super::args::{Enrol, Form};
use super::{Asker, member, once};
use crate::text::shown;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// How long the command waits for hosts before it leaves the rest to `patchyard host list`.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often it looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Makes a token, prints the command or runs it, waits.
///
/// # Errors
/// No address under which other hosts reach the server; the server refuses; ssh fails.
pub fn run(asker: &Asker, command: &Enrol) -> anyhow::Result<String> {
    let tenant = asker.tenant()?;
    let site = asker.find(&format!("{tenant}/sites"), &[], "site", &command.site)?;
    let address = address(asker, command.address.as_deref())?;
    let known = hosts(asker, &tenant)?;
    let ends = asker.now + jiff::SignedDuration::from_hours(command.hours.into());
    let mut body =
        json!({ "site": member(&site, "id")?, "uses": command.hosts, "expires_at": ends.to_string() });
    if command.address.is_some() {
        body["address"] = json!(address);
    }
    let made = asker
        .client
        .post(&format!("{tenant}/enrolment-tokens"), &body, &once())?;
    let token = member(&made, "text")?;
    let package = made["package"].as_str();
    // Both become part of a command that root runs.
    let is_plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    ensure!(
        is_plain(token) && package.is_none_or(is_plain),
        "the server's answer holds no token and digest that may stand in a command"
    );
    if asker.asking.json {
        return super::json(&made);
    }
    if let Some(list) = &command.ssh {
        over_ssh(list, &one_line(&address, token, package))?;
        return waited(asker, &tenant, &known, usize::MAX);
    }
    let text = match command.form {
        Form::Command => format!(
            "Run this on the host, as root, within {} h:\n\n  {}\n\n",
            command.hours,
            one_line(&address, token, package)
        ),
        Form::CloudInit => cloud_init(&one_line(&address, token, package)),
        Form::Ansible => ansible(&one_line(&address, token, package)),
        Form::Token => format!("{token}\n"),
    };
    if command.no_wait || command.form != Form::Command {
        return Ok(text);
    }
    print_now(&text)?;
    print_now("Waiting for it (Ctrl-C ends the waiting, not the command's use) ...\n")?;
    waited(
        asker,
        &tenant,
        &known,
        usize::try_from(command.hosts).unwrap_or(usize::MAX),
    )
}

/// What a host runs: fetches the agent's package from the server, which need not be believed, because the package is held
/// against its digest before it is installed; then enrols with the token, which pins the server's authority.
fn one_line(address: &str, token: &str, package: Option<&str>) -> String {
    match package {
        Some(digest) => {
            let url = format!("https://{address}/agent/package/{digest}");
            // In a folder of root's own: in /tmp itself another user could replace the file after it was checked.
            format!(
                "d=$(mktemp -d) && (curl -fsSk {url} -o $d/agent.deb || wget -q --no-check-certificate {url} -O $d/agent.deb) && \
                 echo \"{digest}  $d/agent.deb\" | sha256sum -c --quiet && dpkg -i $d/agent.deb && rm -r $d && \
                 patchyard-agent enrol '{token}'"
            )
        }
        None => format!("patchyard-agent enrol '{token}'"),
    }
}

fn cloud_init(line: &str) -> String {
    format!("#cloud-config\nruncmd:\n  - [sh, -c, {}]\n", json!(line))
}

fn ansible(line: &str) -> String {
    format!(
        "- hosts: all\n  become: true\n  tasks:\n    - name: Enrol with Patchyard\n      ansible.builtin.shell:\n        \
         cmd: {}\n        creates: /var/lib/patchyard-agent/identity/journal\n      no_log: true\n",
        json!(line)
    )
}

/// The address that goes into the command: the one that was named, or the server's own; it must mean this server to other
/// hosts too, and its name must resolve.
fn address(asker: &Asker, named: Option<&str>) -> anyhow::Result<String> {
    let address = match named {
        Some(named) => named.to_owned(),
        None => asker.client.url().trim_start_matches("https://").to_owned(),
    };
    let resolved: Vec<SocketAddr> = address
        .to_socket_addrs()
        .with_context(|| format!("{address} does not resolve: name another with --address HOST:PORT"))?
        .collect();
    let is_loopback = !resolved.is_empty() && resolved.iter().all(|address| address.ip().is_loopback());
    if named.is_none() && is_loopback {
        let port = resolved.first().map_or(8443, SocketAddr::port);
        let own = own_address().map_or_else(|| "ADDRESS".to_owned(), |own| own.to_string());
        bail!(
            "the server can only be reached from this machine: open it with `patchyard listen {own}:{port}`, \
             restart it, then enrol again"
        );
    }
    Ok(address)
}

/// The address that this machine has towards others (no packet is sent: connecting a datagram socket only picks a route).
pub fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified() && !own.is_loopback()).then_some(own)
}

fn over_ssh(list: &std::path::Path, line: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
    let mut failed = Vec::new();
    for host in text
        .lines()
        .map(str::trim)
        .filter(|host| !host.is_empty() && !host.starts_with('#'))
    {
        ensure!(
            !host.starts_with('-'),
            "{host:?} is no host: a name must not begin with a hyphen"
        );
        print_now(&format!("{} ... ", shown(host)))?;
        let escaped = line.replace('\'', r"'\''");
        let status = Command::new("ssh")
            .args(["-o", "BatchMode=yes", host, &format!("sudo -n sh -c '{escaped}'")])
            .status()
            .context("start ssh")?;
        print_now(if status.success() { "done\n" } else { "failed\n" })?;
        if !status.success() {
            failed.push(shown(host).into_owned());
        }
    }
    ensure!(
        failed.is_empty(),
        "not enrolled: {}; what ssh said stands above",
        failed.join(", ")
    );
    Ok(())
}

fn hosts(asker: &Asker, tenant: &str) -> anyhow::Result<BTreeSet<String>> {
    let hosts = asker.client.list(&format!("{tenant}/hosts"), &[], 1_000_000)?;
    Ok(hosts
        .iter()
        .filter_map(|host| Some(host["id"].as_str()?.to_owned()))
        .collect())
}

/// Waits until `count` hosts have come that were not known before.
#[expect(
    clippy::disallowed_methods,
    reason = "a person waits for a host, and asks again every two seconds"
)]
fn waited(asker: &Asker, tenant: &str, known: &BTreeSet<String>, count: usize) -> anyhow::Result<String> {
    let mut seen = BTreeSet::new();
    let mut waited = Duration::ZERO;
    while waited < PATIENCE && seen.len() < count {
        for host in asker.client.list(&format!("{tenant}/hosts"), &[], 1_000_000)? {
            let id = member(&host, "id")?;
            if !known.contains(id) && seen.insert(id.to_owned()) {
                print_now(&came(&host))?;
            }
        }
        if seen.len() < count {
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }
    if seen.is_empty() {
        bail!(
            "no host came within {} minutes: on the host, `patchyard-agent status` says why",
            PATIENCE.as_secs() / 60
        );
    }
    Ok("`patchyard host list` shows what it misses, as soon as it is assessed.\n".to_owned())
}

fn came(host: &Value) -> String {
    let mut text = String::new();
    let name = shown(host["name"].as_str().unwrap_or("a host"));
    let _ = match host["state"].as_str() {
        Some("pending") => writeln!(
            text,
            "{name} has asked; let it in with `patchyard host approve {name}`"
        ),
        _ => writeln!(text, "{name} is enrolled"),
    };
    text
}

fn print_now(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_holds_the_package_against_its_digest_before_it_installs_it() {
        let line = one_line("192.0.2.10:8443", "py1-abc", Some("00ff"));
        let (folder, steps) = line.split_once(" && ").expect("steps");
        assert_eq!(
            folder, "d=$(mktemp -d)",
            "nobody else may write where the package is checked"
        );
        let (fetch, rest) = steps.split_once(" && ").expect("steps");
        assert!(
            fetch.contains("https://192.0.2.10:8443/agent/package/00ff"),
            "{line}"
        );
        assert!(rest.starts_with("echo \"00ff  $d/"), "{line}");
        assert!(rest.find("sha256sum -c") < rest.find("dpkg -i"), "{line}");
        assert!(line.ends_with("patchyard-agent enrol 'py1-abc'"), "{line}");
    }

    #[test]
    fn other_forms_carry_the_same_command() {
        let line = one_line("h:1", "py1-abc", None);
        assert!(cloud_init(&line).starts_with("#cloud-config\n"));
        assert!(cloud_init(&line).contains("py1-abc") && ansible(&line).contains("py1-abc"));
    }
}
