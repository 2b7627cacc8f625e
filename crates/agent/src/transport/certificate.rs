//! Whose certificate was it? Reads the names of an X.509 certificate (RFC 5280, section 4.1) for a sentence to a person; it
//! decides nothing, and gives up on whatever it does not understand.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The object identifiers of a common name and of an organisation (2.5.4.3 and 2.5.4.10, RFC 5280 appendix A.1).
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANISATION: [u8; 3] = [0x55, 0x04, 0x0a];
/// The longest name that is shown, in characters.
const SHOWN_CHARS: usize = 80;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// UTF8String, PrintableString, T61String and IA5String.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];

/// The names in a certificate that was refused. Hostile text: control characters are gone, lengths are bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenCertificate {
    /// For whom it was issued.
    pub subject: Option<String>,
    /// Who issued it.
    pub issuer: Option<String>,
}

impl SeenCertificate {
    /// Reads a certificate in DER; what cannot be read stays empty.
    pub fn of(der: &[u8]) -> Self {
        names(der).unwrap_or_default()
    }
}

/// From when until when a certificate in DER counts; nothing if it cannot be read.
pub fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let times = Fields::of(der)?.validity;
    let (tag, from, rest) = any(times)?;
    let from = time(tag, from)?;
    let (tag, until, _) = any(rest)?;
    Some((from, time(tag, until)?))
}

/// The fields of a certificate that are of interest here.
struct Fields<'a> {
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if rest.first() == Some(&EXPLICIT_VERSION) {
            rest = any(rest)?.2;
        }
        let after_serial = any(rest)?.2;
        let after_algorithm = any(after_serial)?.2;
        let (issuer, after_issuer) = element(after_algorithm, SEQUENCE)?;
        let (validity, after_validity) = element(after_issuer, SEQUENCE)?;
        let (subject, _) = element(after_validity, SEQUENCE)?;
        Some(Self {
            issuer,
            validity,
            subject,
        })
    }
}

fn names(der: &[u8]) -> Option<SeenCertificate> {
    let fields = Fields::of(der)?;
    Some(SeenCertificate {
        subject: name(fields.subject),
        issuer: name(fields.issuer),
    })
}

/// A time as RFC 5280 (section 4.1.2.5) has it: `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` after.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        UTC_TIME => {
            let year: u32 = text.get(..2)?.parse().ok()?;
            format!("{}{text}", if year < 50 { "20" } else { "19" })
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
}

/// A name's common name, or its organisation.
fn name(mut sets: &[u8]) -> Option<String> {
    let mut organisation = None;
    while !sets.is_empty() {
        let (set, rest) = element(sets, SET)?;
        sets = rest;
        let (pair, _) = element(set, SEQUENCE)?;
        let (kind, value) = element(pair, OBJECT_IDENTIFIER)?;
        let (tag, text, _) = any(value)?;
        let text = TEXTS.contains(&tag).then(|| shown(text));
        if kind == COMMON_NAME {
            return text;
        }
        if kind == ORGANISATION {
            organisation = text;
        }
    }
    organisation
}

fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    crate::shown::harmless(&text, SHOWN_CHARS)
}

/// The content of an element that must have this tag, and what follows it.
fn element(der: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any(der)?;
    (tag == expected).then_some((content, rest))
}

/// Tag, content and rest (X.690, section 8.1; definite lengths of at most four bytes).
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
