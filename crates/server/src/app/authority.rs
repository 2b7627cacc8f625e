//! The root authority as people change it: which roots there are, preparing the next one, letting it take the other's place, and
//! retiring the former one. What is wanted stands in the database, with its audit record; the folder of keys follows it.

use domain::digest::Sha256Digest;
use serde::{Deserialize, Serialize};
use store::{Owner, Tx, Whole, liveness, server_setting};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Verb};
use super::refusal::{Refusal, changed};
use super::shape::{When, whole};
use crate::Context;
use crate::agents;
use crate::authority::{AuthorityError, OtherRoot};
use crate::private_file::write_durably;
use crate::start::listener_names;

/// The setting that says which root is wanted.
const WANTED: &str = "root-authority";
/// The present root's certificate in the data directory (PEM): by it commands on this machine believe the server.
const ROOT_FILE: &str = "root.pem";
/// What audit records name: there is one root authority.
const SUBJECT: &str = "root";

/// A root authority, shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RootAuthority)]
pub struct RootView {
    /// SHA-256 of its certificate, in hexadecimal digits.
    pub digest: String,
    /// Until when it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<When>,
    /// Since when agents are told of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced_at: Option<When>,
}

/// The authority as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Authority)]
pub struct AuthorityView {
    /// The root that agents, tokens and log-ins are told to trust.
    pub present: RootView,
    /// The root that will follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<RootView>,
    /// The root that the present one followed, still good for those who know only that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former: Option<RootView>,
    /// Hosts that were not answered since the change was announced: they know only the older root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts_behind: Option<u64>,
    /// What ends soon, and what to do about it.
    pub alarms: Vec<String>,
}

/// Which root is to take the present one's place.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// SHA-256 of its certificate, in hexadecimal digits.
    pub to: String,
}

/// What retiring the former root costs.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireRequest {
    /// How many hosts are left behind, as it was shown: each of them has to be enrolled anew.
    #[serde(default, deserialize_with = "whole")]
    pub leaves_behind: u64,
}

/// What a step was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuthorityStep)]
pub struct StepView {
    /// SHA-256 of the root's certificate, in hexadecimal digits.
    pub digest: String,
}

/// Which root is wanted, as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    present: String,
    /// Whether the root before it is still to be good.
    keeps_former: bool,
}

/// The authority as it stands.
///
/// # Errors
/// Of the database.
pub async fn show(ctx: &Context) -> Result<AuthorityView, Refusal> {
    let shown = ctx.authority.roots_shown();
    let root = |digest: Sha256Digest, announced_at| RootView {
        digest: digest.to_string(),
        until: None,
        announced_at: Some(When(announced_at)),
    };
    let (next, former, since) = match shown.other {
        OtherRoot::None => (None, None, None),
        OtherRoot::Next { digest, announced_at } => {
            (Some(root(digest, announced_at)), None, Some(announced_at))
        }
        OtherRoot::Former { digest, announced_at } => {
            (None, Some(root(digest, announced_at)), Some(announced_at))
        }
    };
    let hosts_behind = match since {
        None => None,
        Some(since) => Some(behind(ctx, since).await?),
    };
    let alarms = ctx.authority.alarms(ctx.clock.now());
    Ok(AuthorityView {
        present: RootView {
            digest: shown.present.to_string(),
            until: Some(When(shown.until)),
            announced_at: None,
        },
        next,
        former,
        hosts_behind,
        alarms: alarms.iter().map(crate::authority::Alarm::sentence).collect(),
    })
}

async fn behind(ctx: &Context, since: jiff::Timestamp) -> Result<u64, Refusal> {
    agents::flush(ctx).await?;
    Ok(ctx
        .db
        .read(move |view| liveness::not_served_since(view, &Whole::server(), since))
        .await?)
}

/// Prepares the next root, and tells every agent of it from now on.
///
/// # Errors
/// Where the former one is not retired yet, or the present one's key is kept elsewhere.
pub async fn prepare(ctx: &Context, caller: &Caller, once: Once) -> Result<Made, Refusal> {
    let now = ctx.clock.now();
    if let Some(made) = change::answered(ctx, caller, Owner::Shared, &once).await? {
        return Ok(made);
    }
    let prepared = ctx.authority.draw_next_root(now, &*ctx.chance).map_err(refused)?;
    let digest = prepared.digest().to_string();
    let made = change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |_tx| {
        Ok(done("prepare", &digest))
    });
    let made = made.await?;
    if !made.is_repeated {
        ctx.authority
            .prepare_next_root(prepared, now, &*ctx.chance)
            .map_err(refused)?;
        announce(ctx);
    }
    Ok(made)
}

