//! A change as it happens, a line a host: drawn anew in place on a terminal, and elsewhere said once for each step. It ends
//! when nothing moves any more.

use super::Room;
use crate::fleet::client::ApiError;
use crate::fleet::{Asker, Format};
use crate::text::{Style, counted, cut, padded, shown, width};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks in which the server may be away, one after the other: it may be restarted meanwhile.
const AWAY: usize = 300;
/// Looks after which hosts that all wait for a person are left waiting.
const STILL: usize = 5;
/// Deployments that are watched at most.
const MOST: usize = 100_000;
/// Columns of a host's name at most, of a state at least, and between two.
const NAME: usize = 32;
const STATE: usize = 12;
const GAP: usize = 2;
/// Erase to the end of the screen (ECMA-48, 8.3.39).
const ERASED: &str = "\x1b[J";

/// Why a host waits until a person does something, or until it comes back.
const LEFT: &[&str] = &[
    "stopped",
    "over",
    "not_active",
    "offline",
    "below_ceiling",
    "unknown",
    "needs_also",
    "not_built",
    "failed",
    "not_open",
    "approval_missing",
];

/// Passes a second of real time.
#[expect(
    clippy::disallowed_methods,
    reason = "a person watches hosts, which are looked at once a second"
)]
pub fn a_second() {
    std::thread::sleep(PAUSE);
}

/// How it ended, or stands still.
pub struct Ended {
    /// As the API gives them.
    pub deployments: Vec<Value>,
}

/// Watches until nothing moves any more.
///
/// # Errors
/// The server refuses, or stays away.
pub fn watch(asker: &Asker, tenant: &str, change: &str, room: &mut Room<'_>) -> anyhow::Result<Ended> {
    let path = format!("{tenant}/changes/{change}/deployments");
    let (mut board, mut away, mut still) = (Board::new(asker), 0, 0);
    loop {
        match asker.client.list(&path, &[], MOST) {
            Ok(deployments) => {
                away = 0;
                room.put(&board.show(&deployments))?;
                still = if deployments.iter().all(is_still) {
                    still + 1
                } else {
                    0
                };
                let has_ended = deployments.iter().all(has_ended);
                if has_ended || still >= STILL {
                    return Ok(Ended { deployments });
                }
            }
            // What was begun goes on without the server, and the server comes back.
            Err(ApiError::Unreachable { .. } | ApiError::Refused { status: 503, .. }) if away < AWAY => {
                away += 1;
                room.put(board.away())?;
            }
            Err(error) => return Err(error.into()),
        }
        (room.pause)();
    }
}

fn word<'a>(deployment: &'a Value, name: &str) -> &'a str {
    deployment[name].as_str().unwrap_or_default()
}

/// Whether nothing more will come of it.
fn has_ended(deployment: &Value) -> bool {
    matches!(
        word(deployment, "shown"),
        "succeeded" | "not_in_effect" | "failed" | "cancelled" | "nothing"
    )
}

fn is_still(deployment: &Value) -> bool {
    has_ended(deployment) || LEFT.contains(&word(&deployment["waiting"], "code"))
}

/// How a state reads, by what a person has to do about it.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Moving,
    Doubt,
    Bad,
}

impl Tone {
    fn paint(self, text: &str, style: Style) -> String {
        match self {
            Self::Good => style.good(text),
            Self::Moving => text.to_owned(),
            Self::Doubt => style.warn(text),
            Self::Bad => style.alarm(text),
        }
    }
}

