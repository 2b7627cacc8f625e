//! `patchyard login`: believing a server for good, after a person has said that its authority is the right one.

use super::args::Login;
use super::client::{Client, May, Target};
use super::target::{self, Logins};
use super::{member, once, said};
use crate::place::Variables;
use crate::text::shown;
use anyhow::{Context, bail, ensure};
use rustix::termios::{self, LocalModes, OptionalActions};
use serde_json::json;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use ureq::tls::{Certificate, TlsConfig};

/// The longest certificate that is read, in bytes.
const LONGEST_CERTIFICATE: u64 = 64 * 1024;
/// The longest line that a person types, in bytes.
const LONGEST_LINE: u64 = 4096;

/// Fetches the server's authority, holds it against what the person says, tries the token, keeps both.
///
/// # Errors
/// The server cannot be reached, is another one, or refuses the token.
pub fn run(login: &Login, variables: &Variables<'_>) -> anyhow::Result<String> {
    let url = address(&login.address)?;
    let root_pem = authority(&url)?;
    let root =
        Certificate::from_pem(root_pem.as_bytes()).context("the server's authority is no certificate")?;
    let digest = content::sha256(root.der()).to_string();
    match &login.authority {
        Some(expected) => {
            let expected: String = expected.to_ascii_lowercase().replace([':', ' '], "");
            ensure!(
                expected == digest,
                "{url} is another server, or somebody stands in between: the SHA-256 of its authority is {digest}"
            );
        }
        None => confirm(&url, &digest)?,
    }
    let with = |token: &str| {
        let target = Target {
            url: url.clone(),
            root_pem: root_pem.clone(),
            token: token.to_owned(),
        };
        Client::new(target, May::Change)
    };
    let token = match &login.user {
        Some(user) => session(&with("")?, user)?,
        None => token(login)?,
    };
    let caller = with(&token)?.get("/api/v1/session", &[])?;
    let file = target::login_file(variables)?;
    let mut logins = Logins::read(&file)?;
    logins
        .servers
        .insert(url.clone(), target::Login { root_pem, token });
    logins.current = Some(url.clone());
    logins.write(&file)?;
    let name = shown(member(&caller, "name")?).into_owned();
    let sentence = format!(
        "Logged in to {} as {name}; kept in {}",
        shown(&url),
        file.display()
    );
    let answer = json!({ "server": url, "authority": digest, "caller": caller, "kept_in": file });
    said(login.answering.format(), &answer, &sentence)
}

fn address(text: &str) -> anyhow::Result<String> {
    let with_scheme = match text.split_once("://") {
        Some(("https", _)) => text.to_owned(),
        Some((scheme, _)) => bail!("{}://: only https is spoken", shown(scheme)),
        None => format!("https://{text}"),
    };
    Ok(with_scheme.trim_end_matches('/').to_owned())
}

/// The certificate of the server's root authority, not believed yet: whoever answers may have sent it.
fn authority(url: &str) -> anyhow::Result<String> {
    let agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .https_only(true)
        .max_redirects(0)
        .build()
        .new_agent();
    let mut answer = agent
        .get(format!("{url}/authority.pem"))
        .call()
        .with_context(|| {
            format!("ask {url} for its authority (is that the address of a Patchyard server?)")
        })?;
    let pem = answer
        .body_mut()
        .with_config()
        .limit(LONGEST_CERTIFICATE)
        .read_to_string();
    pem.with_context(|| format!("read the authority of {url}"))
}

fn confirm(url: &str, digest: &str) -> anyhow::Result<()> {
    ensure!(
        io::stdin().is_terminal(),
        "say with --authority which authority {url} must have; it shows {digest}"
    );
    let mut out = io::stdout().lock();
    write!(
        out,
        "The authority of {url} has the SHA-256\n  {digest}\n\
         On the server, `patchyard up` prints it. Is it the same? [y/N] "
    )?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(100).read_line(&mut answer)?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "not logged in");
    Ok(())
}

fn token(login: &Login) -> anyhow::Result<String> {
    let text = match login.token_file.as_deref() {
        Some(file) if file.as_os_str() != "-" => {
            fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?
        }
        _ => asked(
            "API token (`patchyard token add NAME` on the server makes one): ",
            Echo::Off,
        )?,
    };
    let token = text.trim().to_owned();
    ensure!(!token.is_empty() && token.is_ascii(), "there is no token in it");
    Ok(token)
}

/// Begins a session of this user.
fn session(client: &Client, user: &str) -> anyhow::Result<String> {
    let password = asked(&format!("Password of {}: ", shown(user)), Echo::Off)?;
    let code = asked("Code of your authenticator (empty without one): ", Echo::On)?;
    let mut body = json!({ "name": user, "password": password });
    if !code.trim().is_empty() {
        body["code"] = json!(code.trim());
    }
    let begun = client.post("/api/v1/session", &body, &once())?;
    Ok(member(&begun, "session")?.to_owned())
}

/// Whether a terminal shows what is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

/// A line of standard input, without its end; asked for where that is a terminal.
fn asked(question: &str, echo: Echo) -> anyhow::Result<String> {
    let stdin = io::stdin();
    let before = stdin
        .is_terminal()
        .then(|| termios::tcgetattr(&stdin))
        .transpose()?;
    if let Some(before) = &before {
        write!(io::stderr(), "{question}")?;
        if echo == Echo::Off {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            termios::tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
        }
    }
    let mut line = String::new();
    let read = stdin.lock().take(LONGEST_LINE).read_line(&mut line);
    if let (Some(before), Echo::Off) = (&before, echo) {
        termios::tcsetattr(&stdin, OptionalActions::Flush, before)?;
        writeln!(io::stderr())?;
    }
    read.context("read standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_over_tls_only() {
        assert_eq!(
            address("patchyard.example:8443").expect("good"),
            "https://patchyard.example:8443"
        );
        assert_eq!(
            address("https://patchyard.example/").expect("good"),
            "https://patchyard.example"
        );
        assert!(address("http://patchyard.example").is_err());
    }
}