/// Lets the prepared root take the present one's place. Those who know only the other one come back by its word for this one.
///
/// # Errors
/// Where no such root is prepared.
pub async fn switch(
    ctx: &Context,
    caller: &Caller,
    once: Once,
    wanted: SwitchRequest,
) -> Result<Made, Refusal> {
    let to: Sha256Digest = wanted
        .to
        .parse()
        .map_err(|_other| Refusal::invalid("/to", "a root is named by 64 hexadecimal digits"))?;
    let shown = ctx.authority.roots_shown();
    let is_prepared = matches!(shown.other, OtherRoot::Next { digest, .. } if digest == to);
    let now = ctx.clock.now();
    let made = change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |tx| {
        if !is_prepared {
            return Err(Refusal::WrongState(
                "no root authority with this digest is prepared".to_owned(),
            ));
        }
        let wanted = Wanted {
            present: to.to_string(),
            keeps_former: true,
        };
        want(tx, &wanted, now)?;
        Ok(done("switch", &to.to_string()))
    });
    let made = made.await?;
    settle(ctx).await?;
    Ok(made)
}

/// Forgets the former root.
///
/// # Errors
/// Where there is none, or other hosts are left behind than the caller says.
pub async fn retire(
    ctx: &Context,
    caller: &Caller,
    once: Once,
    wanted: RetireRequest,
) -> Result<Made, Refusal> {
    let shown = ctx.authority.roots_shown();
    let former = match shown.other {
        OtherRoot::Former { digest, announced_at } => Some((digest, behind(ctx, announced_at).await?)),
        OtherRoot::None | OtherRoot::Next { .. } => None,
    };
    let now = ctx.clock.now();
    let made = change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |tx| {
        let Some((former, left)) = former else {
            return Err(Refusal::WrongState(
                "there is no former root authority".to_owned(),
            ));
        };
        if left != wanted.leaves_behind {
            return Err(Refusal::WrongState(format!(
                "{left} hosts know only the former root authority and would have to be enrolled anew: wait for them, or \
                 say so with `leaves_behind`"
            )));
        }
        let wanted = Wanted {
            present: shown.present.to_string(),
            keeps_former: false,
        };
        want(tx, &wanted, now)?;
        let mut done = done("retire", &former.to_string());
        done.note("hosts_left_behind", left);
        Ok(done)
    });
    let made = made.await?;
    settle(ctx).await?;
    Ok(made)
}

fn done(step: &str, digest: &str) -> Done<StepView> {
    let record = Record::of(Verb::Change, Noun::Authority, SUBJECT)
        .with("step", step)
        .with("root", digest);
    let view = StepView {
        digest: digest.to_owned(),
    };
    Done::new(view, record).only_done()
}

fn want(tx: &mut Tx, wanted: &Wanted, now: jiff::Timestamp) -> Result<(), Refusal> {
    let whole = Whole::server();
    let version = server_setting::get(tx, &whole, WANTED)?.map_or(0, |setting| setting.version);
    let text = serde_json::to_string(wanted).expect("texts are JSON");
    let set = server_setting::set(tx, &whole, WANTED, version, &text, now)?;
    changed(set, "setting").map(drop)
}

/// Brings the folder of keys to what is wanted, and tells agents. Run after each change and by upkeep, which completes what a
/// crash left undone.
///
/// # Errors
/// Of the database, and of the folder of keys.
pub async fn settle(ctx: &Context) -> Result<(), Refusal> {
    let wanted = ctx
        .db
        .read(|view| server_setting::get(view, &Whole::server(), WANTED))
        .await?;
    let Some(wanted) = wanted else { return Ok(()) };
    let wanted: Wanted = serde_json::from_str(&wanted.value)
        .map_err(|_other| Refusal::Fault("which root authority is wanted cannot be read"))?;
    let (names, now) = (listener_names(&ctx.settings), ctx.clock.now());
    let shown = ctx.authority.roots_shown();
    match shown.other {
        OtherRoot::Next { digest, .. } if digest.to_string() == wanted.present => {
            ctx.authority
                .switch_root(digest, &names, now, &*ctx.chance)
                .map_err(refused)?;
            announce(ctx);
        }
        OtherRoot::Former { .. } if shown.present.to_string() == wanted.present && !wanted.keeps_former => {
            ctx.authority
                .retire_former_root(&names, now, &*ctx.chance)
                .map_err(refused)?;
            announce(ctx);
        }
        _ => {}
    }
    Ok(())
}

/// Tells every agent of the authorities as they are now.
fn announce(ctx: &Context) {
    let addresses = ctx.agents.card().card.addresses.clone();
    agents::announce_addresses(ctx, &addresses);
    // The command line on this machine believes the server by this file.
    let file = ctx.data.path().join(ROOT_FILE);
    if let Err(error) = write_durably(&file, ctx.authority.root_pem().as_bytes()) {
        tracing::error!(%error, "The root authority for this machine's command line could not be written: restart the server.");
    }
}

fn refused(error: AuthorityError) -> Refusal {
    match error {
        AuthorityError::Stage(stage) => Refusal::WrongState(stage.to_string()),
        AuthorityError::RootOffline { .. } => Refusal::WrongState(
            "the key of the root authority is not here: put root.sealed back into the folder of keys, and restart"
                .to_owned(),
        ),
        error => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "The root authority could not be changed."
            );
            Refusal::Fault("the root authority could not be changed")
        }
    }
}
