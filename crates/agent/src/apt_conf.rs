//! apt.conf(5): a host's apt settings as the tree that `apt-config dump` prints. Reading the files is in [`read`],
//! their syntax in [`syntax`]; here are the tree and the questions that can be asked of it.

pub mod read;
mod syntax;

use crate::words;
use std::collections::HashMap;

/// Names deeper than this are refused: apt itself knows none deeper than six.
const DEPTH: usize = 100;
/// Longest name, in bytes.
const NAME_BYTES: usize = 4_096;
/// Settings that one host may have in all.
const NODES: usize = 100_000;

/// A host's apt settings. Names are compared without regard to case, as apt does.
#[derive(Clone, Debug)]
pub struct AptConf {
    nodes: Vec<Node>,
    /// Nodes by the one above and the tag in lower case; the entries of lists, which have none, are not in it.
    by_tag: HashMap<(usize, String), usize>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    tag: String,
    value: String,
    parent: usize,
    children: Vec<usize>,
}

/// A setting that has no place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The name has too many parts.
    #[error("a setting's name has more than {DEPTH} parts")]
    TooDeep,
    /// The name is too long.
    #[error("a setting's name has more than {NAME_BYTES} bytes")]
    TooLong,
    /// There are too many settings already.
    #[error("there are more than {NODES} settings")]
    TooMany,
}

const ROOT: usize = 0;

impl Default for AptConf {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            by_tag: HashMap::new(),
        }
    }
}

