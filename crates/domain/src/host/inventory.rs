//! What is installed on a host.

/// All packages of a host that dpkg knows and that are not merely remembered, sorted by name, then architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The packages.
    pub packages: Vec<InstalledPackage>,
}

/// One package as the host's dpkg status has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Binary package name.
    pub name: Box<str>,
    /// Architecture as dpkg says it, `all` included.
    pub architecture: Box<str>,
    /// Installed version.
    pub version: Box<str>,
    /// Source package; the binary's own name where the status names none.
    pub source: Box<str>,
    /// Source version; the binary's own version where the status names none.
    pub source_version: Box<str>,
    /// What the administrator wants of it (first word of `Status`).
    pub selection: Selection,
    /// How far dpkg got with it (third word of `Status`).
    pub state: PackageState,
    /// Whether dpkg demands a re-installation (second word of `Status` is `reinstreq`).
    pub reinstall_required: ReinstallRequired,
    /// What tells two builds of one version apart.
    pub fingerprint: BuildFingerprint,
}

/// dpkg's selection of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Not decided.
    Unknown,
    /// To be installed and kept current.
    Install,
    /// On hold: the administrator wants no other version.
    Hold,
    /// To be removed.
    Deinstall,
    /// To be removed with its configuration.
    Purge,
}

/// dpkg's state of a package that has a version on the host (dpkg(1), PACKAGE STATES). `not-installed` and
/// `config-files` are no inventory: apt does not count them as installed either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// Unpacked and configured.
    Installed,
    /// Unpacking was started and not completed.
    HalfInstalled,
    /// Unpacked, not configured.
    Unpacked,
    /// Configuring was started and not completed.
    HalfConfigured,
    /// Waits for another package's trigger.
    TriggersAwaited,
    /// Its own trigger has not run yet.
    TriggersPending,
}

/// Whether dpkg marked the package as broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReinstallRequired {
    /// dpkg wants it unpacked again.
    Yes,
    /// In order.
    No,
}

/// What apt compares, besides the version string, to decide whether two packages are the same build: a hash over
/// size and relations, the Multi-Arch field and, where known, the size of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildFingerprint {
    /// apt's `VersionHash` over Installed-Size, Depends, Pre-Depends, Conflicts, Breaks and Replaces, low 32 bits.
    pub relations: u32,
    /// The Multi-Arch field: 0 none or `no`, 1 `same`, 2 `foreign`, 3 `allowed`.
    pub multi_arch: u8,
    /// Size of the .deb in bytes; 0 where unknown, as in dpkg's status.
    pub size_bytes: u64,
}

impl BuildFingerprint {
    /// Whether apt takes the two for one build of one version (`debListParser::SameVersion`).
    pub fn is_same_build(self, other: Self) -> bool {
        self.relations == other.relations
            && self.multi_arch == other.multi_arch
            && (self.size_bytes == 0 || other.size_bytes == 0 || self.size_bytes == other.size_bytes)
    }
}

/// apt's `VersionHash` (apt 2.2 to 3.0 agree), of which apt keeps and compares the low 32 bits: over Installed-Size,
/// Depends, Pre-Depends, Conflicts, Breaks and Replaces, in this order, absent fields left out.
///
/// Its quirks decide what counts as the same build, so they are kept: white space and `=` are dropped (dpkg rewrites `<`
/// to `<=`), every `0:` is dropped, even the one in `10:`, and bit 0x20 is set in every byte, letter or not.
/// Bytes above 127 count as negative numbers, as they do for apt on amd64.
pub fn relations_hash(fields: [Option<&[u8]>; 6]) -> u32 {
    fields.into_iter().flatten().fold(5381, hash_field)
}

fn hash_field(hash: u32, field: &[u8]) -> u32 {
    let mut hash = hash;
    let mut start = 0;
    for colon in memchr::memchr_iter(b':', field) {
        if colon > 0 && field[colon - 1] == b'0' {
            hash = hash_text(hash, &field[start..colon - 1]);
            start = colon + 1;
        }
    }
    hash_text(hash, &field[start..])
}

