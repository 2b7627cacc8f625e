//! A change as it would be made now: which hosts, what each would take, and what would be approved. Preview and creation draw it
//! alike, so that what is approved is what was seen.

use super::request::{HostsWanted, Wanted};
use crate::Context;
use crate::app::caller::Place;
use crate::app::finding::of_load;
use crate::app::parse_id;
use crate::app::refusal::Refusal;
use crate::app::shape::IdText;
use crate::catalog::resolve::{Resolved, Unresolved, resolve};
use crate::catalog::row;
use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, Release};
use domain::digest::Sha256Digest;
use domain::id::{HostId, UpdateKey};
use domain::order::Direction;
use protocol::order::ApprovalDocument;
use protocol::scope::Tree;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use store::host::{self, Host, HostFilter, HostNames, HostState};
use store::update::{self, Update, UpdateState};
use store::{ByName, Scope, View};

/// Hosts of one change at most.
const MOST_HOSTS: usize = 10_000;
/// Hosts of one page while all are gone through.
const PAGE: u32 = 1_000;

/// What came of looking at a host.
pub(super) type Found = Result<Resolved, Unresolved>;

/// A change as it would be made.
pub(super) struct Draft {
    pub(super) approval: Approval,
    /// What is approved, as bytes, and their digest.
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Sha256Digest,
    /// In the order of names.
    pub(super) hosts: Vec<(Host, Arc<Found>)>,
}

impl Draft {
    /// Draws it.
    pub(super) async fn of(ctx: &Context, place: &Place, wanted: &Wanted) -> Result<Self, Refusal> {
        let scope = place.scope;
        let keys = wanted.updates.clone();
        let updates = ctx.db.attempt_read(move |view| updates(view, &scope, &keys));
        let updates = updates.await?;
        let (place, asked) = (place.clone(), wanted.hosts.clone());
        let hosts = ctx.db.attempt_read(move |view| hosts(view, &place, &asked));
        let hosts = hosts.await?;
        let release = Release {
            updates,
            rules: wanted.rules.clone(),
        };
        Self::for_hosts(ctx, scope, release, hosts, wanted.closes, Direction::Forward).await
    }

    /// Draws it for these hosts.
    pub(super) async fn for_hosts(
        ctx: &Context,
        scope: Scope,
        release: Release,
        hosts: Vec<Host>,
        not_after: jiff::Timestamp,
        direction: Direction,
    ) -> Result<Self, Refusal> {
        // Hosts that have the same and are configured alike take the same.
        let mut alike: HashMap<_, Arc<Found>> = HashMap::new();
        let mut found = Vec::with_capacity(hosts.len());
        for host in hosts {
            let key = (host.inventory, host.channel_config);
            let one = match alike.get(&key) {
                Some(one) => Arc::clone(one),
                None => {
                    let looked = look(ctx, &scope, host.id, &release.updates, direction).await?;
                    let one = Arc::new(looked);
                    alike.insert(key, Arc::clone(&one));
                    one
                }
            };
            found.push((host, one));
        }
        let resolved = found.iter().filter_map(|(_, found)| found.as_ref().as_ref().ok());
        let snapshots: BTreeSet<Sha256Digest> = resolved
            .flat_map(|resolved| resolved.snapshots.iter().map(|snapshot| snapshot.release))
            .collect();
        let ids: Vec<HostId> = found.iter().map(|(host, _)| host.id).collect();
        let approval = Approval {
            tenant: scope.tenant(),
            release,
            snapshots: snapshots.into_iter().collect(),
            scope: Tree::over(&ids).scope(),
            not_after,
            direction,
        };
        let bytes = ApprovalDocument::bytes_of(&approval);
        Ok(Self {
            digest: protocol::sha256(&bytes),
            approval,
            bytes,
            hosts: found,
        })
    }

    /// Whether anything is to be installed anywhere.
    pub(super) fn has_work(&self) -> bool {
        self.hosts.iter().any(|(_, found)| found.is_ok())
    }
}

async fn look(
    ctx: &Context,
    scope: &Scope,
    host: HostId,
    updates: &[UpdateId],
    direction: Direction,
) -> Result<Found, Refusal> {
    match resolve(ctx, scope, host, updates, direction).await {
        Err(Unresolved::Failed(error)) => Err(of_load(error)),
        found => Ok(found),
    }
}

