//! The running processes: which files each has mapped (proc_pid_maps(5)) and which service it belongs to
//! (`/proc/PID/cgroup`, cgroups(7)). Without root, other users' maps stay closed; how many is counted.

use crate::tree::Tree;
use std::collections::{BTreeSet, HashMap};
use std::io::Read;

/// One process's maps larger than this are cut.
const MAPS_BYTES: u64 = 4 << 20;
/// Small files of /proc.
const SMALL_BYTES: u64 = 64 << 10;
/// What the kernel gives of such a file at a time.
const PAGE_BYTES: usize = 4096;
/// Processes that are looked at.
const PROCESSES: usize = 32_768;

/// What runs on the host.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    users: Vec<User>,
    by_file: HashMap<String, Vec<usize>>,
    services: BTreeSet<String>,
    unreadable: usize,
}

/// Who uses a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// A systemd service, with its suffix.
    Service(String),
    /// A program in no service or in a user's session, by its name as the kernel shortens it.
    Program(String),
}

/// Processes cannot be seen here.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The tree is not the running system.
    #[error("processes belong to the running system, not to a file tree")]
    NotLive,
    /// /proc is missing or closed.
    #[error("cannot list the running processes")]
    NoProc(#[source] crate::tree::ReadError),
}

impl Processes {
    /// Looks at every process once. It takes about 0.1 ms a process; ask for it only when there are updates.
    pub fn read(tree: &Tree) -> Result<Self, ProcessError> {
        if !tree.is_live() {
            return Err(ProcessError::NotLive);
        }
        let entries = tree.entries("/proc").map_err(ProcessError::NoProc)?;
        let mut reading = Reading::default();
        let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        let names = entries
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| is_process(name));
        for process in names.take(PROCESSES) {
            reading.add(&process);
        }
        Ok(reading.found)
    }

    /// Processes whose files only root may see.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Whether a process of this service (`ssh.service`) runs.
    pub fn runs(&self, service: &str) -> bool {
        self.services.contains(service)
    }

    /// Who has this file mapped; `path` without its `/usr`.
    pub(super) fn users_of(&self, path: &str) -> impl Iterator<Item = &User> {
        self.by_file
            .get(path)
            .into_iter()
            .flatten()
            .map(|&number| &self.users[number])
    }
}

/// The processes found so far, and what goes from one to the next.
#[derive(Default)]
struct Reading {
    found: Processes,
    numbers: HashMap<User, usize>,
    bytes: Vec<u8>,
}

impl Reading {
    fn add(&mut self, process: &str) {
        let maps = match self.read(process, "maps", MAPS_BYTES) {
            // Kernel threads have none, and belong to no service.
            Ok(()) if self.bytes.is_empty() => return,
            Ok(()) => Some(std::mem::take(&mut self.bytes)),
            // It ended meanwhile.
            Err(error) if is_gone(&error) => return,
            Err(_) => None,
        };
        let cgroup = self.text(process, "cgroup");
        let service = cgroup.and_then(|cgroup| service_of(&cgroup));
        self.found.services.extend(service.clone());
        let Some(maps) = maps else {
            self.found.unreadable += 1;
            return;
        };
        let user = match service {
            Some(service) => User::Service(service),
            None => {
                let name = self.text(process, "comm").unwrap_or_default();
                User::Program(crate::problem::printable(name.trim_end()))
            }
        };
        self.note(user, &maps);
        self.bytes = maps;
    }

    fn note(&mut self, user: User, maps: &[u8]) {
        let users = &mut self.found.users;
        let number = *self.numbers.entry(user.clone()).or_insert_with(|| {
            users.push(user);
            users.len() - 1
        });
        let maps = crate::words::readable(maps);
        let mut last = "";
        for path in maps.lines().filter_map(mapped_file) {
            if path == last {
                continue;
            }
            last = path;
            match self.found.by_file.get_mut(path) {
                Some(users) if users.contains(&number) => {}
                Some(users) => users.push(number),
                None => drop(self.found.by_file.insert(path.to_owned(), vec![number])),
            }
        }
    }

    fn text(&mut self, process: &str, file: &str) -> Option<String> {
        self.read(process, file, SMALL_BYTES).ok()?;
        Some(crate::words::readable(&self.bytes).into_owned())
    }

    /// Files of /proc have no size; what they hold is read up to a limit and cut there.
    fn read(&mut self, process: &str, file: &str, limit_bytes: u64) -> std::io::Result<()> {
        self.bytes.clear();
        // Without room the standard library asks for the first few bytes alone, and the kernel writes the page twice.
        self.bytes.reserve(PAGE_BYTES);
        let file = std::fs::File::open(format!("/proc/{process}/{file}"))?;
        file.take(limit_bytes).read_to_end(&mut self.bytes)?;
        Ok(())
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The path in a line of maps, without `/usr` and without the mark of a deleted file.
fn mapped_file(line: &str) -> Option<&str> {
    let at = line.find('/')?;
    let path = line[at..].strip_suffix(" (deleted)").unwrap_or(&line[at..]);
    Some(without_usr(path))
}

/// With a merged /usr the kernel says `/usr/lib` where a package says `/lib`.
pub(super) fn without_usr(path: &str) -> &str {
    match path.strip_prefix("/usr") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The system service of a process, from systemd's own hierarchy or the unified one.
pub(crate) fn service_of(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| {
        line.strip_prefix("0::")
            .or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
    });
    let service = |path: &str| {
        // Inside user@1000.service everything belongs to a session.
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let first = parts.find(|part| part.ends_with(".service"))?;
        (!first.starts_with("user@")).then(|| first.to_owned())
    };
    paths
        .filter(|path| !path.starts_with("/user.slice/"))
        .find_map(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_the_system_service_of_its_control_group() {
        assert_eq!(
            service_of("0::/system.slice/ssh.service\n").as_deref(),
            Some("ssh.service")
        );
        let instance = "0::/system.slice/system-getty.slice/getty@tty1.service\n";
        assert_eq!(service_of(instance).as_deref(), Some("getty@tty1.service"));
        let hybrid = "4:memory:/\n1:name=systemd:/system.slice/cron.service\n0::/\n";
        assert_eq!(service_of(hybrid).as_deref(), Some("cron.service"));
        let session = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n";
        assert_eq!(service_of(session), None);
        assert_eq!(service_of("0::/\n"), None);
    }

    #[test]
    fn a_mapped_file_is_known_by_its_path_without_usr_even_when_it_was_deleted() {
        let line =
            "7f1c0000-7f1c2000 r-xp 00000000 fe:01 42   /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)";
        assert_eq!(mapped_file(line), Some("/lib/x86_64-linux-gnu/libssl.so.3"));
        assert_eq!(
            mapped_file("7ffd0000-7ffd2000 rw-p 00000000 00:00 0   [stack]"),
            None
        );
        assert_eq!(without_usr("/usrlocal/x"), "/usrlocal/x");
    }
}
