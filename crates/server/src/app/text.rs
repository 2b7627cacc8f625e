//! Texts that people give to things: names, notes, tags. They are checked once, at the door; what may be in them can be
//! shown anywhere on one line.

use super::refusal::Refusal;
use domain::text::is_steering;

/// Most characters of a name.
pub const LONGEST_NAME: usize = 64;
/// Most characters of a note.
pub const LONGEST_NOTE: usize = 1000;

/// A name of 1 to [`LONGEST_NAME`] characters without control or direction characters and without spaces at its ends.
///
/// # Errors
/// The refusal that names the field.
pub fn name(field: &'static str, text: &str) -> Result<String, Refusal> {
    let length = text.chars().take(LONGEST_NAME + 1).count();
    if !(1..=LONGEST_NAME).contains(&length) || text.trim() != text {
        let detail = format!("a name has 1 to {LONGEST_NAME} characters and no space at its ends");
        return Err(Refusal::invalid(field, detail));
    }
    harmless(field, text)
}

/// A note of at most [`LONGEST_NOTE`] characters, empty allowed, on one line.
///
/// # Errors
/// The refusal that names the field.
pub fn note(field: &'static str, text: &str) -> Result<String, Refusal> {
    if text.chars().take(LONGEST_NOTE + 1).count() > LONGEST_NOTE {
        return Err(Refusal::invalid(
            field,
            format!("a note has at most {LONGEST_NOTE} characters"),
        ));
    }
    harmless(field, text)
}

/// A tag: 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.`, `=` and `:`.
///
/// # Errors
/// The refusal that names the field.
pub fn tag(field: &'static str, text: &str) -> Result<String, Refusal> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.=:".contains(&byte);
    if (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Refusal::invalid(
        field,
        "a tag has 1 to 64 characters out of a-z, 0-9 and -_.=:",
    ))
}

fn harmless(field: &'static str, text: &str) -> Result<String, Refusal> {
    match text.chars().find(|&character| is_steering(character)) {
        None => Ok(text.to_owned()),
        Some(bad) => {
            let detail = format!("U+{:04X} is not allowed in it", u32::from(bad));
            Err(Refusal::invalid(field, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_fits_on_a_line() {
        for good in [
            "main",
            "Zürich, Haus 2",
            "東京",
            "a",
            &"x".repeat(64),
            "<b>",
            "=1+1",
            "O'Neill",
        ] {
            assert_eq!(name("/name", good).expect("a good name"), good);
        }
        let bad = [
            "",
            " ",
            "a ",
            " a",
            &"x".repeat(65),
            "a\nb",
            "a\u{202e}b",
            "a\0",
            "\u{feff}a",
            "a\u{e0041}",
            "a\u{200b}b",
        ];
        for bad in bad {
            assert!(name("/name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_tag_is_plain() {
        assert!(tag("/tags/0", "role=web").is_ok());
        for bad in ["", "Web", "a b", "ä", &"a".repeat(65), "a,b"] {
            assert!(tag("/tags/0", bad).is_err(), "{bad:?}");
        }
    }
}
