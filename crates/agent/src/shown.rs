//! Foreign text made harmless before a person sees it: nothing in it can steer a terminal, reorder a line or hide.

/// Foreign text, at most this many characters of it, on one line, with every character that could steer a terminal or reorder
/// a line as an escape.
pub fn harmless(text: &str, limit_chars: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(limit_chars) {
        if is_unsafe(character) {
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

/// Controls, and the formatting characters that reorder or hide (Unicode Technical Report 36, section 2.5).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