/// Where a host is, and what is said beside it.
fn told(deployment: &Value) -> (Tone, String, String) {
    let detail = word(deployment, "detail");
    let waiting = deployment["waiting"]["sentence"].as_str();
    let (tone, state, beside) = match word(deployment, "shown") {
        "succeeded" => (Tone::Good, "verified", versions(deployment)),
        "nothing" => (Tone::Good, "nothing to do", String::new()),
        "not_in_effect" => (Tone::Doubt, "installed, not in effect", detail.to_owned()),
        "failed" => (Tone::Bad, "failed", reason(deployment)),
        "cancelled" => (Tone::Doubt, "cancelled", String::new()),
        "cancelled_underway" => (
            Tone::Moving,
            "finishing",
            "cancelled after it had begun".to_owned(),
        ),
        "planned" => match waiting {
            Some(why) => (Tone::Doubt, "waiting", why.to_owned()),
            None => (Tone::Moving, "planned", String::new()),
        },
        "ordered" => (Tone::Moving, "ordered", String::new()),
        "taken" => (Tone::Moving, "fetching", detail.to_owned()),
        "prepared" => (Tone::Moving, "prepared", detail.to_owned()),
        "installing" => (
            Tone::Moving,
            "installing",
            word(deployment, "last_line").to_owned(),
        ),
        "reboot_pending" => (Tone::Moving, "restarting", detail.to_owned()),
        "verifying" => (Tone::Moving, "verifying", String::new()),
        other => (Tone::Doubt, other, detail.to_owned()),
    };
    (tone, shown(state).into_owned(), shown(&beside).into_owned())
}

/// `openssl 3.0.22-1~deb12u2`, or how many there are.
fn versions(deployment: &Value) -> String {
    let packages = deployment["packages"].as_array().map(Vec::as_slice);
    match packages.unwrap_or_default() {
        [] => String::new(),
        [package] => format!("{} {}", word(package, "name"), word(package, "version")),
        several => format!(
            "{}, {}",
            counted(several.len(), "package"),
            word(&several[0], "version")
        ),
    }
}

fn reason(deployment: &Value) -> String {
    match word(deployment, "detail") {
        "" => word(deployment, "failure").replace('_', " "),
        detail => detail.to_owned(),
    }
}

/// The line of a host, cut to the width of the terminal.
fn line(deployment: &Value, widest: usize, style: Style) -> String {
    let (tone, state, beside) = told(deployment);
    // One short of the width, so that it never wraps.
    let columns = style.columns.map_or(usize::MAX, |columns| columns - 1);
    let name = shown(word(deployment, "name"));
    let name = padded(&cut(&name, widest), widest);
    let state = cut(&state, columns.saturating_sub(widest + GAP)).into_owned();
    let state = padded(&state, STATE);
    let used = widest + GAP + width(&state) + GAP;
    let beside = match columns.saturating_sub(used) {
        0 => "".into(),
        room => cut(&beside, room),
    };
    let text = format!("{name}  {}  {beside}", tone.paint(&state, style));
    text.trim_end().to_owned()
}

/// The columns of the names: as many as the longest takes, and not more than leave room for the rest.
fn widest(deployments: &[Value], style: Style) -> usize {
    let widths = deployments
        .iter()
        .map(|deployment| width(&shown(word(deployment, "name"))));
    let most = style.columns.map_or(NAME, |columns| NAME.min(columns / 3));
    widths.max().unwrap_or(0).min(most)
}

/// How many are in each state, in a line.
fn totals(deployments: &[Value]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for deployment in deployments {
        *counts.entry(told(deployment).1).or_default() += 1;
    }
    let counts = counts
        .into_iter()
        .map(|(state, count)| format!("{count} {state}"));
    format!(
        "{}: {}",
        counted(deployments.len(), "host"),
        counts.collect::<Vec<_>>().join(", ")
    )
}

/// What a terminal of so many rows shows: those in motion and in trouble first, then the rest as far as there is room.
fn frame(deployments: &[Value], style: Style, rows: usize) -> Vec<String> {
    let widest = widest(deployments, style);
    let mut lines = Vec::new();
    let room = rows.saturating_sub(3).max(1);
    if deployments.len() <= room {
        lines.extend(
            deployments
                .iter()
                .map(|deployment| line(deployment, widest, style)),
        );
    } else {
        let is_quiet =
            |deployment: &&Value| matches!(word(deployment, "shown"), "succeeded" | "nothing" | "planned");
        let (quiet, moving): (Vec<&Value>, Vec<&Value>) = deployments.iter().partition(is_quiet);
        let first = moving.into_iter().chain(quiet).take(room - 1);
        lines.extend(first.map(|deployment| line(deployment, widest, style)));
        lines.push(style.faint(&format!(
            "and {} more",
            counted(deployments.len() - (room - 1), "host")
        )));
    }
    let totals = totals(deployments);
    lines.push(match style.columns {
        Some(columns) => cut(&totals, columns - 1).into_owned(),
        None => totals,
    });
    lines
}

