//! On whose word a change was made. Tools are known by what they call themselves in apt's record, or by the options that
//! they always pass; a tool that is not on the host is never blamed for options alone, except one that works from afar.

use super::Recorded;

/// Who changed packages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Author {
    /// Patchyard's agent.
    Patchyard {
        /// The order that it carried out, as the record names it.
        order: String,
    },
    /// Another tool.
    Tool {
        /// Its name: `unattended-upgrades`, `ansible`, `cloud-init` ...
        name: String,
    },
    /// A person.
    Person {
        /// The login under which they became root.
        login: String,
        /// The program that they used: `apt-get`, `synaptic`, `packagekit` ...
        program: String,
    },
    /// Somebody or something that already was root: a root shell, a script, a daemon.
    Root {
        /// The program that was used.
        program: String,
    },
    /// Nobody is recorded: dpkg was called without apt.
    Unrecorded,
}

/// What apt recorded about the origin of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'log> {
    /// The whole command.
    pub command: Option<&'log str>,
    /// A comment that the caller left.
    pub comment: Option<&'log str>,
    /// The login of the person who became root (sudo, pkexec, PackageKit).
    pub requested_by: Option<&'log str>,
}

impl<'log> Evidence<'log> {
    /// What a record says.
    pub fn of(record: &'log Recorded) -> Self {
        Self {
            command: record.command.as_deref(),
            comment: record.comment.as_deref(),
            requested_by: record.requested_by.as_deref(),
        }
    }
}

/// The option by which Patchyard's agent marks its own commands; apt records it and otherwise ignores it.
pub const ORDER_OPTION: &str = "Patchyard::Order=";

/// Programs that call themselves by name in apt's record, and the tool that each belongs to.
const NAMED: [(&str, &str); 9] = [
    ("unattended-upgrade", "unattended-upgrades"),
    ("unattended-upgrades", "unattended-upgrades"),
    ("packagekit", "packagekit"),
    ("aptdaemon", "aptdaemon"),
    ("cron-apt", "cron-apt"),
    ("puppet", "puppet"),
    ("cf-agent", "cfengine"),
    ("salt-minion", "salt"),
    ("chef-client", "chef"),
];

/// How a tool calls apt-get.
struct Style {
    tool: &'static str,
    /// Options that it passes, in this order.
    options: &'static [&'static str],
    /// Packages of which one is installed where the tool runs; none if it works from afar.
    packages: &'static [&'static str],
}

/// As each tool's own source calls apt-get. Spelling tells them apart (`DPkg` and `Dpkg`), and so does order.
const STYLES: [Style; 6] = [
    Style {
        tool: "cloud-init",
        options: &[
            "--option=Dpkg::Options::=--force-confold",
            "--option=Dpkg::options::=--force-unsafe-io",
        ],
        packages: &[],
    },
    Style {
        tool: "salt",
        options: &[
            "-q",
            "-y",
            "-o",
            "DPkg::Options::=--force-confold",
            "-o",
            "DPkg::Options::=--force-confdef",
        ],
        packages: &["salt-minion", "salt-common", "salt-ssh"],
    },
    Style {
        tool: "puppet",
        options: &["-q", "-y", "-o", "DPkg::Options::=--force-confold"],
        packages: &["puppet", "puppet-agent", "openvox-agent"],
    },
    Style {
        tool: "chef",
        options: &[
            "-q",
            "-y",
            "-o",
            "Dpkg::Options::=--force-confdef",
            "-o",
            "Dpkg::Options::=--force-confold",
        ],
        packages: &["chef", "cinc"],
    },
    Style {
        tool: "ansible",
        options: &[
            "-y",
            "-o",
            "Dpkg::Options::=--force-confdef",
            "-o",
            "Dpkg::Options::=--force-confold",
        ],
        packages: &[],
    },
    Style {
        tool: "cron-apt",
        options: &["-o", "APT::Get::Show-Upgraded=true"],
        packages: &["cron-apt"],
    },
];

/// Who made a change, from what apt recorded. `tools` are names of installed packages.
pub fn author(evidence: &Evidence<'_>, tools: &[&str]) -> Author {
    let command = evidence.command.unwrap_or_default();
    let words: Vec<&str> = command
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .collect();
    if let Some(order) = words.iter().find_map(|word| word.strip_prefix(ORDER_OPTION)) {
        return Author::Patchyard {
            order: order.to_owned(),
        };
    }
    let program = program(&words);
    let tool = |name: &str| Author::Tool {
        name: name.to_owned(),
    };
    let person = |login: &str| Author::Person {
        login: login.to_owned(),
        program: program.to_owned(),
    };
    let named = NAMED.iter().find(|(name, _)| *name == program);
    match (named, evidence.requested_by) {
        // Somebody sat before a screen that these programs draw or serve.
        (Some((_, "packagekit" | "aptdaemon")), Some(login)) => return person(login),
        (Some((_, name)), _) => return tool(name),
        (None, _) => {}
    }
    let style = STYLES.iter().find(|style| style.fits(&words, tools));
    match (style, evidence.requested_by) {
        (Some(style), _) => tool(style.tool),
        (None, Some(login)) => person(login),
        (None, None) => Author::Root {
            program: program.to_owned(),
        },
    }
}

impl Style {
    fn fits(&self, words: &[&str], tools: &[&str]) -> bool {
        let is_here = self.packages.is_empty() || self.packages.iter().any(|name| tools.contains(name));
        is_here
            && words
                .windows(self.options.len())
                .any(|window| window == self.options)
    }
}

/// The last part of the command's first word that is a program; an interpreter's script counts instead of it.
fn program<'log>(words: &[&'log str]) -> &'log str {
    let base = |word: &'log str| word.rsplit('/').next().unwrap_or(word);
    let mut programs = words.iter().map(|word| base(word));
    let first = programs.next().unwrap_or_default();
    let is_interpreter = first.starts_with("python") || matches!(first, "perl" | "sh" | "bash");
    match programs.find(|word| !word.starts_with('-')) {
        Some(script) if is_interpreter => script,
        _ => first,
    }
}
