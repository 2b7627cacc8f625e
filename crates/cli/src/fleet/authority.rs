//! `patchyard authority`: the root authority that agents trust, and the steps by which the next one takes its place.

use super::args::Authority;
use super::{Asker, member, once};
use crate::text::shown;
use anyhow::{Context, bail};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/authority";

/// The root authority.
///
/// # Errors
/// The server refuses, or the step is not due.
pub fn run(asker: &Asker, command: &Authority) -> anyhow::Result<String> {
    match command {
        Authority::Show => {
            let found = asker.client.get(PATH, &[])?;
            asker.say(&found, &sentences(&found)?)
        }
        Authority::Prepare => {
            let next = step(asker, "prepare", &json!({}))?;
            let digest = shown(member(&next, "digest")?).into_owned();
            asker.say(
                &next,
                &format!(
                    "The next root authority is {digest}. Agents learn it as they check in; `patchyard authority show` counts \
                     those that do not know it yet. Then: patchyard authority switch."
                ),
            )
        }
        Authority::Switch => {
            let found = asker.client.get(PATH, &[])?;
            let Some(to) = found["next"]["digest"].as_str() else {
                bail!("no root authority is prepared: `patchyard authority prepare` makes one")
            };
            let done = step(asker, "switch", &json!({ "to": to }))?;
            asker.say(
                &done,
                &format!(
                    "The root authority is {} now. Hosts and log-ins that know only the former one are believed by its word, \
                     until: patchyard authority retire.",
                    shown(to)
                ),
            )
        }
        Authority::Retire { leaves_behind } => {
            let done = step(asker, "retire", &json!({ "leaves_behind": leaves_behind }))?;
            asker.say(
                &done,
                "The former root authority is forgotten. Hosts that know only that one need a new enrolment, and log-ins on \
                 other machines `patchyard login` once more.",
            )
        }
    }
}

fn step(asker: &Asker, name: &str, body: &Value) -> anyhow::Result<Value> {
    Ok(asker.client.post(&format!("{PATH}/{name}"), body, &once())?)
}

fn sentences(found: &Value) -> anyhow::Result<String> {
    let present = found
        .get("present")
        .context("the server's answer has no present root")?;
    let mut lines = vec![format!(
        "The root authority is {}, valid until {}.",
        shown(member(present, "digest")?),
        shown(member(present, "until")?)
    )];
    let behind = found["hosts_behind"].as_u64().unwrap_or(0);
    for (name, sentence) in [
        ("next", "will follow, announced since"),
        (
            "former",
            "was before and is still good; agents were told of the change on",
        ),
    ] {
        if let Some(other) = found.get(name).filter(|other| other.is_object()) {
            lines.push(format!(
                "{} {sentence} {}; {behind} hosts do not know both yet.",
                shown(member(other, "digest")?),
                shown(member(other, "announced_at")?)
            ));
        }
    }
    let alarms = found["alarms"].as_array().into_iter().flatten();
    lines.extend(
        alarms
            .filter_map(Value::as_str)
            .map(|alarm| shown(alarm).into_owned()),
    );
    Ok(lines.join("\n"))
}
