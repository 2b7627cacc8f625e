//! What can be done to a file around a good signature: flipped bits, text in the wrong places, blanks, line ends,
//! dashes, headers. Among them the attacks on apt that have a name.

use super::Expected::{Accepted, NeverMore, Refused};
use super::{Case, KEY, STRANGER, TEXT, good, inline_file};
use testkit::keys::clear_signed;
use testkit::keys::packets::{armor, packet};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::inline("as it was signed", KEY.sign_inline(TEXT), Accepted),
        Case::detached(
            "detached as it was signed",
            TEXT,
            KEY.sign_detached(TEXT),
            Accepted,
        ),
    ];
    cases.extend(flipped_bits());
    cases.extend(truncations());
    cases.extend(around());
    cases.extend(lines());
    cases.extend(headers());
    cases.extend(armors());
    cases.extend(detached());
    cases.extend(named_attacks());
    cases
}

fn flipped_bits() -> Vec<Case> {
    let file = KEY.sign_inline(TEXT);
    let mut cases = Vec::new();
    for (number, place) in (0..file.len()).step_by(7).enumerate() {
        let mut changed = file.clone();
        changed[place] ^= 1 << (number % 8);
        cases.push(Case::inline(
            format!("bit {} of byte {place} flipped", number % 8),
            changed,
            NeverMore,
        ));
    }
    cases
}

fn truncations() -> Vec<Case> {
    let file = KEY.sign_inline(TEXT);
    let cut = |length: usize| {
        Case::inline(
            format!("cut to {length} bytes"),
            file[..length].to_vec(),
            NeverMore,
        )
    };
    let mut cases: Vec<_> = (0..file.len() - 1).step_by(53).map(cut).collect();
    cases.push(Case::inline(
        "without its last newline",
        file[..file.len() - 1].to_vec(),
        Accepted,
    ));
    cases
}

fn around() -> Vec<Case> {
    let file = KEY.sign_inline(TEXT);
    let other = STRANGER.sign_inline(TEXT);
    let with = |before: &[u8], after: &[u8]| [before, &file, after].concat();
    let refused = |name: &str, file| Case::inline(name, file, Refused);
    vec![
        refused("a newline before", with(b"\n", b"")),
        refused("a space before", with(b" ", b"")),
        refused("a field before", with(b"Origin: Evil\n", b"")),
        refused("a paragraph before", with(b"Origin: Evil\n\n", b"")),
        refused("a byte order mark before", with(b"\xef\xbb\xbf", b"")),
        refused("a NUL before", with(b"\0", b"")),
        refused("a newline after", with(b"", b"\n")),
        refused("a field after", with(b"", b"Origin: Evil\n")),
        refused("a NUL after", with(b"", b"\0")),
        refused("two blocks", with(b"", &file)),
        refused("a stranger's block after", with(b"", &other)),
        refused("a stranger's block before", with(&other, b"")),
        refused(
            "a second signature block",
            with(b"", armor("SIGNATURE", &good(&STRANGER)).as_bytes()),
        ),
        refused("a key block after", with(b"", KEY.armored().as_bytes())),
        refused(
            "a block inside a block",
            clear_signed("SHA256", &file, &armor("SIGNATURE", &good(&KEY))),
        ),
        refused("nothing", Vec::new()),
        refused(
            "a page of a portal",
            b"<html><body>Please log in</body></html>\n".to_vec(),
        ),
        refused("the text alone", TEXT.to_vec()),
    ]
}

/// The file with one replacement.
fn replaced(from: &str, to: &str) -> Vec<u8> {
    let file = String::from_utf8(KEY.sign_inline(TEXT)).unwrap();
    assert!(file.contains(from), "{from:?} stands in the file");
    file.replacen(from, to, 1).into_bytes()
}

