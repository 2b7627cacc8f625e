//! Which files of a folder such as `sources.list.d` count, and in which order: apt's rules for names, which are
//! run-parts(8)' rules with file extensions (apt.conf(5), sources.list(5), apt_preferences(5)).

use crate::tree::{Kind, ReadError, Tree, join};

/// Paths of the files in `folder` that apt reads, in its order. `extensions` may hold the empty one for names
/// without a dot. Links that lead nowhere are among them: apt passes over them, but what an image links to may only
/// not be mounted now, and reading it says so.
pub(crate) fn files(tree: &Tree, folder: &str, extensions: &[&str]) -> Result<Vec<String>, ReadError> {
    let entries = tree.entries(folder)?;
    let named = entries
        .into_iter()
        .filter(|entry| matches!(entry.kind, Some(Kind::File) | None));
    let mut files: Vec<String> = named
        .filter(|entry| is_accepted(&entry.name, extensions))
        .map(|entry| join(folder, &entry.name))
        .collect();
    files.sort();
    Ok(files)
}

fn is_accepted(name: &str, extensions: &[&str]) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let has_dot = name.contains('.');
    let extension_fits = extensions.iter().any(|&wanted| {
        if has_dot {
            !wanted.is_empty() && wanted == extension
        } else {
            wanted.is_empty()
        }
    });
    extension_fits
        && !name.starts_with('.')
        && !name.ends_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte))
}
