//! What would happen, as a person reads it: hosts on which the same would happen stand together, each package once, and
//! beside it what cannot be undone.

use super::wish::Wish;
use crate::fleet::table::{bytes, plain};
use crate::text::{Style, counted, cut, padded, shown, width};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Hosts of a group that are named.
const NAMED: usize = 12;
/// Packages of a group that are shown, and columns of a name or version.
const PACKAGES: usize = 60;
const WIDEST: usize = 48;

/// The whole preview, ending in an empty line.
pub fn told(wish: &Wish, preview: &Value, style: Style) -> String {
    let mut out = String::new();
    for update in &wish.updates {
        let word = |name: &str| shown(update[name].as_str().unwrap_or_default()).into_owned();
        let class = match update["classification"].as_str() {
            Some("security") => style.alarm("security"),
            _ => word("classification"),
        };
        let _ = writeln!(
            out,
            "update {} {}  {class}  {}",
            style.strong(&cut(&word("source"), WIDEST)),
            cut(&word("source_version"), WIDEST),
            cut(&word("origin"), WIDEST)
        );
    }
    for group in groups(preview) {
        out.push('\n');
        out.push_str(&group_told(&group, wish, style));
    }
    out.push('\n');
    out
}

/// How many hosts would be changed, now or once their mode allows it.
pub fn concerned(preview: &Value) -> usize {
    let hosts = preview["hosts"].as_array().into_iter().flatten();
    hosts.filter(|host| host["outcome"] == "install").count()
}

/// Why there is nothing to begin, with what to do about it.
pub fn why_nothing(wish: &Wish, preview: &Value, style: Style) -> String {
    let hosts = preview["hosts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |outcome: &str| hosts.iter().filter(|host| host["outcome"] == outcome).count();
    match (count("below_ceiling"), count("nothing")) {
        (0, nothing) if nothing == hosts.len() => {
            "nothing to do: none of these hosts misses these updates".to_owned()
        }
        (0, _) => format!(
            "nothing can be installed now; why, host by host:\n{}",
            groups(preview)
                .iter()
                .map(|group| group_told(group, wish, style))
                .collect::<String>()
        ),
        (below, _) => format!(
            "the mode of {} does not allow it. On each: {}",
            counted(below, "host"),
            lift(wish)
        ),
    }
}

/// The command that lifts a host's ceiling: only its own root can.
fn lift(wish: &Wish) -> String {
    format!("sudo patchyard-agent mode {}", shown(wish.needs()))
}

/// Hosts on which the same would happen.
struct Group<'a> {
    names: Vec<&'a str>,
    host: &'a Value,
}

fn groups(preview: &Value) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for host in preview["hosts"].as_array().into_iter().flatten() {
        let name = host["name"].as_str().unwrap_or_default();
        let same: Vec<&Value> = ["outcome", "why", "packages", "way_back", "without_way_back"]
            .iter()
            .map(|part| &host[*part])
            .collect();
        let key = serde_json::to_string(&same).unwrap_or_default();
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.names.push(name),
            None => groups.push(Group {
                names: vec![name],
                host,
            }),
        }
    }
    groups
}

fn group_told(group: &Group<'_>, wish: &Wish, style: Style) -> String {
    let mut out = String::new();
    let names = group.names.iter().take(NAMED);
    let names: Vec<String> = names.map(|name| cut(&shown(name), WIDEST).into_owned()).collect();
    let more = match group.names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let _ = writeln!(
        out,
        "{}: {}{more}",
        style.strong(&counted(group.names.len(), "host")),
        names.join(", ")
    );
    let why = plain(&group.host["why"]);
    let because = if why == "-" {
        String::new()
    } else {
        format!(": {why}")
    };
    match group.host["outcome"].as_str() {
        Some("install") => out.push_str(&installed(group.host, wish, style)),
        Some("nothing") => out.push_str(&format!("  nothing to do{because}\n")),
        Some("below_ceiling") => {
            let _ = writeln!(
                out,
                "  {}; on each of them: {}",
                style.warn("the host itself does not allow it yet"),
                lift(wish)
            );
            out.push_str(&installed(group.host, wish, style));
        }
        Some("not_active") => {
            let _ = writeln!(out, "  {}{because}", style.warn("not let in"));
        }
        Some("unknown") => {
            let _ = writeln!(
                out,
                "  {}{because}",
                style.warn("unknown: no verified source answers for it")
            );
        }
        Some("needs_also") => {
            let _ = writeln!(
                out,
                "  {}{because}",
                style.warn("needs another update too, which is not among these")
            );
        }
        Some("not_built") => {
            let _ = writeln!(
                out,
                "  {}{because}",
                style.warn("not published for its architecture yet")
            );
        }
        other => {
            let outcome = shown(other.unwrap_or("not said")).into_owned();
            let _ = writeln!(out, "  {}{because}", style.warn(&outcome));
        }
    }
    out
}

/// What would be installed, what it costs, and whether there is a way back.
fn installed(host: &Value, wish: &Wish, style: Style) -> String {
    let packages = host["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<[String; 4]> = packages.iter().take(PACKAGES).map(row).collect();
    let mut out = String::new();
    let widest = |at: usize| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0);
    let (names, versions) = (widest(0), widest(1).max(3));
    for [name, from, version, size] in &rows {
        let from = match from.as_str() {
            "new" => style.warn(&padded(from, versions)),
            _ => padded(from, versions),
        };
        let _ = writeln!(
            out,
            "  {}  {from} {} {version}  {}",
            padded(name, names),
            style.arrow,
            style.faint(size)
        );
    }
    if packages.len() > PACKAGES {
        let _ = writeln!(out, "  and {} more (--json shows all)", packages.len() - PACKAGES);
    }
    let mut facts = vec![format!(
        "{} to fetch for each",
        bytes(host["bytes"].as_u64().unwrap_or(0))
    )];
    facts.push(match wish.needs() {
        "full" => "services that run old code are restarted".to_owned(),
        _ => "no service is restarted (--restart-services)".to_owned(),
    });
    facts.push(match wish.body["reboot"]["rule"].as_str() {
        Some("if_needed") => "reboots if needed".to_owned(),
        _ => "no reboot".to_owned(),
    });
    let _ = writeln!(out, "  {}", facts.join(&format!(" {} ", style.dot)));
    match (
        host["way_back"].as_str(),
        plain(&host["without_way_back"]).as_str(),
    ) {
        (Some("yes"), _) => out.push_str("  way back: the former versions can still be had\n"),
        (_, "-") => {
            let _ = writeln!(out, "  {}", style.alarm("no way back"));
        }
        (_, packages) => {
            let line = format!(
                "no way back: nobody publishes the present version of {}",
                cut(packages, 200)
            );
            let _ = writeln!(out, "  {}", style.alarm(&line));
        }
    }
    out
}

/// Name, former version, new version, size.
fn row(package: &Value) -> [String; 4] {
    let word = |name: &str| shown(package[name].as_str().unwrap_or_default()).into_owned();
    let from = match package["from"].as_str() {
        Some(_) => word("from"),
        None => "new".to_owned(),
    };
    let whole = [
        format!("{}:{}", word("name"), word("architecture")),
        from,
        word("version"),
        bytes(package["size_bytes"].as_u64().unwrap_or(0)),
    ];
    whole.map(|text| cut(&text, WIDEST).into_owned())
}
