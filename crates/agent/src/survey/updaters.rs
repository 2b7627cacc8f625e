//! Who else updates the host, in the words that the facts have: apt's own updaters, configuration tools, and dnf's timer.

use crate::host::Host;
use crate::tree::{Tree, join};
use domain::host::change::{Author, History};
use domain::host::inventory::Inventory;
use domain::host::updater::{Updater, UpdaterEffect};

/// Packages of tools that configure a host and may change its packages, and the tool's name.
const TOOLS: [(&str, &str); 13] = [
    ("puppet", "puppet"),
    ("puppet-agent", "puppet"),
    ("openvox-agent", "puppet"),
    ("chef", "chef"),
    ("cinc", "chef"),
    ("salt-minion", "salt"),
    ("salt-common", "salt"),
    ("salt-ssh", "salt"),
    ("cfengine3", "cfengine"),
    ("cfengine-nova", "cfengine"),
    ("cfengine-community", "cfengine"),
    ("landscape-client", "landscape"),
    ("cron-apt", "cron-apt"),
];
/// Libraries and updaters among them: their presence alone says nothing.
const NO_AGENTS: [&str; 3] = ["salt-common", "salt-ssh", "cron-apt"];

/// Installed packages of such tools, as the rule of attribution wants them.
pub(super) fn tool_packages(inventory: &Inventory) -> Vec<&str> {
    let names = inventory.packages.iter().map(|package| &*package.name);
    names
        .filter(|name| TOOLS.iter().any(|(package, _)| package == name))
        .collect()
}

/// What [`crate::updaters`] finds.
pub(super) fn own(host: &Host) -> Vec<Updater> {
    let updater = |updater: crate::updaters::Updater| {
        let shown = updater.to_string();
        let words = shown.strip_prefix(updater.name).unwrap_or(&shown).trim();
        let words = words.strip_prefix('(').unwrap_or(words);
        Updater {
            name: updater.name.to_owned(),
            does: words.strip_suffix(')').unwrap_or(words).to_owned(),
            effect: super::effect(&updater),
        }
    };
    crate::updaters::updaters(host).into_iter().map(updater).collect()
}

/// Configuration tools that are installed or that the history names.
pub(super) fn configuring(packages: &[&str], history: &History) -> Vec<Updater> {
    let installed = packages.iter().filter(|name| !NO_AGENTS.contains(name));
    let installed = installed.filter_map(|name| TOOLS.iter().find(|(package, _)| package == name));
    let mut tools: Vec<(&str, &str)> = installed
        .map(|(_, tool)| (*tool, "installed, may change packages"))
        .collect();
    let known =
        |name: &str| TOOLS.iter().any(|(_, tool)| *tool == name) || matches!(name, "ansible" | "cloud-init");
    for transaction in &history.transactions {
        if let Author::Tool { name } = &transaction.by
            && known(name)
            && name != "cron-apt"
        {
            tools.retain(|(tool, _)| tool != name);
            tools.push((name, "changed packages according to apt's history"));
        }
    }
    tools.sort_unstable();
    tools.dedup();
    tools
        .into_iter()
        .map(|(name, does)| Updater {
            name: name.to_owned(),
            does: does.to_owned(),
            effect: UpdaterEffect::Configures,
        })
        .collect()
}

/// The timers of dnf-automatic that are enabled; what they do is in their names.
pub(super) fn dnf_automatic(tree: &Tree) -> Option<Updater> {
    let folder = "/etc/systemd/system/timers.target.wants";
    let is_enabled = |name: &str| matches!(tree.kind(&join(folder, name)), Ok(Some(_)));
    let (does, effect) = if is_enabled("dnf-automatic-install.timer") {
        ("downloads and installs", UpdaterEffect::Installs)
    } else if is_enabled("dnf-automatic.timer") {
        ("as its own configuration says", UpdaterEffect::Installs)
    } else if is_enabled("dnf-automatic-download.timer") {
        ("downloads only", UpdaterEffect::InstallsNothing)
    } else if is_enabled("dnf-automatic-notifyonly.timer") {
        ("tells only", UpdaterEffect::InstallsNothing)
    } else {
        return None;
    };
    Some(Updater {
        name: "dnf-automatic".to_owned(),
        does: does.to_owned(),
        effect,
    })
}