/// Where it is shown.
enum Board {
    /// A terminal: so many lines stand there now.
    Drawn { style: Style, lines: usize },
    /// A pipe: what was said of each host last.
    Written {
        style: Style,
        last: BTreeMap<String, String>,
    },
    /// Nowhere: a program gets the end.
    Silent,
}

impl Board {
    fn new(asker: &Asker) -> Self {
        let style = asker.style;
        match asker.asking.format() {
            Format::People if io::stdout().is_terminal() && style.columns.is_some() => {
                Self::Drawn { style, lines: 0 }
            }
            Format::People => Self::Written {
                style,
                last: BTreeMap::new(),
            },
            Format::Json | Format::Csv => Self::Silent,
        }
    }

    fn show(&mut self, deployments: &[Value]) -> String {
        match self {
            Self::Silent => String::new(),
            Self::Drawn { style, lines } => {
                let rows =
                    rustix::termios::tcgetwinsize(io::stdout()).map_or(24, |size| usize::from(size.ws_row));
                let drawn = frame(deployments, *style, rows);
                let up = match *lines {
                    0 => String::new(),
                    lines => format!("\r\x1b[{lines}A"),
                };
                *lines = drawn.len();
                format!("{up}{ERASED}{}\n", drawn.join("\n"))
            }
            Self::Written { style, last } => {
                let widest = widest(deployments, *style);
                let mut text = String::new();
                for deployment in deployments {
                    let said = line(deployment, widest, *style);
                    let before = last.insert(word(deployment, "id").to_owned(), state(deployment));
                    if before.as_ref() != last.get(word(deployment, "id")) {
                        let _ = writeln!(text, "{said}");
                    }
                }
                text
            }
        }
    }

    fn away(&mut self) -> &'static str {
        match self {
            Self::Drawn { lines, .. } => {
                *lines += 1;
                "the server does not answer; what was begun goes on\n"
            }
            Self::Written { .. } | Self::Silent => "",
        }
    }
}

/// What makes a line worth saying anew: not every word of the package manager.
fn state(deployment: &Value) -> String {
    let (_, state, beside) = told(deployment);
    match word(deployment, "shown") {
        "installing" => state,
        _ => format!("{state} {beside}"),
    }
}

impl Ended {
    fn count(&self, is_so: impl Fn(&str) -> bool) -> usize {
        let shown = self
            .deployments
            .iter()
            .map(|deployment| word(deployment, "shown"));
        shown.filter(|shown| is_so(shown)).count()
    }

    /// Hosts on which it failed.
    pub fn failed(&self) -> usize {
        self.count(|shown| shown == "failed")
    }

    /// Hosts on which it is neither verified nor failed.
    pub fn unfinished(&self) -> usize {
        self.count(|shown| !matches!(shown, "succeeded" | "nothing" | "failed"))
    }

    /// The last word: what is done, and what a person does about the rest.
    pub fn told(&self, style: Style) -> String {
        let verified = self.count(|shown| matches!(shown, "succeeded" | "nothing"));
        let mut out = format!(
            "Verified on {} of {}.\n",
            verified,
            counted(self.deployments.len(), "host")
        );
        for deployment in &self.deployments {
            let (tone, state, beside) = told(deployment);
            if matches!(word(deployment, "shown"), "succeeded" | "nothing") {
                continue;
            }
            let name = shown(word(deployment, "name"));
            let _ = writeln!(out, "{name}: {} {beside}", tone.paint(&state, style));
            let next = shown(word(deployment, "next_step"));
            if !next.is_empty() {
                let _ = writeln!(out, "  {} {next}", style.arrow);
            }
            if word(deployment, "shown") == "failed" {
                let id = shown(word(deployment, "id"));
                let _ = writeln!(out, "  {} patchyard deployment output {id}", style.arrow);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
