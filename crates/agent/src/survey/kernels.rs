//! Kernels: what runs (`uname`, `/proc/version`) and what is installed (packages; on rpm systems `/lib/modules`).

use super::proc::head;
use crate::facts::fact;
use crate::tree::Tree;
use domain::host::hardware::Virtualisation;
use domain::host::inventory::Inventory;
use domain::host::kernel::{Kernels, RunningKernel, banner_version, installed_images};

/// A container has no kernel: none runs, and none that lies in its tree ever will.
pub(super) fn read(tree: &Tree, virtualisation: &Virtualisation, inventory: &Inventory) -> Kernels {
    if virtualisation.is_container() {
        return Kernels::default();
    }
    let release = || fact(&rustix::system::uname().release().to_string_lossy());
    let running = tree.is_live().then(release).flatten();
    Kernels {
        running: running.map(|release| RunningKernel {
            release,
            package_version: head(tree, "/proc/version")
                .and_then(|banner| banner_version(&banner).map(str::to_owned)),
        }),
        installed: installed_images(inventory),
    }
}