impl AptConf {
    /// The value at `name` such as `APT::Architecture`; empty values count as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        let node = self.lookup(name)?;
        Some(self.nodes[node].value.as_str()).filter(|value| !value.is_empty())
    }

    /// The truth value at `name`, or `default` where there is none that apt understands.
    pub fn truth(&self, name: &str, default: bool) -> bool {
        self.text(name).and_then(words::truth).unwrap_or(default)
    }

    /// The number at `name`, if it starts with one.
    pub fn number(&self, name: &str) -> Option<i64> {
        words::c_number(self.text(name)?).0
    }

    /// The values of the list at `name`; a single value is split at commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let Some(node) = self.lookup(name) else {
            return Vec::new();
        };
        let node = &self.nodes[node];
        if node.value.is_empty() {
            node.children
                .iter()
                .map(|&child| self.nodes[child].value.clone())
                .collect()
        } else {
            split_list(&node.value, ',')
        }
    }

    /// The last parts of the names directly below `name`.
    pub fn names_below(&self, name: &str) -> Vec<String> {
        let Some(node) = self.lookup(name) else {
            return Vec::new();
        };
        self.nodes[node]
            .children
            .iter()
            .map(|&child| self.nodes[child].tag.clone())
            .collect()
    }

    /// The file at `name` (such as `Dir::Etc::preferences`), put together from the folders above it.
    /// `/dev/null` stays itself.
    pub fn file(&self, name: &str) -> String {
        let mut path = self.text("RootDir").unwrap_or_default().to_owned();
        if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        if let Some(node) = self
            .lookup(name)
            .filter(|&node| !self.nodes[node].value.is_empty())
        {
            path.push_str(&self.path_of(node));
        }
        normalised(path)
    }

    /// As [`Self::file`], for a folder: ends in a slash.
    pub fn folder(&self, name: &str) -> String {
        let mut path = self.file(name);
        if !path.ends_with('/') && !path.ends_with("/dev/null") {
            path.push('/');
        }
        path
    }

    /// Sets `name` to `value`, making the names above it. A name that ends in `::` adds to a list.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SetError> {
        let node = self.lookup_or_create(name)?;
        value.clone_into(&mut self.nodes[node].value);
        Ok(())
    }

    /// Empties `name` and removes everything below it.
    pub fn clear(&mut self, name: &str) {
        if let Some(node) = self.lookup(name) {
            self.nodes[node].value.clear();
            for child in std::mem::take(&mut self.nodes[node].children) {
                self.by_tag
                    .remove(&(node, self.nodes[child].tag.to_ascii_lowercase()));
            }
        }
    }

    /// Every setting in order as (full name, value), empty values included, as `apt-config dump` lists them.
    pub fn settings(&self) -> Vec<(String, &str)> {
        let mut settings = Vec::new();
        let mut pending: Vec<(usize, String)> = self.below(ROOT, "").rev().collect();
        while let Some((node, name)) = pending.pop() {
            pending.extend(self.below(node, &name).rev());
            settings.push((name, self.nodes[node].value.as_str()));
        }
        settings
    }

    fn below(&self, node: usize, name: &str) -> impl DoubleEndedIterator<Item = (usize, String)> {
        self.nodes[node].children.iter().map(move |&child| {
            let tag = &self.nodes[child].tag;
            (
                child,
                if node == ROOT {
                    tag.clone()
                } else {
                    format!("{name}::{tag}")
                },
            )
        })
    }

    /// The value with the folders above it in front, up to the first absolute one.
    fn path_of(&self, mut node: usize) -> String {
        let mut path = self.nodes[node].value.clone();
        while node != ROOT {
            let above = self.nodes[node].parent;
            if !self.nodes[above].value.is_empty() {
                if path.starts_with('/') {
                    if path.starts_with("/dev/null") {
                        path.truncate("/dev/null".len());
                    }
                    break;
                }
                if ["~/", "./", "../"].iter().any(|start| path.starts_with(start)) {
                    break;
                }
                let folder = &self.nodes[above].value;
                let slash = if folder.ends_with('/') { "" } else { "/" };
                path = format!("{folder}{slash}{path}");
            }
            node = above;
        }
        path
    }

    fn child(&self, node: usize, tag: &str) -> Option<usize> {
        // An empty part names no setting: it makes a new entry of a list.
        if tag.is_empty() {
            None
        } else {
            self.by_tag.get(&(node, tag.to_ascii_lowercase())).copied()
        }
    }

    fn lookup(&self, name: &str) -> Option<usize> {
        parts(name).try_fold(ROOT, |node, tag| self.child(node, tag))
    }

    fn lookup_or_create(&mut self, name: &str) -> Result<usize, SetError> {
        if name.len() > NAME_BYTES {
            return Err(SetError::TooLong);
        }
        if parts(name).count() > DEPTH {
            return Err(SetError::TooDeep);
        }
        let mut node = ROOT;
        for tag in parts(name) {
            node = match self.child(node, tag) {
                Some(child) => child,
                None => self.create(node, tag)?,
            };
        }
        Ok(node)
    }

    fn create(&mut self, parent: usize, tag: &str) -> Result<usize, SetError> {
        if self.nodes.len() > NODES {
            return Err(SetError::TooMany);
        }
        let node = self.nodes.len();
        self.nodes.push(Node {
            tag: tag.to_owned(),
            parent,
            ..Node::default()
        });
        self.nodes[parent].children.push(node);
        if !tag.is_empty() {
            self.by_tag.insert((parent, tag.to_ascii_lowercase()), node);
        }
        Ok(node)
    }
}

/// The parts of a name. apt steps over the colons two at a time and looks for the next pair only one byte after
/// the last, so that `A:::::B` is `A`, an empty part and `:B`.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(name);
    let mut from = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        match text
            .bytes()
            .skip(from)
            .zip(text.bytes().skip(from + 1))
            .position(|pair| pair == (b':', b':'))
        {
            Some(offset) => {
                let at = from + offset;
                rest = Some(&text[at + 2..]);
                from = 1;
                Some(&text[..at])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// A text cut at a separator; one at the very end adds no empty word.
pub(crate) fn split_list(text: &str, separator: char) -> Vec<String> {
    let mut items: Vec<String> = text.split(separator).map(str::to_owned).collect();
    if items.last().is_some_and(String::is_empty) {
        items.pop();
    }
    items
}

fn normalised(mut path: String) -> String {
    while path.contains("/./") {
        path = path.replace("/./", "/");
    }
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    if path.starts_with("/dev/null") {
        path.truncate("/dev/null".len());
    }
    path
}
