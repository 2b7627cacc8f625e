//! Who the host is: os-release(5), hostname(5), machine-id(5), Debian's point release and the running kernel.

use crate::apt_conf::AptConf;
use crate::tree::{Tree, join};
use domain::host::facts::Facts;

/// Files with one fact each are never larger.
const FILE_BYTES: u64 = 64 << 10;
/// The longest fact that is taken over, in characters.
const FACT_CHARS: usize = 256;

pub(crate) fn read(tree: &Tree, conf: &AptConf) -> Facts {
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| text(tree, path));
    let release = release.unwrap_or_default();
    let value = |name: &str| os_release_value(&release, name);
    let os_id = value("ID").unwrap_or_else(|| "linux".to_owned());
    let version = value("VERSION_ID").unwrap_or_default();
    let os_version = match os_id.as_str() {
        "debian" => point_release(tree, &version).unwrap_or(version),
        _ => version,
    };
    Facts {
        hostname: hostname(tree),
        os_name: value("PRETTY_NAME").unwrap_or_else(|| os_id.clone()),
        os_id,
        os_version,
        os_codename: value("VERSION_CODENAME"),
        machine_id: machine_id(tree, conf),
        kernel_release: kernel_release(tree),
    }
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    tree.read(path, FILE_BYTES)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A fact as it may be kept: one line without control characters, not too long; none if nothing is left.
pub(crate) fn fact(text: &str) -> Option<String> {
    let fact: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(FACT_CHARS)
        .collect();
    Some(fact).filter(|fact| !fact.is_empty())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A value of os-release(5): shell quoting without expansion, the last assignment counts.
fn os_release_value(release: &str, name: &str) -> Option<String> {
    let raw = release
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let raw = raw.trim();
    let quoted = ['"', '\'']
        .iter()
        .find_map(|&mark| raw.strip_prefix(mark)?.strip_suffix(mark));
    let mut value = String::new();
    let mut is_escaped = false;
    for c in quoted.unwrap_or(raw).chars() {
        if c == '\\' && !is_escaped {
            is_escaped = true;
        } else {
            value.push(c);
            is_escaped = false;
        }
    }
    fact(&value)
}

/// `/etc/debian_version` where it says more than `VERSION_ID`: `12.15` for `12`; not `trixie/sid`.
fn point_release(tree: &Tree, version: &str) -> Option<String> {
    let point = fact(first_line(&text(tree, "/etc/debian_version")?))?;
    let is_numeric = point.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let major = point.split('.').next().unwrap_or_default();
    (is_numeric && !major.is_empty() && (version.is_empty() || major == version)).then_some(point)
}

fn hostname(tree: &Tree) -> Option<String> {
    if tree.is_live() {
        return fact(&rustix::system::uname().nodename().to_string_lossy());
    }
    let text = text(tree, "/etc/hostname")?;
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .and_then(fact)
}

/// `APT::Machine-ID`, or the first line of the file that `Dir::Etc::machine-id` names or `/etc/machine-id`.
fn machine_id(tree: &Tree, conf: &AptConf) -> Option<String> {
    if let Some(id) = conf.text("APT::Machine-ID") {
        return fact(id);
    }
    let path = match conf.text("Dir::Etc::machine-id") {
        Some(_) => conf.file("Dir::Etc::machine-id"),
        None => join(&conf.folder("Dir::Etc"), "../machine-id"),
    };
    fact(first_line(&text(tree, &path)?))
}

/// The kernel that this system booted: not a file tree's, and not a container's, which has its machine's.
fn kernel_release(tree: &Tree) -> Option<String> {
    if !tree.is_live() || is_container(tree) {
        return None;
    }
    fact(&rustix::system::uname().release().to_string_lossy())
}

/// Whether the running system says that it is a container: the marks that systemd and common engines leave, as far
/// as everybody may read them.
pub(crate) fn is_container(tree: &Tree) -> bool {
    let marks = [
        "/run/systemd/container",
        "/run/host/container-manager",
        "/.dockerenv",
        "/run/.containerenv",
    ];
    marks.iter().any(|path| matches!(tree.kind(path), Ok(Some(_))))
        || tree.read("/proc/1/environ", FILE_BYTES).is_ok_and(|environment| {
            environment
                .split(|&byte| byte == 0)
                .any(|entry| entry.starts_with(b"container="))
        })
}
