//! How long a sync takes in which nothing is new: six suites of one archive on a loopback server, and apt's update of
//! the same for comparison: `cargo bench -p sources --bench sync`. One line a run: what, wall seconds, and what was done.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and measures real time"
)]

use anyhow::{Context, Result, ensure};
use content::Store;
use domain::host::channels::{Settings, Stanza};
use sources::apt::fetch::FetchConfig;
use sources::apt::keyring::Keyring;
use sources::apt::sync::{Outcome, SourceRequest, SyncOutcome, SyncRequest, sync};
use sources::apt::targets::merge;
use std::time::Instant;
use testkit::apt::Apt;
use testkit::archive::package::Package;
use testkit::archive::{Archive, DEFAULT_DATE};
use testkit::host::HostTree;
use testkit::keys::SigningKey;
use testkit::server::Server;

const ROUNDS: usize = 11;
const SUITES: usize = 6;

fn main() -> Result<()> {
    let (tree, cache, root) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let key = SigningKey::rsa("Archive <archive@archive.example>", 4096);
    let keyring = Keyring::parse(&key.certificate())?;
    let server = Server::start(tree.path())?;
    let suites: Vec<String> = (0..SUITES).map(|number| format!("suite{number}")).collect();
    let mut lines = String::new();
    for suite in &suites {
        let packages = (0..2000).map(|number| Package::new(&format!("{suite}-{number}"), "1"));
        Archive::new(suite)
            .arch("amd64")
            .packages(packages)
            .sign(&key)
            .write_to(tree.path())?;
        lines += &format!("deb [signed-by=/etc/key.gpg] {} {suite} main\n", server.uri());
    }
    let stanzas: Vec<Stanza> = suites.iter().map(|suite| stanza(&server.uri(), suite)).collect();
    let store = Store::open(&cache.path().join("store"))?;
    let now = DEFAULT_DATE.parse()?;
    let settings = Settings::default();
    for round in 0..=ROUNDS {
        let sources = merge(&stanzas).into_iter();
        let keyring = &keyring;
        let sources = sources.map(|source| SourceRequest { source, keyring }).collect();
        let begun = Instant::now();
        let fetch = FetchConfig::default();
        let request = SyncRequest {
            sources,
            settings: &settings,
            fetch,
        };
        let outcomes = sync(&request, &store, now);
        let (seconds, what) = (
            begun.elapsed().as_secs_f64(),
            if round == 0 { "first" } else { "nothing new" },
        );
        ensure!(
            outcomes.iter().all(|outcome| is_expected(outcome, round)),
            "{outcomes:?}"
        );
        println!("{what}\t{seconds:.4}\t{SUITES} suites");
    }
    HostTree::new()
        .key("/etc/key.gpg", &key.certificate())
        .sources_list(&lines)
        .write_to(root.path())?;
    let apt = Apt::over(root.path())?;
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        apt.run("apt-get", &["update", "-q", "-o", "APT::Sandbox::User=root"])
            .context("apt-get update")?;
        let what = if round == 0 {
            "apt-get update, first"
        } else {
            "apt-get update, nothing new"
        };
        println!("{what}\t{:.4}\t{SUITES} suites", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn is_expected(outcome: &SyncOutcome, round: usize) -> bool {
    match outcome.outcome {
        Outcome::Adopted(_) => round == 0,
        Outcome::Unchanged { .. } => round > 0,
        Outcome::Expired { .. } | Outcome::Failed(_) => false,
    }
}

fn stanza(uri: &str, suite: &str) -> Stanza {
    Stanza::new(uri, suite, &["main"], &["amd64"])
}
