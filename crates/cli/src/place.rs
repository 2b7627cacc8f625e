//! Where Patchyard keeps what may be thrown away: compiled indexes, fetched files, stamps of hashed ones.

use std::path::{Path, PathBuf};

/// Root's cache, as the Filesystem Hierarchy Standard has it (5.5).
const SYSTEM_CACHE: &str = "/var/cache/patchyard";

/// No folder can be named for the cache.
#[derive(Debug, thiserror::Error)]
#[error("no folder for the cache: HOME is not set; name one with --cache-dir")]
pub struct NoCacheFolder;

/// The cache folder: the option's, root's own, or the user's by the XDG Base Directory Specification.
pub fn cache_folder(
    option: Option<&Path>,
    is_root: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf, NoCacheFolder> {
    if let Some(folder) = option {
        return Ok(folder.to_owned());
    }
    if is_root {
        return Ok(PathBuf::from(SYSTEM_CACHE));
    }
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(base.ok_or(NoCacheFolder)?.join("patchyard"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_person_or_the_standard_says() {
        let home = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        let folder = |option, is_root| cache_folder(option, is_root, home).expect("a home is set");
        assert_eq!(folder(None, false), Path::new("/home/ada/.cache/patchyard"));
        assert_eq!(folder(None, true), Path::new("/var/cache/patchyard"));
        assert_eq!(folder(Some(Path::new("/x")), true), Path::new("/x"));
        assert!(cache_folder(None, false, |_| None).is_err());
    }
}
