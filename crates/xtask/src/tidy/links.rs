//! Links in documents: each leads to a file of the project, and its `#` part to a heading of that file.

use super::Outcome;
use crate::tree::Tree;

/// Every relative link in a `.md` file leads somewhere.
pub fn resolve(tree: &Tree) -> Outcome {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in tree.with_extension("md") {
        for (line, target) in links(&document.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            if let Some(why) = fault(tree, &document.path, target) {
                broken.push(format!("{}:{line}: {target}: {why}", document.path));
            }
        }
    }
    Outcome::of(broken, format!("{count} links"))
}

/// The inline links of a document with their line numbers, those in code blocks left out.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code || line.starts_with("    ") {
            continue;
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, beyond)) = after.split_once(')') else {
                break;
            };
            found.push((number + 1, target));
            rest = beyond;
        }
    }
    found
}

fn fault(tree: &Tree, document: &str, target: &str) -> Option<&'static str> {
    let (file, heading) = target
        .split_once('#')
        .map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() {
        document.to_owned()
    } else {
        beside(document, file)?
    };
    let is_there = tree.paths().contains(&path)
        || tree.paths().iter().any(|known| {
            known
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
    match heading {
        _ if !is_there => Some("no such file"),
        Some(heading)
            if !tree
                .text(&path)
                .is_some_and(|text| headings(text).any(|slug| slug == heading)) =>
        {
            Some("no such heading")
        }
        _ => None,
    }
}

/// `link` as seen from the document's folder; nothing for a link that leaves the project, which then is no file of it.
fn beside(document: &str, link: &str) -> Option<String> {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that a forge makes of a document's headings.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|character| character.is_alphanumeric() || " -_".contains(*character))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect()
    })
}
