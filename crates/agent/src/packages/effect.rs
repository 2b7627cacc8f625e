//! What was installed comes into effect: services that run replaced files are restarted if the order may (mode full), and the
//! host once, with notice, if its rule says so. What the host would not survive being restarted alone waits for the host's own
//! restart, and is told.

use super::tool::Tool;
use super::{STATUS, Trouble};
use crate::tree::Tree;
use crate::{dpkg_status, survey};
use domain::host::facts::{Known, PendingRestart, Sight};
use domain::host::mode::Mode;
use domain::order::{Order, RebootRule};
use domain::rollout::deployment::Failure;
use std::path::Path;

/// The agent's own service: restarted last, without waiting, for this process ends with it.
const OWN: &str = "patchyard-agent.service";
/// Services whose restart would end what depends on them: the bus, logins, displays, the network, guests and containers.
const LEFT_ALONE: [&str; 22] = [
    "dbus",
    "dbus-broker",
    "systemd-logind",
    "elogind",
    "display-manager",
    "gdm",
    "gdm3",
    "sddm",
    "lightdm",
    "lxdm",
    "xdm",
    "getty@",
    "serial-getty@",
    "networking",
    "NetworkManager",
    "wpa_supplicant",
    "iscsid",
    "open-iscsi",
    "multipathd",
    "docker",
    "containerd",
    "libvirtd",
];

/// What was restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// These were.
    pub restarted: Vec<String>,
    /// These would not: the service, and why.
    pub failed: Vec<(String, String)>,
    /// These were left alone; they run old code until the host restarts.
    pub left_alone: Vec<String>,
}

/// What still runs old code, and why the host would have to restart, as it is now.
///
/// # Errors
/// It cannot be seen: that is never "nothing".
pub fn standing() -> Result<PendingRestart, Trouble> {
    let unseen = |why: &str| Trouble::new(Failure::NotSeen, &format!("cannot see what runs old code: {why}"));
    let tree = Tree::open(Path::new("/")).map_err(|error| unseen(&crate::problem::chain(&error)))?;
    let (inventory, _) =
        dpkg_status::read(&tree, STATUS).map_err(|error| unseen(&crate::problem::chain(&error)))?;
    match survey::pending_restart(&tree, &inventory) {
        Known::Known(pending) if pending.sight == Sight::Whole => Ok(pending),
        Known::Known(_) => Err(unseen("only root sees every process")),
        Known::Unknown { why } => Err(unseen(&why)),
    }
}

/// Restarts what runs replaced files, as far as the order may.
///
/// # Errors
/// What runs cannot be seen. That a service would not restart is a value.
pub fn restart(order: &Order) -> Result<Restarts, Trouble> {
    let mut restarts = Restarts::default();
    let is_systemd = Path::new("/run/systemd/system").is_dir();
    if order.needs < Mode::Full || !is_systemd {
        return Ok(restarts);
    }
    let pending = standing()?;
    if pending.programs.iter().any(|program| program == "systemd") {
        note(&mut restarts, "systemd", &["daemon-reexec"])?;
    }
    let (left_alone, services): (Vec<_>, Vec<_>) =
        (pending.services.into_iter()).partition(|service| is_left_alone(service));
    restarts.left_alone = left_alone;
    let is_own = |service: &&String| *service == OWN;
    for service in services.iter().filter(|service| !is_own(service)) {
        // An option would begin with a dash; what the kernel says of a control group is still not to be one.
        note(&mut restarts, service, &["restart", "--", service])?;
    }
    if services.iter().any(|service| is_own(&service)) {
        note(&mut restarts, OWN, &["restart", "--no-block", OWN])?;
    }
    Ok(restarts)
}

fn note(restarts: &mut Restarts, service: &str, words: &[&str]) -> Result<(), Trouble> {
    let said = Tool::Systemctl.ask(words)?;
    if said.is_success() {
        restarts.restarted.push(service.to_owned());
    } else {
        let why = crate::shown::harmless(&said.complaint("systemctl"), 240);
        restarts.failed.push((service.to_owned(), why));
    }
    Ok(())
}

fn is_left_alone(service: &str) -> bool {
    let name = service.strip_suffix(".service").unwrap_or(service);
    LEFT_ALONE.iter().any(|left| match left.strip_suffix('@') {
        Some(_) => name.starts_with(left),
        None => name == *left,
    })
}

/// Restarts the host as the order's rule says, with its notice to whoever is logged in; not at all if the rule says never. Whether
/// it was done for this order before is the caller's to know.
///
/// # Errors
/// It could not be asked for.
pub fn reboot(order: &Order) -> Result<(), Trouble> {
    let RebootRule::IfNeeded { notice_seconds } = order.reboot else {
        return Ok(());
    };
    if order.needs < Mode::Full {
        return Ok(());
    }
    let minutes = notice_seconds.div_ceil(60);
    let when = format!("+{minutes}");
    let why = format!(
        "Patchyard order {} has installed updates that need a restart of this host.",
        order.number
    );
    Tool::Shutdown
        .tell(["-r", &when, &why], Failure::PackageManager)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_would_not_survive_is_left_alone_and_its_namesakes_are_not() {
        for service in ["dbus.service", "getty@tty1.service", "systemd-logind.service"] {
            assert!(is_left_alone(service), "{service}");
        }
        for service in [
            "nginx.service",
            "dbus-proxy.service",
            "docker-registry.service",
            "ssh.service",
        ] {
            assert!(!is_left_alone(service), "{service}");
        }
    }
}
