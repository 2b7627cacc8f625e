//! Debian's version order (Debian Policy Manual 5.6.12, deb-version(7)), as libapt and dpkg apply it, and what else
//! a version string says: whether dpkg would take it, and which rebuild it is.

use std::cmp::Ordering;

/// The order of two versions, equal to libapt's `debVersioningSystem::CmpVersion` for any two strings, malformed
/// ones included: what apt decides on the host has to be decided here too. For versions that [`validate`] accepts
/// it equals `dpkg --compare-versions`.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (a, b) = (Parts::cut(a.as_bytes()), Parts::cut(b.as_bytes()));
    compare_fragments(a.epoch, b.epoch)
        .then_with(|| compare_fragments(a.upstream, b.upstream))
        .then_with(|| match (a.revision, b.revision) {
            (None, None) => Ordering::Equal,
            // No revision stands for the revision 0.
            (a, b) => compare_fragments(a.unwrap_or(b"0"), b.unwrap_or(b"0")),
        })
}

/// A version string that dpkg refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersion {
    /// Nothing.
    #[error("the version is empty")]
    Empty,
    /// White space.
    #[error("the version holds a space")]
    Space,
    /// A colon with nothing before it.
    #[error("the epoch before the colon is empty")]
    EpochEmpty,
    /// An epoch that is no number.
    #[error("the epoch is not a number")]
    EpochNotANumber,
    /// An epoch below zero.
    #[error("the epoch is negative")]
    EpochNegative,
    /// An epoch above 2147483647.
    #[error("the epoch is above 2147483647")]
    EpochTooBig,
    /// A colon with nothing after it.
    #[error("nothing follows the epoch's colon")]
    NothingAfterEpoch,
    /// A hyphen at the end.
    #[error("the revision after the hyphen is empty")]
    RevisionEmpty,
    /// A hyphen at the start of the upstream version, and no other.
    #[error("the upstream version is empty")]
    UpstreamEmpty,
    /// The upstream version has to begin with a digit.
    #[error("the upstream version does not begin with a digit")]
    UpstreamWithoutDigit,
    /// Something other than letters, digits and `. - + ~ :`.
    #[error("the upstream version holds a forbidden character")]
    UpstreamCharacter,
    /// Something other than letters, digits and `. + ~`.
    #[error("the revision holds a forbidden character")]
    RevisionCharacter,
}

/// Whether dpkg would take the string for a version (its `parseversion`, strict: what dpkg only warns of when it reads
/// its own database is refused too). dpkg also takes white space around a version; here that is refused, because
/// [`compare`] knows of none.
///
/// # Errors
/// The first rule that it breaks.
pub fn validate(version: &str) -> Result<(), InvalidVersion> {
    let version = version.as_bytes();
    if version.is_empty() {
        return Err(InvalidVersion::Empty);
    }
    if version.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r')) {
        return Err(InvalidVersion::Space);
    }
    let rest = match version.iter().position(|byte| *byte == b':') {
        None => version,
        Some(colon) => {
            validate_epoch(&version[..colon])?;
            &version[colon + 1..]
        }
    };
    if rest.is_empty() {
        return Err(InvalidVersion::NothingAfterEpoch);
    }
    let (upstream, revision) = match rest.iter().rposition(|byte| *byte == b'-') {
        None => (rest, None),
        Some(hyphen) => (&rest[..hyphen], Some(&rest[hyphen + 1..])),
    };
    if revision.is_some_and(<[u8]>::is_empty) {
        return Err(InvalidVersion::RevisionEmpty);
    }
    match upstream.first() {
        None => return Err(InvalidVersion::UpstreamEmpty),
        Some(first) if !first.is_ascii_digit() => return Err(InvalidVersion::UpstreamWithoutDigit),
        Some(_) => {}
    }
    if !upstream
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-+~:".contains(byte))
    {
        return Err(InvalidVersion::UpstreamCharacter);
    }
    if !revision
        .unwrap_or_default()
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(byte))
    {
        return Err(InvalidVersion::RevisionCharacter);
    }
    Ok(())
}

