//! Words and figures as a terminal shows them: foreign text made harmless, numbers and spans made readable, colour
//! only where it is wanted.

use crate::args::Colour;
use std::borrow::Cow;
use std::io::IsTerminal;

/// Foreign text with every character that could steer a terminal, reorder a line or hide shown as an escape.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| {
        if is_unsafe(c) {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// ASCII that shows as itself; nearly all there is, and seen much faster than characters are.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// JSON with every character escaped that could steer a terminal: outside of strings JSON has none.
pub fn shown_json(json: String) -> String {
    if json.bytes().all(|byte| byte == b'\n' || is_plain(byte)) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            c.encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// `1212` as `1,212`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 package`, `3 packages`.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A span in the largest unit that fits: `42 s`, `5 min`, `3 h`, `12 days`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colour: bool,
    /// `→` and `·`, or `->` and `-` where the locale is not UTF-8.
    pub arrow: &'static str,
    /// Between the facts of a line.
    pub dot: &'static str,
}

impl Style {
    /// The style for standard output, from the option, the terminal and the environment.
    pub fn new(colour: Colour, variable: impl Fn(&str) -> Option<String>) -> Self {
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                std::io::stdout().is_terminal()
                    && variable("NO_COLOR").is_none_or(|value| value.is_empty())
                    && variable("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|v| !v.is_empty()));
        let is_utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_uppercase();
            locale.contains("UTF-8") || locale.contains("UTF8")
        });
        let (arrow, dot) = if is_utf8 { ("→", "·") } else { ("->", "-") };
        Self { colour, arrow, dot }
    }

    /// For what needs action first.
    pub fn alarm(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// For what deserves a second look.
    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For headings.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// For what may be skipped.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// For good news.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(shown("evil\x1b[2Jname"), "evil\\u{1b}[2Jname");
        assert_eq!(shown("a\u{202e}b\u{9b}c\r\n"), "a\\u{202e}b\\u{9b}c\\u{d}\\u{a}");
        assert_eq!(shown("Zürich 東京"), "Zürich 東京");
    }

    #[test]
    fn json_keeps_its_meaning_when_it_is_made_harmless() {
        let text = "a\u{202e}b\u{9b}c\u{e0001}d\n\u{1b}";
        let json = serde_json::to_string_pretty(&[text]).expect("a text is JSON");
        let harmless = shown_json(json);
        assert!(
            !harmless.chars().any(|c| c != '\n' && is_unsafe(c)),
            "{harmless:?}"
        );
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&harmless).expect("still JSON"),
            [text]
        );
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(counted(1, "package"), "1 package");
        assert_eq!(age(10_900), "3 h");
        assert_eq!(age(86_400 * 40), "40 days");
    }

    #[test]
    fn a_locale_without_utf8_gets_plain_arrows() {
        let style = |locale: &'static str| {
            Style::new(Colour::Never, move |name| {
                (name == "LC_ALL").then(|| locale.to_owned())
            })
        };
        assert_eq!(style("C").arrow, "->");
        assert_eq!(style("C.UTF-8").arrow, "→");
    }
}
