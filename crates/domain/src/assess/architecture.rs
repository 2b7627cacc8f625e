//! Architecture names in pins (`name:any`, `name:linux-any`): compared as four-part tuples, as dpkg-architecture(1)
//! expands them.

use super::glob::{Case, Glob};

/// Names whose tuple is not `base-gnu-linux-NAME`, from dpkg's table of tuples.
const TUPLES: &[(&str, &str)] = &[
    ("arm64ilp32", "ilp32-gnu-linux-arm64"),
    ("armel", "eabi-gnu-linux-arm"),
    ("armhf", "eabihf-gnu-linux-arm"),
    ("mips64", "abi64-gnu-linux-mips64"),
    ("mips64el", "abi64-gnu-linux-mips64el"),
    ("mips64r6", "abi64-gnu-linux-mips64r6"),
    ("mips64r6el", "abi64-gnu-linux-mips64r6el"),
    ("mipsn32", "abin32-gnu-linux-mips64"),
    ("mipsn32el", "abin32-gnu-linux-mips64el"),
    ("mipsn32r6", "abin32-gnu-linux-mips64r6"),
    ("mipsn32r6el", "abin32-gnu-linux-mips64r6el"),
    ("powerpcspe", "spe-gnu-linux-powerpc"),
    ("x32", "x32-gnu-linux-amd64"),
    ("kfreebsd-armhf", "eabihf-gnu-kfreebsd-arm"),
    ("musl-linux-armhf", "eabihf-musl-linux-arm"),
    ("uclibc-linux-armel", "eabi-uclibc-linux-arm"),
    ("uclinux-armel", "eabi-uclibc-uclinux-arm"),
    ("mint-m68k", "base-tos-mint-m68k"),
];

/// Systems whose second part is not `gnu`.
const SYSTEMS: &[(&str, &str)] = &[
    ("dragonflybsd", "bsd"),
    ("freebsd", "bsd"),
    ("openbsd", "bsd"),
    ("netbsd", "bsd"),
    ("darwin", "bsd"),
    ("aix", "sysv"),
    ("solaris", "sysv"),
    ("uclinux", "uclibc"),
];

/// What a pin says of an architecture.
#[derive(Clone, Debug)]
pub(super) struct ArchitecturePattern {
    literal: String,
    complete: String,
    glob: Glob,
}

impl ArchitecturePattern {
    pub(super) fn new(text: &str) -> Self {
        let complete = complete_pattern(text);
        Self {
            literal: text.to_owned(),
            glob: Glob::new(&complete, Case::Exact),
            complete,
        }
    }

    /// Whether it covers `architecture`, which is a real one: `all` counts as the host's native one before this.
    pub(super) fn matches(&self, architecture: &str) -> bool {
        self.literal == architecture
            || self.complete == architecture
            || self.glob.matches(&complete_name(architecture))
    }
}

fn is_misplaced_dash(text: &str) -> bool {
    text.starts_with('-') || text.ends_with('-')
}

fn complete_pattern(text: &str) -> String {
    if is_misplaced_dash(text) {
        return "invalid-invalid-invalid-invalid".to_owned();
    }
    let mut parts: Vec<&str> = text.split('-').collect();
    if !parts.contains(&"any") && !text.contains('*') {
        return complete_name(text);
    }
    while parts.len() < 4 {
        parts.insert(0, "any");
    }
    let parts: Vec<&str> = parts
        .into_iter()
        .map(|part| if part == "any" { "*" } else { part })
        .collect();
    parts.join("-")
}

fn complete_name(architecture: &str) -> String {
    if is_misplaced_dash(architecture) {
        return "invalid-invalid-invalid-invalid".to_owned();
    }
    let name = architecture.strip_prefix("linux-").unwrap_or(architecture);
    if let Some((_, tuple)) = TUPLES.iter().find(|(known, _)| *known == name) {
        return (*tuple).to_owned();
    }
    let parts: Vec<&str> = name.split('-').collect();
    match parts.as_slice() {
        [cpu] => format!("base-gnu-linux-{cpu}"),
        [system, cpu] => {
            let library = SYSTEMS
                .iter()
                .find(|(known, _)| known == system)
                .map_or("gnu", |(_, library)| library);
            format!("base-{library}-{system}-{cpu}")
        }
        [_, _, _] => format!("base-{name}"),
        _ => name.to_owned(),
    }
}
