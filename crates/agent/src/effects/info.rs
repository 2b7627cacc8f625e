//! What dpkg keeps beside its status about one installed package: the list of its files and its maintainer scripts
//! (`/var/lib/dpkg/info`), each read only when asked for, and the list only once.

use super::PackageRef;
use crate::tree::{ReadError, Tree, join};

/// A list of a package's files larger than this is not read.
const LIST_BYTES: u64 = 32 << 20;
/// Maintainer scripts larger than this are not read.
const SCRIPT_BYTES: u64 = 1 << 20;

/// The files of one package.
pub(super) struct Info<'host> {
    tree: &'host Tree,
    list: Result<Vec<u8>, ReadError>,
    /// Paths without their ending: of the two that dpkg may use, those that the list does not rule out.
    stems: Vec<String>,
}

impl<'host> Info<'host> {
    /// Looks for the package in `folder`: as `name`, or as `name:architecture` where it is `Multi-Arch: same`.
    pub(super) fn read(tree: &'host Tree, folder: &str, package: PackageRef<'_>) -> Self {
        let PackageRef { name, architecture } = package;
        let is_plain = |text: &str| !text.contains('/') && !text.is_empty();
        let mut stems = Vec::new();
        if is_plain(name) && is_plain(architecture) {
            stems.push(join(folder, name));
            stems.push(join(folder, &format!("{name}:{architecture}")));
        }
        let mut list = Err(ReadError::NotFound {
            path: join(folder, &format!("{name}.list")),
        });
        for (place, stem) in stems.iter().enumerate() {
            match tree.read(&format!("{stem}.list"), LIST_BYTES) {
                Err(error) if error.is_not_found() => {}
                found => {
                    list = found;
                    stems = vec![stems.swap_remove(place)];
                    break;
                }
            }
        }
        Self { tree, list, stems }
    }

    /// The paths of its files, one a line.
    pub(super) fn list(&self) -> Result<&[u8], &ReadError> {
        self.list.as_deref()
    }

    /// A maintainer script, such as `postinst`; `None` if it has none.
    pub(super) fn script(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        for stem in &self.stems {
            match self.tree.read(&format!("{stem}.{name}"), SCRIPT_BYTES) {
                Err(error) if error.is_not_found() => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }
}
