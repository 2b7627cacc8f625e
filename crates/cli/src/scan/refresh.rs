//! `--refresh`: the host's configured sources synced into Patchyard's own store and read from there; the system's
//! lists are not touched. Also lays out what was synced as lists for a simulation by apt.

use super::channels::{Channels, Keyrings};
use super::settings_for;
use crate::progress::Progress;
use crate::text::counted;
use agent::host::Host;
use anyhow::Context;
use content::Store;
use domain::host::address::list_file_name;
use jiff::Timestamp;
use sources::apt::answer::{Answer, NoAnswer};
use sources::apt::decompress::{self, Compression, OutputLimits};
use sources::apt::fetch::FetchConfig;
use sources::apt::fetch::local::LocalFiles;
use sources::apt::fetch::proxy::{HostProxy, Proxies};
use sources::apt::freshness::{FreshnessRules, freshness};
use sources::apt::keyring::Keyring;
use sources::apt::sync::{self, Outcome, SourceRequest, SyncOutcome, SyncRequest};
use sources::apt::targets::{self, Merged};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Syncs every source of the host and asks what came of it. A source that cannot be reached now answers by the
/// snapshot that was adopted last, and says so.
pub fn ask<'host>(keyrings: &Keyrings<'host>, store: &Store, now: Timestamp) -> Channels<'host> {
    let host = keyrings.host;
    let merged = targets::merge(&host.channel_config.stanzas);
    let keys: Vec<Result<Keyring, NoAnswer>> = merged
        .iter()
        .map(|source| keyrings.of(source.stanzas[0]))
        .collect();
    let usable = merged
        .iter()
        .zip(&keys)
        .filter_map(|(source, keyring)| Some((source, keyring.as_ref().ok()?)));
    let request = SyncRequest {
        sources: usable
            .map(|(source, keyring)| SourceRequest {
                source: source.clone(),
                keyring,
            })
            .collect(),
        settings: &host.channel_config.settings,
        fetch: fetch_config(host),
    };
    let sources = counted(request.sources.len(), "source");
    let progress = Progress::begin(&format!("fetching {sources}"));
    let mut outcomes = sync::sync(&request, store, now).into_iter();
    drop(progress);
    drop(request);
    let ask_one = |(source, keyring): (Merged<'host>, Result<Keyring, NoAnswer>)| {
        let outcome = keyring.and_then(|keyring| {
            let synced = outcomes.next().expect("every source with a keyring was synced");
            let question = Question {
                host,
                store,
                source: &source,
                keyring: &keyring,
                now,
            };
            question.answer(synced)
        });
        (source, outcome)
    };
    Channels::of(merged.into_iter().zip(keys).map(ask_one), |source| {
        sync::last_known(store, source)
    })
}

/// What it takes to turn the outcome of a sync into an answer.
struct Question<'a> {
    host: &'a Host,
    store: &'a Store,
    source: &'a Merged<'a>,
    keyring: &'a Keyring,
    now: Timestamp,
}

impl Question<'_> {
    fn answer(&self, synced: SyncOutcome) -> Result<Answer, NoAnswer> {
        let (snapshot, doubt) = match synced.outcome {
            Outcome::Adopted(snapshot) | Outcome::Expired { snapshot, .. } => (Some(snapshot), None),
            Outcome::Unchanged { .. } => (self.current()?, None),
            Outcome::Failed(why) => {
                let why = crate::text::chain(&why);
                match self.current() {
                    Ok(Some(snapshot)) => (
                        Some(snapshot),
                        Some(format!(
                            "it could not be fetched now ({why}); what was fetched before is used"
                        )),
                    ),
                    _ => return Err(NoAnswer::NotFetched(why)),
                }
            }
        };
        let snapshot = snapshot.ok_or(NoAnswer::ListsMissing)?;
        let facts = snapshot.release.facts();
        let settings = settings_for(self.host, facts.label.as_deref());
        let freshness = freshness(
            facts,
            &FreshnessRules::of_silence(self.source.stanzas[0], &settings),
            self.now,
        );
        let doubt = doubt.or_else(|| Answer::doubt_of_suite(self.source, facts));
        let answer = Answer::of_snapshot(self.store, snapshot, self.keyring, freshness);
        Ok(Answer { doubt, ..answer })
    }

    fn current(&self) -> Result<Option<sources::apt::snapshot::Snapshot>, NoAnswer> {
        sync::current(self.store, self.source, self.keyring, self.now)
            .map_err(|why| NoAnswer::NotFetched(crate::text::chain(&why)))
    }
}