/// What these updates are, sorted; none that may not be deployed.
fn updates(view: &mut View, scope: &Scope, keys: &[UpdateKey]) -> Result<Vec<UpdateId>, Refusal> {
    let rows = update::get_many(view, scope, keys)?;
    let known: BTreeSet<UpdateKey> = rows.iter().map(|row| row.id).collect();
    if let Some(unknown) = keys.iter().find(|key| !known.contains(key)) {
        return Err(Refusal::invalid(
            "/updates",
            format!("there is no update {unknown}"),
        ));
    }
    let mut ids = rows.iter().map(update_id).collect::<Result<Vec<_>, _>>()?;
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn update_id(row: &Update) -> Result<UpdateId, Refusal> {
    let identity = &row.identity;
    let named = format!("{} {}", identity.source, identity.source_version);
    match row.state {
        UpdateState::Listed => {}
        UpdateState::Withdrawn => {
            let why = format!("{named} was replaced or taken back by its source");
            return Err(Refusal::invalid("/updates", why));
        }
        UpdateState::Quarantined => {
            let why = format!("{named} was seen with two contents: nothing may be done with it");
            return Err(Refusal::invalid("/updates", why));
        }
    }
    let keys = row::parse("an update's keys", &identity.signing_keys);
    Ok(UpdateId {
        publisher: Publisher {
            origin: identity.origin.clone(),
            keys: keys.map_err(|_damaged| Refusal::Fault("an update's keys cannot be read"))?,
        },
        source: identity.source.clone(),
        source_version: identity.source_version.clone(),
        build: identity.build.clone(),
    })
}

/// The hosts that are asked for, in the order of names; each once.
fn hosts(view: &mut View, place: &Place, wanted: &HostsWanted) -> Result<Vec<Host>, Refusal> {
    let mut found = match (&wanted.ids, &wanted.names, wanted.all) {
        (Some(ids), None, None) => by_ids(view, place, ids)?,
        (None, Some(names), None) => by_names(view, place, names)?,
        (None, None, Some(true)) => all(view, place)?,
        _ => {
            return Err(Refusal::invalid(
                "/hosts",
                "hosts are named by `ids`, by `names`, or by `all`: true",
            ));
        }
    };
    found.sort_by(|one, next| (&one.name, one.id).cmp(&(&next.name, next.id)));
    found.dedup_by_key(|host| host.id);
    if found.is_empty() {
        return Err(Refusal::invalid("/hosts", "there is no such host"));
    }
    Ok(found)
}

fn too_many() -> Refusal {
    let why = format!("a change has up to {MOST_HOSTS} hosts: make several");
    Refusal::invalid("/hosts", why)
}

fn by_ids(view: &mut View, place: &Place, ids: &[IdText]) -> Result<Vec<Host>, Refusal> {
    if ids.len() > MOST_HOSTS {
        return Err(too_many());
    }
    let mut found = Vec::with_capacity(ids.len());
    for text in ids {
        let id: HostId = parse_id("/hosts/ids", text)?;
        let host = host::get(view, &place.scope, id)?.filter(|host| place.reaches(host.site, "host").is_ok());
        let missing = || Refusal::invalid("/hosts/ids", format!("there is no host {id}"));
        found.push(host.ok_or_else(missing)?);
    }
    Ok(found)
}

fn by_names(view: &mut View, place: &Place, names: &[String]) -> Result<Vec<Host>, Refusal> {
    if names.len() > MOST_HOSTS {
        return Err(too_many());
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let filter = HostFilter {
            name: Some(HostNames::Exactly(name.clone())),
            ..HostFilter::default()
        };
        let page = host::page(view, &place.scope, &filter, None, 2)?;
        let mut of_name = page.rows.into_iter();
        match (of_name.next(), of_name.next()) {
            (Some(host), None) => found.push(host),
            (Some(_), Some(_)) => {
                let why = format!("several hosts are called {name}: name them by their ids");
                return Err(Refusal::invalid("/hosts/names", why));
            }
            (None, _) => {
                let why = format!("there is no host called {name}");
                return Err(Refusal::invalid("/hosts/names", why));
            }
        }
    }
    Ok(found)
}

fn all(view: &mut View, place: &Place) -> Result<Vec<Host>, Refusal> {
    let filter = HostFilter {
        state: Some(HostState::Active),
        ..HostFilter::default()
    };
    let (mut found, mut after): (Vec<Host>, Option<ByName<HostId>>) = (Vec::new(), None);
    loop {
        let page = host::page(view, &place.scope, &filter, after.as_ref(), PAGE)?;
        found.extend(page.rows);
        if found.len() > MOST_HOSTS {
            return Err(too_many());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(found),
        }
    }
}

/// Each transaction of a draft once, by digest.
pub(super) type Texts = BTreeMap<Sha256Digest, String>;