fn lines() -> Vec<Case> {
    let inline =
        |name: &str, from: &str, to: &str, expected| Case::inline(name, replaced(from, to), expected);
    let crlf = String::from_utf8(KEY.sign_inline(TEXT))
        .unwrap()
        .replace('\n', "\r\n")
        .into_bytes();
    let long = |count: usize| [&b"Description: "[..], &vec![b'x'; count], b"\n"].concat();
    let mut cases = vec![
        Case::inline("CR LF everywhere", crlf, NeverMore),
        inline("CR LF in one line", "stable\n", "stable\r\n", NeverMore),
        inline("CR inside a line", "Suite: sta", "Suite: \rsta", Refused),
        inline("two CR", "stable\n", "stable\r\r\n", Refused),
        inline(
            "blanks at the end of a line",
            "stable\n",
            "stable \t \n",
            Accepted,
        ),
        inline(
            "a form feed at the end of a line",
            "stable\n",
            "stable\x0c\n",
            Refused,
        ),
        inline(
            "an escaped dash that needs none",
            "Suite: ",
            "- Suite: ",
            Accepted,
        ),
        inline("a dash without escape", "Suite: ", "-Suite: ", Refused),
        inline("a dash and a tab", "Suite: ", "-\tSuite: ", Refused),
        inline(
            "an escape of nothing",
            "Suite: stable\n",
            "Suite: stable\n- \n",
            Refused,
        ),
        inline(
            "an empty line more",
            "Suite: stable\n",
            "Suite: stable\n\n",
            Refused,
        ),
        inline(
            "an empty line at the end",
            "\n-----BEGIN PGP SIGNATURE",
            "\n\n-----BEGIN PGP SIGNATURE",
            Refused,
        ),
        inline("a NUL in a line", "Suite: ", "Suite: \0", Refused),
        inline("a line less", "Suite: stable\n", "", Refused),
        inline("two lines joined", "stable\n", "stable", Refused),
    ];
    for text in [
        &b""[..],
        b"\n",
        b"\n\n",
        b"- \n",
        b"-\n",
        b"--- a\n- b\n",
        b"From me\n",
        b"a \nb\t\n",
        b"a",
        b"\xff\xfe\n",
    ] {
        cases.push(Case::inline(
            format!("the text {:?}", text.escape_ascii().to_string()),
            KEY.sign_inline(text),
            NeverMore,
        ));
    }
    for count in [1000, 9000, 16_371, 16_372, 19_990, 20_100, 40_000] {
        cases.push(Case::inline(
            format!("a line of {count} letters"),
            KEY.sign_inline(&long(count)),
            NeverMore,
        ));
    }
    cases.push(Case::inline(
        "half a mebibyte",
        KEY.sign_inline(&b"a: b\n".repeat(100_000)),
        Accepted,
    ));
    cases.push(Case::inline(
        "over a mebibyte",
        KEY.sign_inline(&b"a: b\n".repeat(220_000)),
        Refused,
    ));
    cases
}

fn headers() -> Vec<Case> {
    let header =
        |name: &str, lines: &str, expected| Case::inline(name, replaced("Hash: SHA256\n", lines), expected);
    vec![
        header("no header", "", Refused),
        header("two Hash headers", "Hash: SHA256\nHash: SHA512\n", Accepted),
        header("an unknown digest", "Hash: SHA257\n", Refused),
        header("an empty Hash", "Hash: \n", Refused),
        header("Hash without a space", "Hash:SHA256\n", Refused),
        header("hash in small letters", "hash: SHA256\n", Refused),
        header("a digest in small letters", "Hash: sha256\n", Refused),
        header("Hash continued", "Hash: SHA256\n SHA512\n", Refused),
        header("a space before Hash", " Hash: SHA256\n", Refused),
        header("a Comment", "Hash: SHA256\nComment: x\n", Refused),
        header("a Version", "Version: x\nHash: SHA256\n", Refused),
        header("NotDashEscaped", "Hash: SHA256\nNotDashEscaped: yes\n", Refused),
        header(
            "a field of the release as a header",
            "Hash: SHA256\nOrigin: Evil\n",
            Refused,
        ),
        header("a blank header line", "Hash: SHA256\n \n", Refused),
        header("a dash header", "Hash: SHA256\n-----\n", Refused),
    ]
}

fn armors() -> Vec<Case> {
    let begin = "-----BEGIN PGP SIGNATURE-----\n\n";
    let file = |to: &str| replaced(begin, &format!("-----BEGIN PGP SIGNATURE-----\n{to}"));
    let whole = String::from_utf8(KEY.sign_inline(TEXT)).unwrap();
    let checksum = whole
        .lines()
        .find(|line| line.starts_with('='))
        .unwrap()
        .to_owned();
    vec![
        Case::inline("armour with Version", file("Version: GnuPG v2\n\n"), Accepted),
        Case::inline("armour with Comment", file("Comment: x\n\n"), Accepted),
        Case::inline("armour with an unknown header", file("Evil: x\n\n"), Refused),
        Case::inline("armour with a header without colon", file("Evil\n\n"), Refused),
        Case::inline("armour without its blank line", file(""), Refused),
        Case::inline("armour with a blank of spaces", file("  \n"), NeverMore),
        Case::inline(
            "armour without checksum",
            replaced(&format!("{checksum}\n"), ""),
            NeverMore,
        ),
        Case::inline(
            "armour with a wrong checksum",
            replaced(&checksum, "=AAAA"),
            Refused,
        ),
        Case::inline(
            "armour with two checksums",
            replaced(&checksum, &format!("{checksum}\n{checksum}")),
            Refused,
        ),
        Case::inline(
            "armour with a short checksum",
            replaced(&checksum, "=AA"),
            Refused,
        ),
        Case::inline("armour with a line of dashes", file("\n-----\n"), Refused),
        Case::inline("armour with text", file("\nOrigin: Evil\n"), Refused),
        Case::inline(
            "armour with a blank line inside",
            replaced(&checksum, &format!("\n{checksum}")),
            NeverMore,
        ),
        Case::inline(
            "armour of another kind",
            replaced("BEGIN PGP SIGNATURE", "BEGIN PGP MESSAGE"),
            Refused,
        ),
        Case::inline(
            "armour with another end",
            replaced("END PGP SIGNATURE", "END PGP MESSAGE"),
            Refused,
        ),
        Case::inline(
            "an empty armour",
            clear_signed("SHA256", TEXT, &armor("SIGNATURE", b"")),
            Refused,
        ),
    ]
}

