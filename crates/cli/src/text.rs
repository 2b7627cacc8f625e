//! Words and figures as a terminal shows them: foreign text made harmless, numbers and spans made readable, colour
//! only where it is wanted.

use crate::args::Colour;
use domain::text::is_steering;
use std::borrow::Cow;
use std::io::IsTerminal;
use unicode_width::UnicodeWidthChar;

/// So many marks may stand on one letter; more of them pile up over the lines around it.
const MARKS_ON_A_LETTER: usize = 4;

/// Foreign text with every character that could steer a terminal, reorder a line, hide or pile up shown as an escape.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        if is_steering(c) || marks > MARKS_ON_A_LETTER {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    match out == text {
        true => Cow::Borrowed(text),
        false => Cow::Owned(out),
    }
}

/// ASCII that shows as itself; nearly all there is, and seen much faster than characters are.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// How many columns of a terminal a text takes (Unicode Standard Annex 11). It holds nothing that steers: see [`shown`].
pub fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.chars().map(|c| c.width().unwrap_or(0)).sum(),
    }
}

/// The text, or its beginning and a mark where it takes more than `columns`.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut room = columns.saturating_sub(1);
    let kept = text.chars().take_while(|c| {
        let fits = c.width().unwrap_or(0) <= room;
        room = room.saturating_sub(c.width().unwrap_or(0));
        fits
    });
    Cow::Owned(kept.chain(['…']).collect())
}

/// The text with spaces behind it up to this many columns.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// An error and its causes in one line as a person sees them: what they quote is foreign.
pub fn refusal(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| shown(&cause.to_string()).into_owned());
    causes.collect::<Vec<_>>().join(": ")
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
    /// How many columns a line may take; nothing where no person reads it, and lines may get as long as they are.
    pub columns: Option<usize>,
}

/// No terminal is taken for narrower.
const NARROWEST: usize = 40;

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
        let said = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let columns = said
            .or_else(terminal_columns)
            .map(|columns| columns.max(NARROWEST));
        Self {
            colour,
            arrow,
            dot,
            columns,
        }
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

/// The width of the terminal that standard output is.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
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
    fn marks_do_not_pile_up_over_the_lines_around() {
        assert_eq!(shown("e\u{301}"), "e\u{301}");
        let piled = "Z".to_owned() + &"\u{334}".repeat(500);
        assert_eq!(shown(&piled).chars().filter(|&c| c == '\u{334}').count(), 4);
    }

    #[test]
    fn what_is_cut_keeps_its_promised_width() {
        assert_eq!(cut("東京都庁", 5), "東京…");
        assert_eq!(cut("東京都庁", 4), "東…");
        assert_eq!(cut("東京", 4), "東京");
        assert_eq!(padded("東京", 6), "東京  ");
        assert_eq!(width("e\u{301}"), 1);
    }

    #[test]
    fn what_perl_says_a_renderer_may_leave_out_is_escaped() {
        // Perl carries Unicode's own tables (DerivedCoreProperties.txt and others).
        const PROGRAM: &str = r"for my $c (0..0xd7ff, 0xe000..0x10ffff) {
            print qq($c\n) if chr($c) =~ /\p{Default_Ignorable_Code_Point}|\p{Bidi_Control}|\p{Zl}|\p{Zp}|\p{Cc}/ }";
        let output = std::process::Command::new("perl").args(["-e", PROGRAM]).output();
        let Some(output) = output.ok().filter(|output| output.status.success()) else {
            testkit::skip::skip(&"perl with Unicode's tables is not here");
            return;
        };
        let numbers = String::from_utf8(output.stdout).expect("numbers");
        let hidden: Vec<char> = numbers
            .lines()
            .filter_map(|line| char::from_u32(line.parse().ok()?))
            .collect();
        assert!(hidden.len() > 4000, "{} characters", hidden.len());
        let shown: Vec<&char> = hidden.iter().filter(|c| !is_steering(**c)).collect();
        assert!(shown.is_empty(), "{shown:?}");
    }

    #[test]
    fn a_text_takes_the_columns_that_the_systems_own_library_says() {
        // glibc's wcswidth, which nobody here wrote.
        const PROGRAM: &str = "import ctypes, locale, sys\n\
            locale.setlocale(locale.LC_ALL, 'C.UTF-8')\n\
            for text in sys.argv[1:]: print(ctypes.CDLL(None).wcswidth(ctypes.c_wchar_p(text), ctypes.c_size_t(len(text))))";
        let texts = [
            "web3",
            "Zürich",
            "e\u{301}",
            "東京都庁",
            "ｆｕｌｌ",
            "Ελλάδα",
            "дом",
            "한국",
            "🏠 home",
            "½ €",
            "นี้",
            "ﬃ",
        ];
        let output = std::process::Command::new("python3")
            .args(["-c", PROGRAM])
            .args(texts)
            .output();
        let Ok(output) = output else {
            testkit::skip::skip(&"python3 is not here");
            return;
        };
        let theirs = String::from_utf8(output.stdout).expect("numbers");
        let ours: Vec<String> = texts.iter().map(|text| width(text).to_string()).collect();
        assert_eq!(theirs.lines().collect::<Vec<_>>(), ours);
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
