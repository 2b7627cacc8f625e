//! A report as a person reads it in a terminal: what is the matter, what first, what could not be said.

use crate::report::{
    Classification, Package, PackageState, ProblemEffect, Reboot, Report, Source, SourceState, Standing,
    System, Update,
};
use crate::text::{Style, age, counted, grouped, padded, shown, width};
use std::collections::BTreeMap;
use std::fmt::Write;

/// So many packages without an answer are named one by one.
const NAMED_AT_MOST: usize = 8;

/// Which updates are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// All.
    Everything,
    /// Security updates only.
    SecurityOnly,
}

/// The whole text, ending in a newline.
pub fn render(report: &Report, which: Shown, style: Style) -> String {
    let mut out = String::new();
    header(&mut out, report, style);
    summary(&mut out, report, which, style);
    updates(&mut out, report, which, style);
    set_aside(&mut out, report, style);
    not_assessed(&mut out, report, style);
    updaters(&mut out, report);
    problems(&mut out, report, style);
    hint(&mut out, report, style);
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn header(out: &mut String, report: &Report, style: Style) {
    let system = &report.system;
    let mut facts = Vec::new();
    facts.extend(system.hostname.as_deref().map(|name| style.strong(&shown(name))));
    facts.push(shown(&system_name(system)).into_owned());
    if report.root != "/" {
        facts.push(format!("root {}", shown(&report.root)));
    }
    facts.push(counted(system.packages_installed, "package"));
    facts.push(format!(
        "{}, {}",
        counted(report.sources.len(), "source"),
        signatures(&report.sources)
    ));
    facts.push(match report.lists.age_seconds {
        Some(seconds) => format!("lists {} old", age(seconds)),
        None => "no lists".to_owned(),
    });
    facts.push(format!("{:.2} s", report.duration_ms / 1000.0));
    line(out, &facts.join(&format!(" {} ", style.dot)));
}

/// `Debian 12.15`, `Ubuntu 24.04.1 LTS`: the name as the system gives it, with a point release that it leaves out.
fn system_name(system: &System) -> String {
    let name = system.os_name.replace(" GNU/Linux", "");
    if name.contains(&system.os_version) {
        return name;
    }
    let family = name
        .find(|c: char| c.is_ascii_digit())
        .map_or(name.as_str(), |digit| &name[..digit]);
    format!("{} {}", family.trim(), system.os_version)
}

fn signatures(sources: &[Source]) -> String {
    let refused = sources
        .iter()
        .filter(|source| source.state == SourceState::NotAnswering)
        .count();
    match (sources.len(), refused) {
        (0, _) => "none configured".to_owned(),
        (_, 0) => "signatures good".to_owned(),
        (all, refused) if all == refused => "none verified".to_owned(),
        (_, refused) => format!("{refused} not verified"),
    }
}

fn summary(out: &mut String, report: &Report, which: Shown, style: Style) {
    let counts = &report.counts;
    let text = match (report.standing, counts.updates) {
        (Standing::UpToDate, _) => style.good("up to date: no update is missing"),
        (Standing::Unknown, 0) if counts.held + counts.phased == 0 => {
            style.warn("no missing update is known, but not everything could be assessed")
        }
        (Standing::Unknown, 0) => style.warn(
            "no missing update is known but those set aside below, and not everything could be assessed",
        ),
        (_, 0) => "no update is missing but those set aside below".to_owned(),
        (_, updates) => {
            let security = match counts.security_updates {
                0 => "none of them security".to_owned(),
                some => style.alarm(&format!("{} of them security", grouped(some))),
            };
            let missing = format!(
                "{} missing ({})",
                counted(updates, "update"),
                counted(counts.packages, "package")
            );
            format!("{}, {security}", style.strong(&missing))
        }
    };
    line(out, &format!("  {text}; nothing was changed"));
    if which == Shown::SecurityOnly && counts.updates > counts.security_updates {
        let hidden = counts.updates - counts.security_updates;
        line(
            out,
            &style.faint(&format!(
                "  {} not shown (--security)",
                counted(hidden, "other update")
            )),
        );
    }
}

fn updates(out: &mut String, report: &Report, which: Shown, style: Style) {
    let rows: Vec<Row> = report
        .updates
        .iter()
        .filter(|update| which == Shown::Everything || update.classification == Classification::Security)
        .filter_map(|update| Row::of(update, style))
        .collect();
    let widest = |cell: fn(&Row) -> &str| rows.iter().map(|row| width(cell(row))).max().unwrap_or(0);
    let (source, installed, available, count) = (
        widest(|row| &row.source),
        widest(|row| &row.installed),
        widest(|row| &row.available),
        widest(|row| &row.count),
    );
    for row in &rows {
        let label = match row.classification {
            Classification::Security => style.alarm("SECURITY"),
            Classification::Other => "update  ".to_owned(),
        };
        let text = format!(
            "  {label}  {}  {} {} {}  {}  {}",
            padded(&row.source, source),
            padded(&row.installed, installed),
            style.arrow,
            padded(&row.available, available),
            padded(&row.count, count),
            row.effect
        );
        line(out, text.trim_end());
    }
}

/// One update as a line of the table.
struct Row {
    classification: Classification,
    source: String,
    installed: String,
    available: String,
    count: String,
    effect: String,
}

impl Row {
    /// Nothing where all of its packages are set aside.
    fn of(update: &Update, style: Style) -> Option<Self> {
        let missing: Vec<&Package> = update
            .packages
            .iter()
            .filter(|package| matches!(package.state, PackageState::Missing | PackageState::KeptBack))
            .collect();
        let first = missing.first()?;
        let installed = if missing.iter().all(|package| package.installed == first.installed) {
            shown(&first.installed).into_owned()
        } else {
            format!("{} …", shown(&first.installed))
        };
        Some(Self {
            classification: update.classification,
            source: shown(&update.source).into_owned(),
            installed,
            available: shown(&first.available).into_owned(),
            count: counted(missing.len(), "package"),
            effect: effect(update, style),
        })
    }
}

fn effect(update: &Update, style: Style) -> String {
    let mut parts = Vec::new();
    let services = &update.restarts.services;
    if !services.is_empty() {
        let named: Vec<_> = services.iter().take(4).map(|service| shown(service)).collect();
        let more = services.len() - named.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        parts.push(format!("restarts {}{more}", named.join(", ")));
    }
    if update.reboot == Reboot::Needed {
        parts.push(style.warn("reboot"));
    }
    parts.join(", ")
}

fn set_aside(out: &mut String, report: &Report, style: Style) {
    let mut parts = Vec::new();
    for (state, word) in [
        (PackageState::Held, "held"),
        (PackageState::Phased, "phased"),
        (PackageState::KeptBack, "kept back"),
    ] {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in report.updates.iter().flat_map(|update| &update.packages) {
            if package.state == state {
                by_reason
                    .entry(package.reason.as_deref().unwrap_or_default())
                    .or_default()
                    .push(&package.name);
            }
        }
        for (reason, names) in by_reason {
            let names: Vec<_> = names.into_iter().map(shown).collect();
            parts.push(format!(
                "{}: {} ({})",
                style.strong(word),
                names.join(", "),
                shown(reason)
            ));
        }
    }
    for part in parts {
        line(out, &format!("  {part}"));
    }
}

fn not_assessed(out: &mut String, report: &Report, style: Style) {
    let label = style.warn("NOT ASSESSED:");
    for source in &report.sources {
        let place = format!("{} {}", shown(&source.uri), shown(&source.suite));
        if let Some(reason) = &source.reason {
            line(out, &format!("  {label} {place}: {}", shown(reason)));
        }
        for index in &source.indexes {
            let index_place = format!(
                "{place} {}/{}",
                shown(&index.component),
                shown(&index.architecture)
            );
            if let Some(reason) = &index.reason {
                line(out, &format!("  {label} {index_place}: {}", shown(reason)));
            }
            if !index.skipped.is_empty() {
                let count = counted(index.skipped.len(), "malformed stanza");
                line(
                    out,
                    &format!(
                        "  {label} {index_place}: {count} skipped ({})",
                        shown(&index.skipped[0])
                    ),
                );
            }
        }
    }
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &report.coverage {
        by_reason.entry(&package.reason).or_default().push(&package.name);
    }
    for (reason, names) in by_reason {
        let mut named: Vec<_> = names
            .iter()
            .take(NAMED_AT_MOST)
            .map(|name| shown(name).into_owned())
            .collect();
        if names.len() > NAMED_AT_MOST {
            named.push(format!("{} more", grouped(names.len() - NAMED_AT_MOST)));
        }
        let count = counted(names.len(), "package");
        line(
            out,
            &format!("  {label} {count}: {} ({})", shown(reason), named.join(", ")),
        );
    }
}

fn updaters(out: &mut String, report: &Report) {
    if !report.updaters.is_empty() {
        let named: Vec<_> = report
            .updaters
            .iter()
            .map(|updater| shown(&updater.what).into_owned())
            .collect();
        line(out, &format!("  also updates this host: {}", named.join(", ")));
    }
}

fn problems(out: &mut String, report: &Report, style: Style) {
    for problem in &report.problems {
        let label = match problem.effect {
            ProblemEffect::NotAssessed => "NOT ASSESSED:",
            ProblemEffect::Noted => "note:",
        };
        let mut text = format!("  {} ", style.warn(label));
        if let Some(file) = &problem.file {
            text.push_str(&shown(file));
            if let Some(number) = problem.line {
                let _ = write!(text, ":{number}");
            }
            text.push_str(": ");
        }
        text.push_str(&shown(&problem.what));
        line(out, &text);
    }
}

fn hint(out: &mut String, report: &Report, style: Style) {
    if let Some(update) = report.updates.first() {
        let name = update
            .packages
            .first()
            .map_or(update.source.as_str(), |package| &package.name);
        let root = if report.root == "/" {
            String::new()
        } else {
            format!("--root {} ", shown(&report.root))
        };
        line(
            out,
            &style.faint(&format!("  why: patchyard scan {root}--explain {}", shown(name))),
        );
    }
}
