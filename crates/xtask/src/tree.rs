//! The checkout: which files belong to the project, and what stands in them.

use crate::command;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the project that is text.
pub struct TextFile {
    /// Path from the checkout's root, with slashes.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// The checkout's root and its files: what git tracks, and what it would if it were added now.
pub struct Tree {
    root: PathBuf,
    paths: Vec<String>,
    texts: Vec<TextFile>,
}

impl Tree {
    /// The checkout that this program was built from.
    pub fn of_this_checkout() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("find the checkout's root")?;
        let list = command::output(
            Command::new("git")
                .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
                .current_dir(root),
        )?;
        let mut paths: Vec<String> = list.split_terminator('\0').map(String::from).collect();
        paths.sort();
        paths.dedup();
        Self::of_files(root, paths)
    }

    /// A tree of the given files below `root`; files that are gone by now are left out.
    pub fn of_files(root: &Path, paths: Vec<String>) -> Result<Self> {
        let mut tree = Self {
            root: root.to_owned(),
            paths: Vec::new(),
            texts: Vec::new(),
        };
        for path in paths {
            let full = root.join(&path);
            if !full.is_file() {
                continue;
            }
            let bytes = fs::read(&full).with_context(|| format!("read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                tree.texts.push(TextFile {
                    path: path.clone(),
                    text,
                });
            }
            tree.paths.push(path);
        }
        Ok(tree)
    }

    /// The checkout's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every file's path from the root, sorted.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Every file that is UTF-8 text, sorted by path.
    pub fn texts(&self) -> &[TextFile] {
        &self.texts
    }

    /// The text files whose path ends in `.` and `extension`.
    pub fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a TextFile> {
        self.texts.iter().filter(move |file| {
            file.path
                .rsplit_once('.')
                .is_some_and(|(_, end)| end == extension)
        })
    }

    /// The text of one file, if it is there.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    }
}
