//! `patchyard enrol`: one command for another host, in the form that the person needs; then waiting for the host and saying
//! what came of it.

use super::args::{Enrol, Form};
use super::{Asker, member, once};
use crate::progress::Progress;
use crate::text::shown;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the command waits for hosts before it leaves the rest to `patchyard host list`.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often it looks.
const PAUSE: Duration = Duration::from_secs(2);

/// What a person does next.
const AFTERWARDS: &str = "`patchyard host list` shows what it misses, as soon as it is assessed.\n";

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
    let over_ssh = command.ssh.as_deref().map(ssh_hosts).transpose()?;
    let uses = over_ssh
        .as_ref()
        .map_or(usize::try_from(command.hosts)?, Vec::len);
    let mut body = json!({ "site": member(&site, "id")?, "uses": uses, "expires_at": ends.to_string() });
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
    let line = one_line(&address, token, package);
    if asker.asking.json {
        let mut answer = made.clone();
        answer["command"] = json!(line);
        return super::json(&answer);
    }
    if let Some(hosts) = over_ssh {
        enrol_over_ssh(&hosts, &line)?;
        return Ok(AFTERWARDS.to_owned());
    }
    let text = match command.form {
        Form::Command => format!(
            "Run this on the host, as root, within {} h:\n\n  {}\n\n",
            command.hours, line
        ),
        Form::CloudInit => cloud_init(&line),
        Form::Ansible => ansible(&line),
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
/// against its digest before it is installed; then enrols with the token, which pins the server's authority. All in a
/// subshell, which a failure ends and not the person's own; the token is no argument of a program, which others may see.
fn one_line(address: &str, token: &str, package: Option<&str>) -> String {
    let enrol = format!("echo {token} | patchyard-agent enrol --token-file -");
    let Some(digest) = package else {
        return enrol;
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let not_fetched = format!(
        "The agent's package could not be fetched from {address}; why stands above. Next: check the name with: getent hosts {host}; \
         and whether a firewall lets this host open connections to {address}."
    );
    let not_ours = format!(
        "What came from {address} is not the agent's package: somebody on the way rewrites TLS, or the server has another package by \
         now. Next: have TLS to {address} passed through unopened, or get a new command with patchyard enrol."
    );
    // In a folder of root's own: in /tmp itself another user could replace the file after it was checked. Debian's smallest
    // systems have neither curl nor wget, but always apt's own helper.
    format!(
        "(set -e; d=$(mktemp -d); trap 'rm -r \"$d\"' EXIT; f=\"$d/agent.deb\"; u=https://{address}/agent/package/{digest}; \
         if command -v curl >/dev/null; then curl -fsSk \"$u\" -o \"$f\"; \
         elif command -v wget >/dev/null; then wget -nv --no-check-certificate \"$u\" -O \"$f\"; \
         else /usr/lib/apt/apt-helper -q -o Acquire::https::Verify-Peer=false -o Acquire::https::Verify-Host=false download-file \"$u\" \"$f\"; \
         fi || {{ echo \"{not_fetched}\" >&2; exit 1; }}; \
         echo \"{digest}  $f\" | sha256sum -c --status || {{ echo \"{not_ours}\" >&2; exit 1; }}; \
         dpkg -i \"$f\" >/dev/null; {enrol})"
    )
}

fn cloud_init(line: &str) -> String {
    format!("#cloud-config\nruncmd:\n  - [sh, -c, {}]\n", json!(line))
}

/// The command's own words are kept out of logs, because the token is in them; what it said is shown if it fails.
fn ansible(line: &str) -> String {
    format!(
        "- hosts: all\n  become: true\n  tasks:\n    - name: Enrol with Patchyard\n      ansible.builtin.shell:\n        \
         cmd: {}\n        creates: /var/lib/patchyard-agent/identity/journal\n      register: enrolment\n      failed_when: false\n      \
         no_log: true\n    - name: Say why a host could not be enrolled\n      ansible.builtin.fail:\n        \
         msg: \"{{{{ enrolment.stderr }}}}\"\n      when: enrolment.rc | default(0) != 0\n",
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

/// The hosts that a file names, a line each.
fn ssh_hosts(list: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
    let lines = text.lines().map(str::trim);
    let hosts: Vec<String> = lines
        .filter(|host| !host.is_empty() && !host.starts_with('#'))
        .map(str::to_owned)
        .collect();
    for host in &hosts {
        ensure!(
            !host.starts_with('-'),
            "{host:?} is no host: a name must not begin with a hyphen"
        );
    }
    ensure!(!hosts.is_empty(), "{} names no host", list.display());
    Ok(hosts)
}

/// Runs the command on each host, as root or by a sudo that asks nothing. The token goes by standard input, not by ssh's arguments.
fn enrol_over_ssh(hosts: &[String], line: &str) -> anyhow::Result<()> {
    let as_root = "if [ \"$(id -u)\" = 0 ]; then sh -s; else sudo -n sh -s; fi";
    let mut failed = Vec::new();
    for host in hosts {
        print_now(&format!("{} ... ", shown(host)))?;
        let mut ssh = Command::new("ssh")
            .args(["-o", "BatchMode=yes", "--", host, as_root])
            .stdin(Stdio::piped())
            .spawn()
            .context("start ssh")?;
        if let Some(mut input) = ssh.stdin.take() {
            // A connection that was not made takes nothing; ssh says so itself.
            let _ = writeln!(input, "{line}");
        }
        let status = ssh.wait().context("wait for ssh")?;
        print_now(if status.success() { "done\n" } else { "failed\n" })?;
        if !status.success() {
            failed.push(shown(host).into_owned());
        }
    }
    ensure!(
        failed.is_empty(),
        "not enrolled: {}; why stands above",
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
    let progress = Progress::begin("waiting for the host");
    while waited < PATIENCE && seen.len() < count {
        for host in asker.client.list(&format!("{tenant}/hosts"), &[], 1_000_000)? {
            let id = member(&host, "id")?;
            if !known.contains(id) && seen.insert(id.to_owned()) {
                progress.aside(|| print_now(&came(&host)))?;
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
    Ok(AFTERWARDS.to_owned())
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
        let at = |what: &str| line.find(what).unwrap_or_else(|| panic!("no {what} in {line}"));
        assert!(
            at("d=$(mktemp -d)") < at("https://192.0.2.10:8443/agent/package/00ff"),
            "nobody else may write where the package is checked"
        );
        assert!(at("00ff  $f") < at("sha256sum -c"), "{line}");
        assert!(at("sha256sum -c") < at("dpkg -i"), "{line}");
        assert!(
            at("dpkg -i") < at("echo py1-abc | patchyard-agent enrol"),
            "{line}"
        );
    }

    /// Runs the command with these programs before all others, and gives whether it succeeded and what it said.
    fn run(line: &str, programs: &[(&str, &str)]) -> (bool, String) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        for (name, script) in programs {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make it run");
        }
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let done = Command::new("sh")
            .args(["-c", line])
            .env_clear()
            .env("PATH", path)
            .env("TMPDIR", folder.path())
            .output();
        let done = done.expect("there is a shell");
        let left = fs::read_dir(folder.path()).expect("list").count();
        assert_eq!(left, programs.len(), "the command leaves nothing behind");
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    const DPKG: (&str, &str) = ("dpkg", "echo installed >&2");
    const AGENT: (&str, &str) = ("patchyard-agent", "read token; echo enrolled $token");

    #[test]
    fn only_the_package_that_was_meant_is_installed_and_otherwise_one_sentence_says_what_to_do() {
        let another = "00".repeat(32);
        let digest = {
            let text = Command::new("sh")
                .args(["-c", "echo the package | sha256sum"])
                .output();
            let text = String::from_utf8(text.expect("sha256sum").stdout).expect("digits");
            text.split(' ').next().unwrap_or_default().to_owned()
        };
        let curl = ("curl", "echo the package >\"$4\"");
        let line = one_line("h.example:1", "py1-abc", Some(&digest));
        let (is_done, said) = run(&line, &[curl, DPKG, AGENT]);
        assert!(
            is_done && said.contains("enrolled py1-abc") && said.contains("installed"),
            "{said}"
        );

        let (is_done, said) = run(
            &one_line("h.example:1", "py1-abc", Some(&another)),
            &[curl, DPKG, AGENT],
        );
        assert!(
            !is_done && !said.contains("installed") && !said.contains("enrolled"),
            "{said}"
        );
        assert!(
            said.contains("is not the agent's package") && said.contains("Next: "),
            "{said}"
        );

        let refused = (
            "curl",
            "echo 'curl: (6) Could not resolve host: h.example' >&2; exit 6",
        );
        let (is_done, said) = run(&line, &[refused, DPKG, AGENT]);
        assert!(
            !is_done && !said.contains("installed") && !said.contains("enrolled"),
            "{said}"
        );
        assert!(
            said.contains("getent hosts h.example;") && said.contains("Next: "),
            "{said}"
        );
    }

    #[test]
    fn other_forms_carry_the_same_command() {
        let line = one_line("h:1", "py1-abc", None);
        assert!(cloud_init(&line).starts_with("#cloud-config\n"));
        assert!(cloud_init(&line).contains("py1-abc") && ansible(&line).contains("py1-abc"));
    }

    #[test]
    fn a_file_of_hosts_has_one_a_line_and_none_that_ssh_would_take_for_an_option() {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), text).expect("write");
            file
        };
        let two = file("# web\nroot@web1\n\n  web2  \n");
        assert_eq!(ssh_hosts(two.path()).expect("two hosts"), ["root@web1", "web2"]);
        assert!(ssh_hosts(file("web1\n-oProxyCommand=id\n").path()).is_err());
        assert!(ssh_hosts(file("# nobody\n").path()).is_err());
    }
}
