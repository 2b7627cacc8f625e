//! What people decide about hosts: names, sites and tags, approval, retirement, a new identity, another tenant.

use domain::id::{HostId, SiteId, TenantId};
use jiff::Timestamp;
use serde::Deserialize;
use store::host::{self, Host, HostEdit, HostState, NewHost};
use store::{Scope, Tx, Whole, agent_chain, agent_key, site};
use utoipa::ToSchema;

use super::super::caller::{Caller, Place};
use super::super::change::{self, Done, Keep, Made, Once, Record};
use super::super::permission::{Noun, Permission, Reach, Verb};
use super::super::refusal::{Refusal, changed};
use super::super::shape::IdText;
use super::super::text;
use super::{HostView, find, show};
use crate::Context;
use crate::agents;

/// Most tags of a host.
const MOST_TAGS: usize = 64;

/// What is to be changed; what is missing stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HostEdit)]
pub struct HostChange {
    /// Its name: 1 to 64 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// Another site of the tenant.
    #[serde(default)]
    pub site: Option<IdText>,
    /// All its tags.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

fn shown(tx: &mut Tx, place: &Place, host: Host) -> Result<HostView, Refusal> {
    let view = show(tx, &place.scope, vec![host])?.pop();
    view.ok_or(Refusal::Fault("a host that was just changed is not there"))
}

/// Renames a host, moves it to another site of its tenant, or tags it.
///
/// # Errors
/// Where a text is not allowed, the site is not there, or somebody changed it meanwhile.
pub async fn edit(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: HostId,
    version: i64,
    wanted: HostChange,
) -> Result<HostView, Refusal> {
    let name = wanted.name.map(|name| text::name("/name", &name)).transpose()?;
    let site: Option<SiteId> = wanted
        .site
        .map(|site| super::super::parse_id("/site", &site))
        .transpose()?;
    if let Some(site) = site {
        place.reaches(site, "site")?;
    }
    let tags = wanted.tags.map(|tags| check_tags(&tags)).transpose()?;
    let place_ = place.clone();
    let view = change::change(ctx, caller, place.scope.owner(), move |tx| {
        let before = find(tx, &place_, id)?;
        let edit = HostEdit {
            name: name.clone().unwrap_or(before.name),
            site: site.unwrap_or(before.site),
        };
        let mut record = Record::of(Verb::Change, Noun::Host, id).with("name", &*edit.name);
        record = record.with("site", edit.site.to_string());
        let absent = |error| match error {
            store::Error::NoSuchRow(_) => Refusal::NotFound { what: "site" },
            other => Refusal::Store(other),
        };
        let after = host::edit(tx, &place_.scope, id, version, &edit).map_err(absent)?;
        let mut host = changed(after, "host")?;
        if let Some(tags) = &tags {
            host = changed(host::set_tags(tx, &place_.scope, id, host.version, tags)?, "host")?;
            record = record.with("tags", tags.clone());
        }
        Ok(Done::new(shown(tx, &place_, host)?, record))
    });
    let view = view.await?;
    agents::refresh(ctx, place.scope.tenant(), id).await?;
    Ok(view)
}

fn check_tags(tags: &[String]) -> Result<Vec<String>, Refusal> {
    if tags.len() > MOST_TAGS {
        return Err(Refusal::invalid(
            "/tags",
            format!("a host has at most {MOST_TAGS} tags"),
        ));
    }
    tags.iter().map(|tag| text::tag("/tags", tag)).collect()
}

/// Lets a pending or quarantined host in.
///
/// # Errors
/// Where it does not wait.
pub async fn approve(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: HostId,
    once: Once,
) -> Result<Made, Refusal> {
    let (place_, now) = (place.clone(), ctx.clock.now());
    let made = change::make(ctx, caller, place.scope.owner(), once, Keep::Plain, move |tx| {
        let host = find(tx, &place_, id)?;
        if !matches!(host.state, HostState::Pending | HostState::Quarantined) {
            return Err(Refusal::WrongState(format!(
                "this host is {}",
                host.state.as_str()
            )));
        }
        let active = host::set_state(tx, &place_.scope, id, host.version, HostState::Active, now)?;
        let host = changed(active, "host")?;
        let record = Record::of(Verb::Approve, Noun::Host, id).with("name", &*host.name);
        let version = host.version;
        Ok(Done::new(shown(tx, &place_, host)?, record)
            .version(version)
            .only_done())
    });
    let made = made.await?;
    agents::refresh(ctx, place.scope.tenant(), id).await?;
    Ok(made)
}

/// Retires a host: its keys are revoked, its history is kept.
///
/// # Errors
/// Where somebody changed it meanwhile, or it is retired already.
pub async fn retire(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: HostId,
    version: i64,
) -> Result<(), Refusal> {
    let (place_, now) = (place.clone(), ctx.clock.now());
    change::change(ctx, caller, place.scope.owner(), move |tx| {
        let host = find(tx, &place_, id)?;
        if host.state == HostState::Retired {
            return Err(Refusal::WrongState("this host is retired already".to_owned()));
        }
        let after = host::set_state(tx, &place_.scope, id, version, HostState::Retired, now)?;
        changed(after, "host")?;
        agent_key::revoke_all(tx, &place_.scope, id, "retired", now)?;
        Ok(Done::new(
            (),
            Record::of(Verb::Remove, Noun::Host, id).with("name", host.name),
        ))
    })
    .await?;
    Ok(agents::refresh(ctx, place.scope.tenant(), id).await?)
}

/// Takes a host's identity away, so that it has to enrol again; as the same machine it becomes the same host.
///
/// # Errors
/// Where it is retired.
pub async fn re_enrol(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: HostId,
    once: Once,
) -> Result<Made, Refusal> {
    let (place_, now) = (place.clone(), ctx.clock.now());
    let made = change::make(ctx, caller, place.scope.owner(), once, Keep::Plain, move |tx| {
        let host = find(tx, &place_, id)?;
        if host.state == HostState::Retired {
            return Err(Refusal::WrongState(
                "a retired host enrols as a new one".to_owned(),
            ));
        }
        let revoked = agent_key::revoke_all(tx, &place_.scope, id, "re-enrol", now)?;
        let record = Record::of(Verb::Change, Noun::Host, id)
            .with("re_enrol", true)
            .with("keys_revoked", revoked);
        let version = host.version;
        Ok(Done::new(shown(tx, &place_, host)?, record)
            .version(version)
            .only_done())
    });
    let made = made.await?;
    agents::refresh(ctx, place.scope.tenant(), id).await?;
    Ok(made)
}

/// Which host is the same machine.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// The host that this one was before it was enrolled anew.
    pub former: IdText,
}

