//! The running processes in one walk: who owns which socket, and who still runs what was replaced on disk. Beside it the
//! reading of `/proc`'s and `/sys`'s small files.

use super::NOT_RUNNING;
use super::sockets::Socket;
use crate::effects::processes::service_of;
use crate::problem::printable;
use crate::tree::Tree;
use domain::host::facts::{Known, Sight};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// What is taken of one small file.
const HEAD_BYTES: u64 = 64 << 10;
/// One process's maps are cut here.
const MAPS_BYTES: u64 = 4 << 20;
/// Processes that are looked at.
const PROCESSES: usize = 32_768;
/// Open files of one process that are looked at: listening sockets are opened early.
const OPEN_FILES: usize = 4_096;

/// What runs, as far as the facts need it.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// Owners of the listening sockets by inode.
    pub(super) owners: HashMap<u64, Owner>,
    /// Services that run replaced files.
    pub(super) stale_services: BTreeSet<String>,
    /// Programs in no service that do.
    pub(super) stale_programs: BTreeSet<String>,
    /// Whether every process could be looked at.
    pub(super) sight: Sight,
}

/// Who owns a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) program: String,
    pub(super) service: Option<String>,
}

/// The text at the start of a file of the running system; what `/proc` and `/sys` say of a size is not to be believed.
pub(super) fn head(tree: &Tree, path: &str) -> Option<String> {
    let file = tree.open_file(path).ok()?;
    let mut bytes = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn read(tree: &Tree, sockets: &Known<Vec<Socket>>) -> Known<Running> {
    if !tree.is_live() {
        return Known::unknown(NOT_RUNNING);
    }
    let Ok(entries) = fs::read_dir("/proc") else {
        return Known::unknown("/proc is not mounted or closed");
    };
    let wanted: HashSet<u64> = sockets
        .known()
        .into_iter()
        .flatten()
        .map(|socket| socket.inode)
        .collect();
    let own = fs::read_link("/proc/self/ns/pid").ok();
    let mut running = Running::default();
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    for process in names.filter(|name| is_process(name)).take(PROCESSES) {
        let folder = Path::new("/proc").join(process);
        let namespace = fs::read_link(folder.join("ns/pid")).ok();
        // A container's processes are seen from its machine; they are that container's.
        if namespace.is_some() && namespace != own {
            continue;
        }
        running.add(&folder, &wanted);
    }
    Known::Known(running)
}

impl Running {
    fn add(&mut self, folder: &Path, wanted: &HashSet<u64>) {
        let sockets = sockets_of(folder, wanted);
        let maps = match part(&folder.join("maps"), MAPS_BYTES) {
            Ok(maps) => maps,
            Err(error) if is_gone(&error) => return,
            Err(_) => {
                self.sight = Sight::Partial;
                return;
            }
        };
        let is_stale = maps
            .split(|&byte| byte == b'\n')
            .any(|line| is_replaced_code(&String::from_utf8_lossy(line)));
        if sockets.is_empty() && !is_stale {
            return;
        }
        let text = |name: &str| part(&folder.join(name), HEAD_BYTES).unwrap_or_default();
        let owner = Owner {
            program: printable(String::from_utf8_lossy(&text("comm")).trim_end()),
            service: service_of(&String::from_utf8_lossy(&text("cgroup"))).map(|name| printable(&name)),
        };
        for inode in sockets {
            // Of several that share a socket the first is the one that opened it.
            self.owners.entry(inode).or_insert_with(|| owner.clone());
        }
        if is_stale {
            match owner.service {
                Some(service) => self.stale_services.insert(service),
                None => self.stale_programs.insert(owner.program),
            };
        }
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn part(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The wanted sockets among a process's open files.
fn sockets_of(folder: &Path, wanted: &HashSet<u64>) -> Vec<u64> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
    let inode = |file: fs::DirEntry| {
        let target = fs::read_link(file.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok().filter(|inode| wanted.contains(inode))
    };
    files.take(OPEN_FILES).filter_map(inode).collect()
}

/// Whether a line of proc_pid_maps(5) maps code from a file that is no longer there, which is what a package's
/// replacement leaves behind. needrestart's rule: executable, deleted, and under a folder that packages fill.
fn is_replaced_code(line: &str) -> bool {
    let Some(path) = line.strip_suffix(" (deleted)") else {
        return false;
    };
    let mut fields = path.splitn(6, ' ').map(str::trim_start);
    let (_, permissions) = (fields.next(), fields.next().unwrap_or_default());
    let Some(at) = path.find('/') else {
        return false;
    };
    let folders = ["/usr/", "/lib", "/bin/", "/sbin/", "/opt/"];
    permissions.contains('x') && folders.iter().any(|folder| path[at..].starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replaced_code_of_packages_asks_for_a_restart() {
        let line = |permissions: &str, path: &str| {
            format!(
                "7f1c00000000-7f1c00002000 {permissions} 00000000 fe:01 42                         {path}"
            )
        };
        assert!(is_replaced_code(&line(
            "r-xp",
            "/usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)"
        )));
        assert!(is_replaced_code(&line("r-xp", "/usr/sbin/sshd (deleted)")));
        assert!(!is_replaced_code(&line("r-xp", "/usr/sbin/sshd")));
        assert!(!is_replaced_code(&line("rw-p", "/usr/lib/libssl.so.3 (deleted)")));
        assert!(!is_replaced_code(&line("r-xp", "/memfd:jit (deleted)")));
        assert!(!is_replaced_code(&line("r-xs", "/tmp/.x (deleted)")));
        assert!(!is_replaced_code(""));
    }
}
