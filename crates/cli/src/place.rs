//! Where Patchyard keeps things on a machine: what may be thrown away, what must not be, and what a person told it.

use std::path::{Path, PathBuf};

/// Root's cache and root's data, as the Filesystem Hierarchy Standard has them (5.5, 5.8).
const SYSTEM_CACHE: &str = "/var/cache/patchyard";
#[cfg(feature = "server")]
const SYSTEM_DATA: &str = "/var/lib/patchyard";

/// No folder can be named.
#[derive(Debug, thiserror::Error)]
#[error("no folder for {what}: HOME is not set; name one with {option}")]
pub struct NoFolder {
    what: &'static str,
    option: &'static str,
}

/// The variables of the environment, as the edge of the program hands them down.
#[derive(Clone, Copy)]
pub struct Variables<'a> {
    /// A variable by its name.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether root runs the program.
    pub is_root: bool,
}

impl Variables<'_> {
    /// A base folder by the XDG Base Directory Specification: the variable's, or this folder below HOME. Relative paths
    /// are ignored, as it demands.
    pub fn folder(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        let absolute = |name: &str| {
            (self.variable)(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute(name).or_else(|| Some(absolute("HOME")?.join(below_home)))
    }

    /// The cache folder: the option's, root's own, or the user's.
    ///
    /// # Errors
    /// [`NoFolder`].
    pub fn cache(&self, option: Option<&Path>) -> Result<PathBuf, NoFolder> {
        match option {
            Some(folder) => Ok(folder.to_owned()),
            None if self.is_root => Ok(PathBuf::from(SYSTEM_CACHE)),
            None => self
                .folder("XDG_CACHE_HOME", ".cache")
                .map(|base| base.join("patchyard"))
                .ok_or(NoFolder {
                    what: "the cache",
                    option: "--cache-dir",
                }),
        }
    }

    /// The server's data folder: the option's, root's own, or the user's.
    ///
    /// # Errors
    /// [`NoFolder`].
    #[cfg(feature = "server")]
    pub fn data(&self, option: Option<&Path>) -> Result<PathBuf, NoFolder> {
        match option {
            Some(folder) => Ok(folder.to_owned()),
            None if self.is_root => Ok(PathBuf::from(SYSTEM_DATA)),
            None => self
                .folder("XDG_DATA_HOME", ".local/share")
                .map(|base| base.join("patchyard"))
                .ok_or(NoFolder {
                    what: "the server's data",
                    option: "--data",
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_person_or_the_standard_says() {
        let home = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        let of = |is_root| Variables {
            variable: &home,
            is_root,
        };
        let cache = |option, is_root: bool| of(is_root).cache(option).expect("a home is set");
        assert_eq!(cache(None, false), Path::new("/home/ada/.cache/patchyard"));
        assert_eq!(cache(None, true), Path::new("/var/cache/patchyard"));
        assert_eq!(cache(Some(Path::new("/x")), true), Path::new("/x"));
        let nowhere = Variables {
            variable: &|_| None,
            is_root: false,
        };
        assert!(nowhere.cache(None).is_err());
        let relative = Variables {
            variable: &|name| Some(if name == "HOME" { "/home/ada" } else { "here" }.to_owned()),
            is_root: false,
        };
        assert_eq!(
            relative.cache(None).expect("a home is set"),
            Path::new("/home/ada/.cache/patchyard")
        );
    }
}