/// Says that a host is the same machine as one that was enrolled before: it takes over name, site and tags, and the former
/// one is retired with its history.
///
/// # Errors
/// Where either is not there or retired, or both are one.
pub async fn merge(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: HostId,
    once: Once,
    wanted: MergeRequest,
) -> Result<Made, Refusal> {
    let former: HostId = super::super::parse_id("/former", &wanted.former)?;
    if former == id {
        return Err(Refusal::invalid("/former", "a host is not merged with itself"));
    }
    let (place_, now) = (place.clone(), ctx.clock.now());
    let made = change::make(ctx, caller, place.scope.owner(), once, Keep::Plain, move |tx| {
        let scope = place_.scope;
        let (host, gone) = (find(tx, &place_, id)?, find(tx, &place_, former)?);
        if host.state == HostState::Retired || gone.state == HostState::Retired {
            return Err(Refusal::WrongState("a retired host is not merged".to_owned()));
        }
        let tags: Vec<String> = host::tags(tx, &scope, &[former])?
            .into_iter()
            .map(|(_, tag)| tag)
            .collect();
        let state = host::set_state(tx, &scope, former, gone.version, HostState::Retired, now)?;
        changed(state, "host")?;
        agent_key::revoke_all(tx, &scope, former, "merged", now)?;
        let edit = HostEdit {
            name: gone.name,
            site: gone.site,
        };
        let host = changed(host::edit(tx, &scope, id, host.version, &edit)?, "host")?;
        let host = changed(host::set_tags(tx, &scope, id, host.version, &tags)?, "host")?;
        let record = Record::of(Verb::Change, Noun::Host, id).with("merged_with", former.to_string());
        let version = host.version;
        Ok(Done::new(shown(tx, &place_, host)?, record)
            .version(version)
            .only_done())
    });
    let made = made.await?;
    agents::refresh(ctx, place.scope.tenant(), former).await?;
    agents::refresh(ctx, place.scope.tenant(), id).await?;
    Ok(made)
}

