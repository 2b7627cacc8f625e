//! Foreign text made harmless before a person sees it: nothing in it can steer a terminal, reorder a line or hide.

use domain::text::is_steering;

/// Foreign text, at most this many characters of it, on one line, with every character that could steer a terminal or reorder
/// a line as an escape.
pub fn harmless(text: &str, limit_chars: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(limit_chars) {
        if is_steering(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(limit_chars).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn foreign_text_cannot_steer_the_terminal_or_fill_the_screen() {
        assert_eq!(harmless("a\x1b[2Jb\u{202e}c", 100), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(harmless("Zürich", 100), "Zürich");
        assert_eq!(harmless("abcdef", 3), "abc…");
    }
}
