//! Who else updates this host: unattended-upgrades and apt's own timers, cron-apt, PackageKit's offline updates, and
//! needrestart, which restarts services after any of them. Read from files; nothing is asked or run.

mod timer;

use crate::apt_conf::AptConf;
use crate::host::Host;
use crate::problem::printable;
use crate::tree::{Kind, Tree, join};
use crate::words::decimal;
use std::fmt;
pub use timer::Schedule;

/// Something that updates the host without Patchyard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updater {
    /// Its name, as its package has it.
    pub name: &'static str,
    /// What it does.
    pub does: Does,
    /// How often; absent where it is not by the clock.
    pub every: Option<Interval>,
    /// When; absent where its timer cannot be read.
    pub at: Option<Schedule>,
}

/// What an updater does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Installs security updates and nothing else.
    InstallsSecurity,
    /// Installs updates of these origins, as its configuration words them; of every source if there are none.
    Installs(Vec<String>),
    /// Downloads packages and does not install them.
    Downloads,
    /// Fetches package lists.
    RefreshesLists,
    /// Installs what is prepared when the host next boots.
    InstallsAtBoot,
    /// Restarts services after updates.
    RestartsServices,
    /// Is installed and tells about services that should restart.
    AsksToRestart,
}

/// How much time lies between two runs, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub u64);

const DAY: u64 = 86_400;

impl Updater {
    /// Whether it installs packages by itself.
    pub fn installs(&self) -> bool {
        matches!(
            self.does,
            Does::InstallsSecurity | Does::Installs(_) | Does::InstallsAtBoot
        )
    }
}

impl fmt::Display for Updater {
    /// `unattended-upgrades (security, daily 06:00-07:00)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.name)?;
        match &self.does {
            Does::InstallsSecurity => f.write_str("security")?,
            Does::Installs(origins) if origins.is_empty() => f.write_str("everything")?,
            Does::Installs(origins) if origins.iter().any(|origin| is_security(origin)) => {
                f.write_str("security and more")?;
            }
            Does::Installs(_) => f.write_str("not security")?,
            Does::Downloads => f.write_str("downloads only")?,
            Does::RefreshesLists => f.write_str("package lists only")?,
            Does::InstallsAtBoot => f.write_str("prepared, at the next boot")?,
            Does::RestartsServices => f.write_str("restarts services after updates")?,
            Does::AsksToRestart => f.write_str("tells which services to restart")?,
        }
        if let Some(every) = self.every {
            write!(f, ", {every}")?;
        }
        if let Some(at) = &self.at {
            write!(f, " {at}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DAY => f.write_str("daily"),
            seconds if seconds == 7 * DAY => f.write_str("weekly"),
            seconds if seconds % DAY == 0 && seconds > 0 => write!(f, "every {} days", seconds / DAY),
            seconds if seconds % 3_600 == 0 && seconds > 0 => write!(f, "every {} hours", seconds / 3_600),
            0 => f.write_str("at every run"),
            seconds => write!(f, "every {seconds} s"),
        }
    }
}

/// The updaters of a host that are switched on.
pub fn updaters(host: &Host) -> Vec<Updater> {
    let mut updaters = Vec::new();
    updaters.extend(apt_periodic(host));
    updaters.extend(cron_apt(host));
    updaters.extend(packagekit_offline(&host.tree));
    updaters.extend(needrestart(host));
    updaters
}

fn is_installed(host: &Host, name: &str) -> bool {
    host.inventory
        .packages
        .iter()
        .any(|package| &*package.name == name)
}

fn exists(tree: &Tree, path: &str) -> bool {
    matches!(tree.kind(path), Ok(Some(_)))
}

/// What apt's daily script does (`/usr/lib/apt/apt.systemd.daily`): the lists and downloads at one time, the
/// installation at another.
fn apt_periodic(host: &Host) -> Vec<Updater> {
    let conf = &host.apt_conf;
    // The script takes any number, 0 is off; a missing one is on.
    if conf
        .text("APT::Periodic::Enable")
        .is_some_and(|value| decimal(value) == 0)
    {
        return Vec::new();
    }
    let schedules = || match apt_runs(host) {
        Runs::Never => None,
        Runs::At(refresh, install) => Some((refresh, install)),
    };
    let Some((refresh, install)) = schedules() else {
        return Vec::new();
    };
    let mut updaters = Vec::new();
    let unattended = interval(conf, "APT::Periodic::Unattended-Upgrade");
    let is_unattended = unattended.is_some() && is_installed(host, "unattended-upgrades");
    if is_unattended {
        updaters.push(Updater {
            name: "unattended-upgrades",
            does: unattended_scope(conf),
            every: unattended,
            at: install,
        });
    }
    let lists = interval(conf, "APT::Periodic::Update-Package-Lists");
    let downloads = interval(conf, "APT::Periodic::Download-Upgradeable-Packages");
    let does = match (lists, downloads) {
        (Some(_), Some(_)) => Some((Does::Downloads, downloads)),
        (Some(_), None) if !is_unattended => Some((Does::RefreshesLists, lists)),
        _ => None,
    };
    updaters.extend(does.map(|(does, every)| Updater {
        name: "apt-daily",
        does,
        every,
        at: refresh,
    }));
    updaters
}

