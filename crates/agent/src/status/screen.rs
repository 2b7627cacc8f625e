//! The one screen of `patchyard-agent status`.

use super::{Service, Standing};
use crate::executor::spool::Board;
use crate::mode::Mode;
use crate::shown::harmless;
use crate::transport::failure::span;
use jiff::Timestamp;
use protocol::message::orders::{FailureKind, OrderReport, Stage};
use std::fmt::Write;

/// The screen: what a person needs to know, and the next step if there is one. `standing` is absent if the agent never ran.
pub fn screen(
    standing: Option<&Standing>,
    service: Service,
    mode: Mode,
    board: &Board,
    now: Timestamp,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<14} {}", harmless(value, 600));
    };
    let Some(standing) = standing else {
        line("Enrolled", "no");
        line("Mode", &format!("{mode}: {}", mode.meaning()));
        line(
            "Next step",
            "get a token with `patchyard enrol` on the server, then run `patchyard-agent enrol TOKEN` here",
        );
        return text;
    };
    line("Enrolled", &enrolled(standing));
    if let Some(host) = &standing.host {
        line("Host", host);
    }
    line(
        "Last check-in",
        &standing
            .last_check_in
            .map_or("never".to_owned(), |at| when(at, now)),
    );
    line("Next", &next(standing, service, now));
    line("Mode", &format!("{mode}: {}", mode.meaning()));
    for report in &board.reports {
        line("Order", &order(report, now));
    }
    for trouble in &board.troubles {
        line("Trouble", trouble);
    }
    let is_fine = standing.troubles.is_empty() && board.troubles.is_empty();
    if is_fine && standing.host.is_some() && service == Service::Runs {
        line("Trouble", "none");
    }
    for trouble in &standing.troubles {
        line("Trouble", &trouble.sentence);
        line("Next step", &trouble.next_step);
    }
    if standing.host.is_some() && service == Service::Stopped {
        line(
            "Trouble",
            "The agent does not run, so that the server hears nothing of this host.",
        );
        line(
            "Next step",
            "start it with `systemctl start patchyard-agent`, or `patchyard-agent run`.",
        );
    }
    if standing.state == "unenrolled" && standing.troubles.is_empty() {
        line(
            "Next step",
            "get a token with `patchyard enrol` on the server, then run `patchyard-agent enrol TOKEN` here",
        );
    }
    text
}

/// How far an order is: `12: installing, since ... (3 s ago): Unpacking openssl`.
fn order(report: &OrderReport, now: Timestamp) -> String {
    let stage = match report.stage {
        Stage::Taken => "its files are being fetched and compared",
        Stage::Prepared if report.asks.is_some() => "ready, and asks the server to begin",
        Stage::Prepared => "ready, and waits to begin",
        Stage::Installing => "the package manager is at work",
        Stage::RebootPending => "installed, and the host is about to restart",
        Stage::Verifying => "installed, and the host is being read",
        Stage::Succeeded => "in effect",
        Stage::NotInEffect => "installed, and not in effect",
        Stage::Failed => match report.failure {
            Some(FailureKind::Refused) => "refused",
            _ => "failed",
        },
        Stage::Withdrawn => "taken back before it began",
        Stage::Unrecognised => "in a state of a later version",
    };
    let said = if report.stage.is_end() || report.last_line.is_empty() {
        &report.detail
    } else {
        &report.last_line
    };
    let colon = if said.is_empty() { "" } else { ": " };
    let since = when(report.since.as_microsecond(), now);
    format!("{}: {stage}, since {since}{colon}{said}", report.number)
}

fn enrolled(standing: &Standing) -> String {
    let server = standing.server.as_deref().unwrap_or("its server");
    let site = standing.site.as_deref().unwrap_or_default();
    match standing.state.as_str() {
        "unenrolled" => "no".to_owned(),
        "enrolling" => format!("not yet: asks {server}"),
        "enrolled" => format!("yes, with {server} in the site {site:?}"),
        "pending" => format!("with {server} in the site {site:?}, and waits for approval"),
        other => format!("with {server} in the site {site:?}, but not served ({other})"),
    }
}

fn next(standing: &Standing, service: Service, now: Timestamp) -> String {
    match (service, standing.next_check_in) {
        (Service::Stopped, _) => "none: the agent does not run".to_owned(),
        (Service::Runs, Some(at)) => when(at, now),
        (Service::Runs, None) if standing.host.is_some() => "under way".to_owned(),
        (Service::Runs, None) => "when somebody enrols this host".to_owned(),
    }
}

/// A time and how far it is from now.
fn when(micros: i64, now: Timestamp) -> String {
    let Ok(at) = Timestamp::from_microsecond(micros) else {
        return "at a time that is none".to_owned();
    };
    let apart = at.duration_since(now);
    let far = span(apart);
    let words = if apart.is_negative() {
        format!("{far} ago")
    } else {
        format!("in {far}")
    };
    format!("{at:.0} ({words})")
}