/// Whole archives pass through here: what counts is gathered without a branch, then hashed in blocks.
fn hash_text(hash: u32, text: &[u8]) -> u32 {
    let mut hash = hash;
    let mut kept = [0; 256];
    for piece in text.chunks(255) {
        let mut count = 0_u8;
        for byte in piece {
            kept[usize::from(count)] = byte | 0x20;
            count += COUNTS[usize::from(*byte)];
        }
        hash = hash_kept(hash, &kept[..usize::from(count)]);
    }
    hash
}

/// 0 for what apt drops, 1 for all other bytes.
static COUNTS: [u8; 256] = {
    let mut table = [1; 256];
    let dropped = b"\t\n\x0b\x0c\r =";
    let mut place = 0;
    while place < dropped.len() {
        table[dropped[place] as usize] = 0;
        place += 1;
    }
    table
};

/// `hash = hash * 33 + byte` for each byte, modulo 2^32, eight at a time.
fn hash_kept(hash: u32, kept: &[u8]) -> u32 {
    const POWERS: [u32; 9] = {
        let mut powers = [1_u32; 9];
        let mut place = 8;
        while place > 0 {
            powers[place - 1] = powers[place].wrapping_mul(33);
            place -= 1;
        }
        powers
    };
    let number = |byte: u8| i32::from(byte.cast_signed()).cast_unsigned();
    let (blocks, rest) = kept.as_chunks::<8>();
    let hash = blocks.iter().fold(hash, |hash, block| {
        let terms = block
            .iter()
            .zip(&POWERS[1..])
            .map(|(byte, power)| number(*byte).wrapping_mul(*power));
        hash.wrapping_mul(POWERS[0])
            .wrapping_add(terms.fold(0, u32::wrapping_add))
    });
    rest.iter().fold(hash, |hash, byte| {
        hash.wrapping_mul(33).wrapping_add(number(*byte))
    })
}

/// The Multi-Arch field as [`BuildFingerprint`] keeps it. An unknown value counts as `no`, and so does `same` on a
/// package for all architectures, as in apt.
pub fn multi_arch(architecture: &[u8], field: Option<&[u8]>) -> u8 {
    match field.unwrap_or_default() {
        b"same" if architecture != b"all" => 1,
        b"foreign" => 2,
        b"allowed" => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(field: &str) -> u32 {
        relations_hash([None, Some(field.as_bytes()), None, None, None, None])
    }

    #[test]
    fn spelling_that_dpkg_rewrites_does_not_change_the_relations_hash() {
        assert_eq!(
            hash("libc6 (>= 2.36), a (<< 1)"),
            hash("libc6(>2.36) , A (<<\t0:1)")
        );
        assert_eq!(hash("libc6 (>= 10:2)"), hash("libc6 (>= 12)"));
        assert_eq!(hash(""), relations_hash([None; 6]));
    }

    #[test]
    fn another_relation_changes_the_relations_hash() {
        assert_ne!(hash("libc6 (>= 2.36)"), hash("libc6 (>= 2.37)"));
        assert_ne!(hash("libc6 (>= 10:2)"), hash("libc6 (>= 2)"));
        assert_ne!(hash("0"), hash(""));
    }

    #[test]
    fn multi_arch_same_on_a_package_for_all_architectures_counts_as_no() {
        assert_eq!(multi_arch(b"amd64", Some(b"same")), 1);
        assert_eq!(multi_arch(b"all", Some(b"same")), 0);
        assert_eq!(multi_arch(b"all", Some(b"foreign")), 2);
        assert_eq!(multi_arch(b"amd64", Some(b"Same")), 0);
        assert_eq!(multi_arch(b"amd64", None), 0);
    }
}
