//! Which C library a binary needs, by the versions of the symbols that it takes from it (objdump(1)).

use crate::command;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// The newest version of glibc that a binary's symbols name, such as `2.17`.
pub(super) fn newest_glibc(binary: &Path) -> Result<String> {
    let listed = command::output(Command::new("objdump").arg("-T").arg(binary))?;
    newest(&listed).with_context(|| format!("{} names no version of glibc", binary.display()))
}

fn newest(listed: &str) -> Option<String> {
    let versions = listed.split("GLIBC_").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    versions.max_by_key(|text| version(text))
}

/// A version as numbers, for comparing.
pub(super) fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|number| number.parse().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_largest_number_and_not_the_last_letter() {
        let listed = "\
            0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.2.5) read\n\
            0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.17) clock_gettime\n\
            0000000000000000  w   DF *UND*  0000000000000000 (GLIBC_2.9) pipe2\n";
        assert_eq!(newest(listed).as_deref(), Some("2.17"));
        assert_eq!(newest("no symbols"), None);
        assert!(version("2.34") > version("2.17") && version("2.9") < version("2.17"));
    }
}