fn detached() -> Vec<Case> {
    let signature = KEY.sign_detached(TEXT);
    let case = |name: &str, release: &[u8], signature: Vec<u8>, expected| {
        Case::detached(format!("detached, {name}"), release, signature, expected)
    };
    let crlf = String::from_utf8(TEXT.to_vec())
        .unwrap()
        .replace('\n', "\r\n")
        .into_bytes();
    vec![
        case("another text", b"Origin: Evil\n", signature.clone(), Refused),
        case(
            "a newline more",
            &[TEXT, b"\n"].concat(),
            signature.clone(),
            Refused,
        ),
        case(
            "a newline less",
            &TEXT[..TEXT.len() - 1],
            signature.clone(),
            Refused,
        ),
        case("CR LF", &crlf, signature.clone(), Refused),
        case("an empty release", b"", signature.clone(), Refused),
        case(
            "an empty release that was signed",
            b"",
            KEY.sign_detached(b""),
            NeverMore,
        ),
        case(
            "a release of zeros and ones",
            b"\0\x01\r\n\xff",
            KEY.sign_detached(b"\0\x01\r\n\xff"),
            NeverMore,
        ),
        case("an empty signature", TEXT, Vec::new(), Refused),
        case("text before", TEXT, [b"x\n", &signature[..]].concat(), Refused),
        case("text after", TEXT, [&signature[..], b"x\n"].concat(), Refused),
        case("two blocks", TEXT, signature.repeat(2), Refused),
        case("a binary signature", TEXT, good(&KEY), Refused),
        case(
            "an inline file as signature",
            TEXT,
            KEY.sign_inline(TEXT),
            Refused,
        ),
        case(
            "an inline signature",
            TEXT,
            armor("SIGNATURE", &good(&KEY)).into_bytes(),
            NeverMore,
        ),
        case("a stranger's", TEXT, STRANGER.sign_detached(TEXT), Refused),
        case("cut", TEXT, signature[..signature.len() / 2].to_vec(), Refused),
    ]
}

/// What was found in apt and given a number.
fn named_attacks() -> Vec<Case> {
    let signature = armor("SIGNATURE", &good(&KEY));
    let signed = String::from_utf8(KEY.sign_inline(TEXT)).unwrap();
    let evil = "Origin: Evil\nSHA256:\n 0000 0 Packages\n";
    let message = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
    let padding = "x".repeat(20_500);
    let refused = |name: &str, file: String| Case::inline(name, file.into_bytes(), Refused);
    let literal = [&[b'b', 0, 0, 0, 0, 0][..], evil.as_bytes()].concat();
    vec![
        refused(
            "CVE-2013-1051: unsigned text in front of the signed message",
            format!("{evil}\n{signed}"),
        ),
        refused(
            "CVE-2013-1051: unsigned text behind the signature",
            format!("{signed}\n{evil}"),
        ),
        refused(
            "CVE-2013-1051: two messages, one of them signed",
            format!("{message}{evil}\n{signed}"),
        ),
        refused(
            "CVE-2016-1252: a long line hides an error",
            signed.replacen("Suite", &format!("X: {padding}\nSuite"), 1),
        ),
        refused(
            "CVE-2016-1252: a long header line",
            signed.replacen("SHA256\n", &format!("SHA256{}\n", " ".repeat(20_500)), 1),
        ),
        refused(
            "CVE-2016-1252: a long line of the armour",
            signed.replacen("\n=", &format!("\n{padding}\n="), 1),
        ),
        refused(
            "CVE-2018-0501: text without a signature after a redirect",
            format!("{message}{evil}"),
        ),
        refused(
            "CVE-2018-0501: an unsigned release where a signed one was expected",
            evil.to_owned(),
        ),
        refused(
            "CVE-2018-0501: a message that ends in an empty signature",
            format!("{message}{evil}{}", armor("SIGNATURE", b"")),
        ),
        refused(
            "CVE-2019-3462: a method's answer in front of the file",
            format!("201 URI Done\nFilename: /tmp/evil\nSHA256-Hash: 0000\n\n{signed}"),
        ),
        refused(
            "CVE-2019-3462: a method's answer among the headers",
            signed.replacen(
                "Hash: SHA256\n",
                "Hash: SHA256\nFilename: /tmp/evil\nSigned-By: /tmp/evil.gpg\n",
                1,
            ),
        ),
        Case::detached(
            "CVE-2019-3462: a method's answer in front of Release.gpg",
            TEXT,
            format!("201 URI Done\nFilename: /tmp/evil\n\n{signature}").into_bytes(),
            Refused,
        ),
        Case::detached(
            "CVE-2019-3462: a method's answer as an armour header of Release.gpg",
            TEXT,
            signature
                .replacen("-----\n\n", "-----\nFilename: /tmp/evil\n\n", 1)
                .into_bytes(),
            Refused,
        ),
        Case::inline(
            "a literal text inside the signature block",
            inline_file("SHA256", &[packet(11, &literal), good(&KEY)].concat()),
            Refused,
        ),
    ]
}
