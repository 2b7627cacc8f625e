//! Which characters of foreign text must not be shown as they are, be it in a terminal, on a page or in a log, and what is
//! shown in their place.

use std::borrow::Cow;

/// Whether a character can steer what shows it, reorder or end a line, or hide: control characters, the marks of Unicode's
/// bidirectional algorithm, line and paragraph separators, everything that Unicode lets a renderer leave out
/// (`Default_Ignorable_Code_Point` of DerivedCoreProperties.txt), noncharacters and private use.
pub fn is_steering(character: char) -> bool {
    if character < '\u{a0}' {
        return character.is_control();
    }
    let code = u32::from(character);
    matches!(
        code,
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
    ) || matches!(code, 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164)
        || matches!(code, 0xE000..=0xF8FF | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB)
        || matches!(code, 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A)
        || code & 0xFFFE == 0xFFFE
        || code >= 0xE0000
}

/// ASCII that shows as itself; nearly all there is, and seen much faster than characters are.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// The text with every character that [`is_steering`] as an escape such as `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) || !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_steering(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// JSON of the same meaning with every such character as JSON's own escape (RFC 8259, section 7), but for the ends of lines,
/// which stand between its parts: outside of texts JSON has no other.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let is_meant = |c: char| c != '\n' && is_steering(c);
    let is_harmless = |byte: u8| byte == b'\n' || is_plain(byte);
    if json.bytes().all(is_harmless) || !json.chars().any(is_meant) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_meant(c) {
            true => {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                out.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_shown_as_its_number() {
        assert_eq!(
            escaped("a\u{1b}[2J\u{202e}b\r\n"),
            "a\\u{1b}[2J\\u{202e}b\\u{d}\\u{a}"
        );
        assert_eq!(
            escaped_json("[\n \"a\u{9b}\u{e0001}\"\n]"),
            "[\n \"a\\u009b\\udb40\\udc01\"\n]"
        );
        assert!(matches!(escaped("Zürich 東京"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in [
            "web-3.example",
            "Zürich, Haus 2",
            "東京",
            "Ελλάδα",
            "<b>",
            "e\u{301}",
            "½ €",
        ] {
            assert!(!text.chars().any(is_steering), "{text:?}");
        }
    }
}