/// Where a host goes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// The tenant.
    pub tenant: IdText,
    /// A site of that tenant.
    pub site: IdText,
}

/// Moves a host to another tenant. Its history stays with the old one, where it is retired.
///
/// # Errors
/// Where the caller may not approve hosts there, the site is not there, or the host is retired or was there before.
pub async fn move_to(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: HostId,
    once: Once,
    wanted: MoveRequest,
) -> Result<Made, Refusal> {
    let tenant: TenantId = super::super::parse_id("/tenant", &wanted.tenant)?;
    let site: SiteId = super::super::parse_id("/site", &wanted.site)?;
    if tenant == place.scope.tenant() {
        return Err(Refusal::invalid(
            "/tenant",
            "the host is there already; change its site instead",
        ));
    }
    if !caller.rights.know(tenant) {
        return Err(Refusal::NotFound { what: "tenant" });
    }
    let approve = Permission::of(Verb::Approve, Noun::Host).expect("a row of the table");
    if !caller.rights.allow(approve, Reach::Site(tenant, site)) {
        return Err(Refusal::NotAllowed(approve));
    }
    let (place_, to, now) = (place.clone(), Scope::of_tenant(tenant), ctx.clock.now());
    let made = change::make(ctx, caller, place.scope.owner(), once, Keep::Plain, move |tx| {
        site::get(tx, &to, site)?.ok_or(Refusal::NotFound { what: "site" })?;
        let host = carry_over(tx, &place_, to, site, id, now)?;
        let record = Record::of(Verb::Change, Noun::Host, id).with("moved_to", tenant.to_string());
        let version = host.version;
        let shown = show(tx, &to, vec![host])?
            .pop()
            .ok_or(Refusal::Fault("a moved host is not there"))?;
        let arrival = Record::of(Verb::Create, Noun::Host, id)
            .with("moved_from", place_.scope.tenant().to_string())
            .with("site", site.to_string());
        Ok(Done::new(shown, record)
            .and_for(to.owner(), arrival)
            .version(version)
            .only_done())
    });
    let made = made.await?;
    // Only where it is now: what stayed behind is retired, and a check-in that is held must not be told so.
    agents::refresh(ctx, tenant, id).await?;
    Ok(made)
}

fn carry_over(
    tx: &mut Tx,
    from: &Place,
    to: Scope,
    site: SiteId,
    id: HostId,
    now: Timestamp,
) -> Result<Host, Refusal> {
    let host = find(tx, from, id)?;
    if host.state != HostState::Active {
        return Err(Refusal::WrongState(format!(
            "a host that is {} is not moved",
            host.state.as_str()
        )));
    }
    let retired = host::set_state(tx, &from.scope, id, host.version, HostState::Retired, now)?;
    let host = changed(retired, "host")?;
    let new = NewHost {
        id,
        name: host.name,
        site,
        state: HostState::Active,
        mode: host.mode,
        agent_version: host.agent_version,
        machine: host.machine,
        moved_from: Some(from.scope.tenant()),
        copy_of: None,
    };
    let made = host::create(tx, &to, &new, now).map_err(|error| match error {
        store::Error::Taken { .. } => {
            Refusal::WrongState("this host was in that tenant before; enrol it there anew".to_owned())
        }
        other => Refusal::Store(other),
    })?;
    if let Some(chain) = agent_chain::get(tx, &from.scope, id)? {
        agent_chain::advance(tx, &Whole::server(), &[(to.tenant(), chain)])?;
    }
    agent_key::hand_over(tx, &Whole::server(), id, from.scope.tenant(), to.tenant())?;
    Ok(made)
}