/// dpkg reads the epoch with strtol(3), to which a sign belongs.
fn validate_epoch(epoch: &[u8]) -> Result<(), InvalidVersion> {
    let (negative, digits) = match epoch {
        [] => return Err(InvalidVersion::EpochEmpty),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidVersion::EpochNotANumber);
    }
    let value = digits.iter().fold(0_u64, |value, digit| {
        value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    });
    match value {
        0 => Ok(()),
        _ if negative => Err(InvalidVersion::EpochNegative),
        1..=0x7fff_ffff => Ok(()),
        _ => Err(InvalidVersion::EpochTooBig),
    }
}

/// A version without and with its binary-rebuild suffix: `1.2-3+b1` is (`1.2-3`, `+b1`); without one the second is
/// empty. A rebuild is `+b` and a number at the very end, as Debian's build daemons write it.
pub fn split_rebuild(version: &str) -> (&str, &str) {
    let base = version.trim_end_matches(|last: char| last.is_ascii_digit());
    match base.strip_suffix("+b") {
        Some(base) if !version.ends_with("+b") && !base.is_empty() => version.split_at(base.len()),
        _ => (version, ""),
    }
}

/// A version as libapt cuts it.
struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    #[inline]
    fn cut(version: &'a [u8]) -> Self {
        let (epoch, rest) = match memchr::memchr(b':', version) {
            // libapt takes a colon at the very start for part of the upstream version.
            None | Some(0) => (&version[..0], version),
            Some(colon) => {
                let zeros = version[..colon].iter().take_while(|byte| **byte == b'0').count();
                (&version[zeros..colon], &version[colon + 1..])
            }
        };
        match rest.iter().rposition(|byte| *byte == b'-') {
            None => Self {
                epoch,
                upstream: rest,
                revision: None,
            },
            // A hyphen with nothing before it ends the upstream version and begins no revision.
            Some(0) => Self {
                epoch,
                upstream: &rest[..0],
                revision: None,
            },
            Some(hyphen) => Self {
                epoch,
                upstream: &rest[..hyphen],
                revision: Some(&rest[hyphen + 1..]),
            },
        }
    }
}

/// Compares by turns what is no number and what is one. Equal fragments leave nothing on either side.
#[inline]
fn compare_fragments(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (Some(first_a), Some(first_b)) = (a.first(), b.first()) {
        if !(first_a.is_ascii_digit() && first_b.is_ascii_digit()) {
            match weight(*first_a).cmp(&weight(*first_b)) {
                Ordering::Equal => (a, b) = (&a[1..], &b[1..]),
                unequal => return unequal,
            }
            if !a.is_empty() && !b.is_empty() {
                continue;
            }
        }
        let number_a;
        let number_b;
        (number_a, a) = cut_number(a);
        (number_b, b) = cut_number(b);
        match number_a
            .len()
            .cmp(&number_b.len())
            .then_with(|| number_a.cmp(number_b))
        {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    match (a.first(), b.first()) {
        (None, None) => Ordering::Equal,
        (Some(b'~'), _) => Ordering::Less,
        (Some(_), _) => Ordering::Greater,
        (None, Some(b'~')) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
    }
}

/// The number at the start, without leading zeros, and what follows it.
#[inline]
fn cut_number(text: &[u8]) -> (&[u8], &[u8]) {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let text = &text[zeros..];
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(digits)
}

/// The place of one character: the tilde first, then the end and digits, letters, bytes outside ASCII (a C `char` is
/// signed where libapt's order was taken from), and at last all other characters.
#[inline]
fn weight(byte: u8) -> i16 {
    match byte {
        b'~' => -1,
        0 | b'0'..=b'9' => 0,
        b'a'..=b'z' | b'A'..=b'Z' => i16::from(byte),
        0x80.. => i16::from(byte),
        _ => i16::from(byte) + 256,
    }
}