/// When apt's daily script runs.
enum Runs {
    Never,
    At(Option<Schedule>, Option<Schedule>),
}

fn apt_runs(host: &Host) -> Runs {
    let tree = &host.tree;
    let is_systemd = if tree.is_live() {
        exists(tree, "/run/systemd/system")
    } else {
        is_installed(host, "systemd-sysv")
    };
    if is_systemd {
        let refresh = timer::read(tree, "apt-daily.timer");
        let install = timer::read(tree, "apt-daily-upgrade.timer");
        return match (refresh, install) {
            (None, None) => Runs::Never,
            (refresh, install) => Runs::At(refresh.flatten(), install.flatten()),
        };
    }
    let is_cron = is_installed(host, "cron") && exists(tree, "/etc/cron.daily/apt-compat");
    if is_cron {
        Runs::At(None, None)
    } else {
        Runs::Never
    }
}

/// An interval as apt's script reads it: a number of days, or with a unit; `always` is every run, 0 never.
fn interval(conf: &AptConf, name: &str) -> Option<Interval> {
    let text = conf.text(name)?;
    if text == "always" {
        return Some(Interval(0));
    }
    let number = u64::try_from(decimal(text)).ok().filter(|&number| number > 0)?;
    let unit = match text.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "" | "d" => DAY,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    Some(Interval(number.saturating_mul(unit)))
}

/// What unattended-upgrades may install: `Origins-Pattern` and `Allowed-Origins`.
fn unattended_scope(conf: &AptConf) -> Does {
    let mut origins = conf.list("Unattended-Upgrade::Origins-Pattern");
    origins.extend(conf.list("Unattended-Upgrade::Allowed-Origins"));
    origins.retain(|origin| !origin.trim().is_empty());
    if !origins.is_empty() && origins.iter().all(|origin| is_security(origin)) {
        return Does::InstallsSecurity;
    }
    Does::Installs(origins.iter().map(|origin| printable(origin)).collect())
}

/// Whether a pattern such as `origin=Debian,label=Debian-Security` or `Ubuntu:jammy-security` means security updates.
fn is_security(origin: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    origin.contains("security") || origin.contains("esm")
}

/// cron-apt runs apt-get with the words of its action files; without `-d` they install.
fn cron_apt(host: &Host) -> Option<Updater> {
    let tree = &host.tree;
    if !is_installed(host, "cron-apt") || !exists(tree, "/etc/cron.d/cron-apt") {
        return None;
    }
    let folder = "/etc/cron-apt/action.d";
    let mut does = Does::RefreshesLists;
    for entry in tree.entries(folder).unwrap_or_default() {
        let bytes = tree
            .read(&join(folder, &entry.name), 64 << 10)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let upgrades = words
                .iter()
                .any(|word| word.ends_with("upgrade") || *word == "install");
            let downloads = words
                .iter()
                .any(|word| *word == "-d" || *word == "--download-only");
            does = match (upgrades, downloads, does) {
                (true, false, _) => Does::Installs(Vec::new()),
                (true, true, Does::RefreshesLists) => Does::Downloads,
                (_, _, does) => does,
            };
        }
    }
    Some(Updater {
        name: "cron-apt",
        does,
        every: Some(Interval(DAY)),
        at: None,
    })
}

/// PackageKit's prepared transaction, which `/system-update` starts at the next boot (systemd.offline-updates(7)).
fn packagekit_offline(tree: &Tree) -> Option<Updater> {
    let is_prepared = exists(tree, "/var/lib/PackageKit/prepared-update");
    let is_armed = ["/system-update", "/etc/system-update"]
        .iter()
        .any(|path| exists(tree, path));
    (is_prepared && is_armed).then_some(Updater {
        name: "PackageKit",
        does: Does::InstallsAtBoot,
        every: None,
        at: None,
    })
}

fn needrestart(host: &Host) -> Option<Updater> {
    if !is_installed(host, "needrestart") {
        return None;
    }
    let tree = &host.tree;
    let folder = "/etc/needrestart/conf.d";
    let mut files = vec!["/etc/needrestart/needrestart.conf".to_owned()];
    let mut more: Vec<String> = tree
        .entries(folder)
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.kind == Some(Kind::File) && entry.name.ends_with(".conf"))
        .map(|entry| join(folder, &entry.name))
        .collect();
    more.sort();
    files.extend(more);
    let mut modes = files.iter().filter_map(|file| {
        let bytes = tree.read(file, 256 << 10).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines().filter_map(restart_mode).next_back()
    });
    // Its own default is to ask; without a terminal, as under another updater, asking restarts nothing.
    let does = if modes.next_back() == Some('a') {
        Does::RestartsServices
    } else {
        Does::AsksToRestart
    };
    Some(Updater {
        name: "needrestart",
        does,
        every: None,
        at: None,
    })
}

/// The mode in a line such as `$nrconf{restart} = 'a';`.
fn restart_mode(line: &str) -> Option<char> {
    let value = line
        .trim_start()
        .strip_prefix("$nrconf{restart}")?
        .trim_start()
        .strip_prefix('=')?;
    value.trim_start().trim_start_matches(['\'', '"']).chars().next()
}