/// Opens files of the host, never any outside its tree.
fn inside(host: &Host) -> impl Fn(&str) -> io::Result<Option<File>> + Send + Sync + 'static {
    let tree = Arc::clone(&host.tree);
    move |path| match tree.open_file(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Proxies and certificates as apt.conf and the environment have them; apt.conf comes first, as with apt.
fn fetch_config(host: &Host) -> FetchConfig {
    let conf = &host.apt_conf;
    let from_environment = |name: &str| {
        if host.tree.is_live() {
            crate::variable(name).filter(|value| !value.is_empty())
        } else {
            None
        }
    };
    let proxy = |scheme: &str| {
        let set = conf.text(&format!("Acquire::{scheme}::Proxy")).map(str::to_owned);
        let proxy = set.or_else(|| from_environment(&format!("{scheme}_proxy")));
        proxy.filter(|proxy| !proxy.is_empty() && !proxy.eq_ignore_ascii_case("DIRECT"))
    };
    let mut hosts = Vec::new();
    for scheme in ["http", "https"] {
        let folder = format!("Acquire::{scheme}::Proxy");
        for name in conf.names_below(&folder) {
            if let Some(value) = conf.text(&format!("{folder}::{name}")) {
                let choice = if value.eq_ignore_ascii_case("DIRECT") {
                    HostProxy::Direct
                } else {
                    HostProxy::Through(value.to_owned())
                };
                hosts.push((name, choice));
            }
        }
    }
    let direct = from_environment("no_proxy").unwrap_or_default();
    FetchConfig {
        proxies: Proxies {
            http: proxy("http"),
            https: proxy("https")
                .or_else(|| proxy("http").filter(|_| conf.text("Acquire::https::Proxy").is_none())),
            hosts,
            direct: direct
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        },
        authorities: conf.text("Acquire::https::CaInfo").map(str::to_owned),
        files: LocalFiles::opened_by(inside(host)),
        ..FetchConfig::default()
    }
}

/// Lays out the synced snapshots in `folder` under the names that apt gives its lists. Indexes are unpacked: apt looks
/// up single records in them, which takes minutes in a packed file.
pub fn lay_out(channels: &Channels<'_>, store: &Store, folder: &Path) -> anyhow::Result<()> {
    for asked in &channels.asked {
        let Ok(answer) = &asked.outcome else { continue };
        let base = asked.source.release_uri();
        let place = |path: &str| folder.join(list_file_name(&format!("{base}{path}")));
        let release = store
            .map(&answer.release_digest)?
            .context("find a release file in the cache")?;
        let is_inline = release.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----");
        std::fs::write(place(if is_inline { "InRelease" } else { "Release" }), &*release)
            .context("lay out the lists")?;
        for readable in answer
            .listings
            .iter()
            .filter_map(|listing| listing.outcome.as_ref().ok())
        {
            let Some(published) = &readable.published else {
                continue;
            };
            let packed = store
                .map(&published.digest)?
                .context("find an index in the cache")?;
            let kind = Compression::from_name(&published.path);
            let stem = published
                .path
                .rsplit_once("Packages")
                .map_or(published.path.as_str(), |(folder, _)| folder);
            let mut unpacked = decompress::reader(kind, &*packed, OutputLimits::INDEX)?;
            let mut file = File::create(place(&format!("{stem}Packages"))).context("lay out the lists")?;
            io::copy(&mut unpacked, &mut file).context("lay out the lists")?;
        }
    }
    Ok(())
}
