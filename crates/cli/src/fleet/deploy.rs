//! `patchyard deploy`: shows what would happen on which host, asks, has the server do it, and shows it happen until it is
//! verified. A change of one ring: there is no other way to an order.

mod live;
mod preview;
mod wish;

use super::args::{Deploy, Format};
use super::client::ApiError;
use super::{Asker, Done, member, once};
use crate::exit;
use crate::text::{counted, shown};
use anyhow::{bail, ensure};
use live::Ended;
use serde_json::{Value, json};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// How often a person is shown a preview that is another one by the time of the answer.
const TRIES: usize = 3;
/// What the server answers when hosts or sources have changed since the preview.
const CHANGED: &str = "preview-changed";

/// Does all of it.
///
/// # Errors
/// No such update or host, nothing to do, nobody to ask; the server refuses.
pub fn run(asker: &Asker, command: &Deploy) -> anyhow::Result<Done> {
    run_in(asker, command, &mut Room::real())
}

fn run_in(asker: &Asker, command: &Deploy, room: &mut Room<'_>) -> anyhow::Result<Done> {
    ensure!(asker.asking.format() != Format::Csv, ApiError::NoList);
    let tenant = asker.tenant()?;
    let wish = wish::of(asker, &tenant, command)?;
    let Some(change) = agreed(asker, &tenant, command, &wish, room)? else {
        return Ok(room.rest().into());
    };
    let id = member(&change, "id")?;
    let is_later = command.at.is_some_and(|at| at > asker.now);
    if command.no_wait || is_later {
        let sentence = format!("Begun. {}", how_to_look(id));
        return Ok((room.rest() + &asker.say(&change, sentence.trim_end())?).into());
    }
    room.say(
        asker,
        &format!("Ctrl-C ends the watching only. {}", how_to_look(id)),
    )?;
    watched(asker, &tenant, &change, room)
}

/// Shows a change happen until nothing moves any more.
///
/// # Errors
/// The server refuses, or cannot be reached for long.
pub fn watched(asker: &Asker, tenant: &str, change: &Value, room: &mut Room<'_>) -> anyhow::Result<Done> {
    let ended = live::watch(asker, tenant, member(change, "id")?, room)?;
    let exit_code = ended.exit_code();
    let text = match asker.asking.format() {
        Format::Json => super::json(&json!({ "change": change, "deployments": ended.deployments }))?,
        Format::People | Format::Csv => ended.told(asker.style),
    };
    Ok(Done { text, exit_code })
}

/// How a person goes on without this command.
pub fn how_to_look(change: &str) -> String {
    let change = shown(change);
    format!("Look again: patchyard change watch {change}; stop it: patchyard change stop {change}\n")
}

/// The change that a person agreed to; nothing where only the preview was wanted.
fn agreed(
    asker: &Asker,
    tenant: &str,
    command: &Deploy,
    wish: &wish::Wish,
    room: &mut Room<'_>,
) -> anyhow::Result<Option<Value>> {
    for attempt in 1..=TRIES {
        let path = format!("{tenant}/deployments/preview");
        let shown_first = asker.client.post(&path, &wish.body, &once())?;
        if command.preview && asker.asking.json {
            room.text = super::json(&shown_first)?;
            return Ok(None);
        }
        room.tell(asker, &preview::told(wish, &shown_first, asker.style));
        if command.preview {
            return Ok(None);
        }
        let concerned = preview::concerned(&shown_first);
        if concerned == 0 {
            bail!("{}", preview::why_nothing(wish, &shown_first, asker.style));
        }
        let question = format!("Deploy to {}? [y/N] ", counted(concerned, "host"));
        if !command.yes {
            ask(asker, &question, room)?;
        }
        let mut body = wish.body.clone();
        body["approval"] = shown_first["approval"].clone();
        match asker
            .client
            .post(&format!("{tenant}/deployments"), &body, &once())
        {
            Ok(change) => return Ok(Some(change)),
            Err(ApiError::Refused { code, .. }) if code == CHANGED && !command.yes && attempt < TRIES => {
                room.tell(
                    asker,
                    "Meanwhile something has changed. What would happen now:\n\n",
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("hosts or sources change faster than you can answer: try again later, or with --yes")
}

/// Asks a person at the terminal; whoever else is there must have said so before.
///
/// # Errors
/// Nobody is there, or the answer is no.
pub fn ask(asker: &Asker, question: &str, room: &mut Room<'_>) -> anyhow::Result<()> {
    let stdin = io::stdin();
    ensure!(
        asker.asking.format() == Format::People && stdin.is_terminal() && io::stdout().is_terminal(),
        "nobody is here to ask: say --yes, after a look with --preview"
    );
    room.say(asker, question)?;
    let mut answer = String::new();
    stdin.lock().take(100).read_line(&mut answer)?;
    ensure!(
        matches!(answer.trim(), "y" | "Y" | "yes"),
        "nothing was begun: the answer was not yes"
    );
    Ok(())
}

/// Where a person sits: what is said there before the command ends, and how time passes.
pub struct Room<'a> {
    /// Not printed yet.
    text: String,
    out: Box<dyn Write + 'a>,
    pause: &'a dyn Fn(),
}

impl Room<'_> {
    /// Standard output, and real time.
    pub fn real() -> Self {
        Self {
            text: String::new(),
            out: Box::new(io::stdout()),
            pause: &live::a_second,
        }
    }

    /// Says this to a person, by the end at the latest. A program gets one answer, and not this.
    pub fn tell(&mut self, asker: &Asker, text: &str) {
        if asker.asking.format() == Format::People {
            self.text.push_str(text);
        }
    }

    /// The same, at once.
    fn say(&mut self, asker: &Asker, text: &str) -> io::Result<()> {
        self.tell(asker, text);
        let text = self.rest();
        self.put(&text)
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// What is to be printed at the end.
    pub fn rest(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

impl Ended {
    /// The worst decides.
    fn exit_code(&self) -> u8 {
        match (self.failed(), self.unfinished()) {
            (1.., _) => exit::UNSURE,
            (0, 1..) => exit::FOUND,
            (0, 0) => exit::DONE,
        }
    }
}

#[cfg(test)]
mod tests;
