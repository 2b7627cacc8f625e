//! Small readings that apt's formats share: words, truth values and numbers exactly as libapt takes them.

use std::borrow::Cow;

/// C's `isspace` in the C locale.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r')
}

/// The text without C whitespace at both ends.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii() && is_space(c as u8))
}

/// Words between C whitespace.
pub(crate) fn split_spaces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii() && is_space(c as u8))
        .filter(|word| !word.is_empty())
}

/// apt's reading of a truth value; `None` where it would fall back to its default.
pub(crate) fn truth(text: &str) -> Option<bool> {
    let is = |words: [&str; 5]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match whole_number(text) {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ if is(["no", "false", "without", "off", "disable"]) => Some(false),
        _ if is(["yes", "true", "with", "on", "enable"]) => Some(true),
        _ => None,
    }
}

/// A number that is the whole text, in C's three bases; the empty text is 0, as `strtol` has it.
fn whole_number(text: &str) -> Option<i64> {
    let (number, rest) = c_number(text);
    match number {
        Some(number) if rest.is_empty() => Some(number),
        None if text.is_empty() => Some(0),
        _ => None,
    }
}

/// The number at the start of a text with C's prefixes (`strtol` with base 0) and what follows it; values beyond
/// 64 bits stop at the limit, as there.
pub(crate) fn c_number(text: &str) -> (Option<i64>, &str) {
    let trimmed = text.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let is_hex = digits
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"))
        && digits.as_bytes().get(2).is_some_and(u8::is_ascii_hexdigit);
    let (radix, digits) = match digits.as_bytes() {
        _ if is_hex => (16, &digits[2..]),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    leading_number(negative, digits, radix).map_or((None, text), |(number, rest)| (Some(number), rest))
}

/// The decimal number at the start of a text (`strtol` with base 10), 0 where there is none.
pub(crate) fn decimal(text: &str) -> i64 {
    let trimmed = text.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    leading_number(negative, digits, 10).map_or(0, |(number, _)| number)
}

fn leading_number(negative: bool, digits: &str, radix: u32) -> Option<(i64, &str)> {
    let end = digits
        .bytes()
        .position(|byte| !char::from(byte).is_digit(radix))
        .unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let magnitude = digits[..end].bytes().fold(0_i64, |number, byte| {
        let digit = char::from(byte).to_digit(radix).unwrap_or(0);
        number
            .saturating_mul(i64::from(radix))
            .saturating_add(i64::from(digit))
    });
    Some((if negative { -magnitude } else { magnitude }, &digits[end..]))
}

/// One word as apt's lists and configuration have it (`ParseQuoteWord`): quotes and brackets may hold spaces, `%41`
/// is a byte. Gives the word and what follows it and its whitespace; `None` at the end or without a closing mark.
pub(crate) fn quoted_word(text: &str) -> Option<(String, &str)> {
    let bytes = text.as_bytes();
    let mut at = bytes.iter().position(|&byte| byte != b' ')?;
    while at < bytes.len() && !is_space(bytes[at]) {
        if bytes[at] == b'"' {
            at = find(bytes, at + 1, b'"')?;
        }
        if bytes[at] == b'[' {
            at = find(bytes, at + 1, b']')?;
        }
        at += 1;
    }
    let word = unquoted(&bytes[..at]);
    let rest = bytes[at..]
        .iter()
        .position(|&byte| !is_space(byte))
        .map_or("", |skip| &text[at + skip..]);
    Some((word, rest))
}

fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    bytes
        .get(from..)?
        .iter()
        .position(|&byte| byte == wanted)
        .map(|offset| from + offset)
}

fn unquoted(mut raw: &[u8]) -> String {
    let mut word = Vec::with_capacity(raw.len());
    while let Some((&first, rest)) = raw.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        if let (b'%', [high, low, after @ ..]) = (first, rest)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            word.push((high * 16 + low) as u8);
            raw = after;
            continue;
        }
        if first != b'"' {
            word.push(first);
        }
        raw = rest;
    }
    String::from_utf8(word).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A run of strings in quotes, joined (`ParseCWord`); `None` where anything else stands among them. The whole text
/// is taken.
pub(crate) fn quoted_strings(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut at = bytes.iter().position(|&byte| byte != b' ')?;
    let mut joined = Vec::new();
    while at < bytes.len() {
        if bytes[at] == b'"' {
            let end = find(bytes, at + 1, b'"')?;
            joined.extend_from_slice(&bytes[at + 1..end]);
            at = end;
        } else if !is_space(bytes[at]) {
            return None;
        } else if at == 0 || !is_space(bytes[at - 1]) {
            joined.push(b' ');
        }
        at += 1;
    }
    Some(String::from_utf8_lossy(&joined).into_owned())
}

/// The text with what is not UTF-8 replaced. Nearly all of it is plain, which the standard library checks much faster
/// than it replaces.
pub(crate) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
