//! What a stanza of a Packages file says of its package, read as libapt's `debListParser` reads it (apt 2.6), and why
//! a stanza is left out.

use domain::deb822::{Damage, Field};
use domain::digest::Sha256Digest;
use domain::host::inventory::{BuildFingerprint, multi_arch, relations_hash};
use domain::version::deb::{InvalidVersion, validate};

/// The longest name, version or architecture that is taken; a file name of the three together has 255 bytes.
pub(super) const MAX_TEXT_BYTES: usize = 255;

/// Why a stanza was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// It is no stanza.
    #[error("{0}")]
    Malformed(Damage),
    /// One of Package, Version and Architecture is missing or empty.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// Longer than 255 bytes.
    #[error("the field {0} is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong(&'static str),
    /// A character that dpkg allows in no such field, a control character for example.
    #[error("the field {0} holds a forbidden character")]
    Character(&'static str),
    /// dpkg could not read it.
    #[error("{0}")]
    Version(InvalidVersion),
    /// `SHA256` is not 64 hexadecimal digits.
    #[error("the field SHA256 is no digest")]
    Digest,
}

/// A package as its stanza has it: texts of visible ASCII, the name not yet in lower case.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) architecture: &'a [u8],
    pub(super) version: &'a [u8],
    pub(super) source: Option<&'a [u8]>,
    pub(super) source_version: Option<&'a [u8]>,
    pub(super) fingerprint: BuildFingerprint,
    pub(super) sha256: Option<Sha256Digest>,
    pub(super) phased_percent: u8,
}

#[derive(Default)]
struct Wanted<'a> {
    package: &'a [u8],
    version: &'a [u8],
    architecture: &'a [u8],
    source: &'a [u8],
    multi_arch: Option<&'a [u8]>,
    size: &'a [u8],
    sha256: Option<&'a [u8]>,
    phased: Option<&'a [u8]>,
    /// In the order in which apt hashes them.
    relations: [Option<&'a [u8]>; 6],
}

impl<'a> Wanted<'a> {
    fn pick(fields: &[Field<'a>]) -> Self {
        let mut wanted = Self::default();
        for field in fields {
            let value = field.value;
            let is = |name: &str| field.is(name);
            match (field.name.len(), field.name[0] | 0x20) {
                (4, b's') if is("Size") => wanted.size = value,
                (6, b's') if is("SHA256") => wanted.sha256 = Some(value),
                (6, b's') if is("Source") => wanted.source = value,
                (6, b'b') if is("Breaks") => wanted.relations[4] = Some(value),
                (7, b'p') if is("Package") => wanted.package = value,
                (7, b'v') if is("Version") => wanted.version = value,
                (7, b'd') if is("Depends") => wanted.relations[1] = Some(value),
                (8, b'r') if is("Replaces") => wanted.relations[5] = Some(value),
                (9, b'c') if is("Conflicts") => wanted.relations[3] = Some(value),
                (10, b'm') if is("Multi-Arch") => wanted.multi_arch = Some(value),
                (11, b'p') if is("Pre-Depends") => wanted.relations[2] = Some(value),
                (12, b'a') if is("Architecture") => wanted.architecture = value,
                (14, b'i') if is("Installed-Size") => wanted.relations[0] = Some(value),
                (24, b'p') if is("Phased-Update-Percentage") => wanted.phased = Some(value),
                _ => {}
            }
        }
        wanted
    }
}

impl<'a> Entry<'a> {
    pub(super) fn read(fields: &[Field<'a>]) -> Result<Self, SkipReason> {
        let wanted = Wanted::pick(fields);
        let name = word("Package", wanted.package, |byte| b"-+._".contains(&byte))?;
        let architecture = word("Architecture", wanted.architecture, |byte| byte == b'-')?;
        let version = graphic("Version", wanted.version)?.ok_or(SkipReason::Missing("Version"))?;
        let text = std::str::from_utf8(version).map_err(|_| SkipReason::Character("Version"))?;
        validate(text).map_err(SkipReason::Version)?;
        let (source, source_version) = split_source(wanted.source);
        Ok(Self {
            name,
            architecture,
            version,
            source: graphic("Source", source)?,
            source_version: graphic("Source", source_version)?,
            fingerprint: BuildFingerprint {
                relations: relations_hash(wanted.relations),
                multi_arch: multi_arch(wanted.architecture, wanted.multi_arch),
                size_bytes: leading_number(wanted.size).unwrap_or(0),
            },
            sha256: wanted
                .sha256
                .map(Sha256Digest::parse)
                .transpose()
                .map_err(|_| SkipReason::Digest)?,
            phased_percent: phased_percent(wanted.phased),
        })
    }
}

/// Letters, digits and what else is allowed, beginning with one of the former (dpkg's `pkg_name_is_illegal`).
fn word<'a>(field: &'static str, value: &'a [u8], also: fn(u8) -> bool) -> Result<&'a [u8], SkipReason> {
    let text = graphic(field, value)?.ok_or(SkipReason::Missing(field))?;
    let mut bytes = text.iter().copied();
    if !bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        || !bytes.all(|byte| byte.is_ascii_alphanumeric() || also(byte))
    {
        return Err(SkipReason::Character(field));
    }
    Ok(text)
}

/// A text of visible ASCII characters; none where it is empty.
fn graphic<'a>(field: &'static str, value: &'a [u8]) -> Result<Option<&'a [u8]>, SkipReason> {
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > MAX_TEXT_BYTES {
        return Err(SkipReason::TooLong(field));
    }
    match value.iter().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
        true => Ok(Some(value)),
        false => Err(SkipReason::Character(field)),
    }
}

/// `name (version)` in two; what is not there is empty. As libapt's `debRecordParser` has it, blanks and parentheses
/// part the two in whatever number.
fn split_source(value: &[u8]) -> (&[u8], &[u8]) {
    let parts = |byte: &u8| matches!(byte, b' ' | b'(' | b')');
    let Some(end) = value.iter().position(parts) else {
        return (value, b"");
    };
    let mut after = value[end..].split(parts);
    (
        &value[..end],
        after.find(|word| !word.is_empty()).unwrap_or_default(),
    )
}

/// The number at the start, as strtoull(3) reads it; none where there is no digit.
fn leading_number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(
            number
                .unwrap_or(0_u64)
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0')),
        )
    })
}

/// apt ignores a percentage above 100.
fn phased_percent(value: Option<&[u8]>) -> u8 {
    match value.and_then(leading_number) {
        Some(percent @ 0..=100) => percent as u8,
        _ => 100,
    }
}
