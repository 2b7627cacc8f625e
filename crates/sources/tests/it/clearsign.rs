//! Taking clear-signed files apart: what the text is, and what is no such file, by name. That GnuPG reads the same text
//! is shown in [`super::openpgp`].

use sources::apt::clearsign::{ClearSignError, DigestName, MAX_INRELEASE_BYTES, MAX_LINE_BYTES, split};

const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";

fn file(text: &str) -> String {
    format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256, SHA512\n\n{text}{SIGNATURE}")
}

fn refusal(file: &str) -> ClearSignError {
    split(file.as_bytes()).unwrap_err()
}

#[test]
fn the_text_loses_escapes_blanks_and_its_last_newline() {
    let file = file("Origin: x \t\n- - dash\n- plain\r\n\nend\n");
    let signed = split(file.as_bytes()).unwrap();
    assert_eq!(signed.text(), b"Origin: x\n- dash\nplain\n\nend");
    assert_eq!(signed.canonical(), b"Origin: x\r\n- dash\r\nplain\r\n\r\nend");
    assert_eq!(signed.digests(), [DigestName::Sha256, DigestName::Sha512]);
    assert_eq!(signed.signature(), SIGNATURE.as_bytes());
}

#[test]
fn an_empty_text_is_a_text() {
    let file = file("");
    let signed = split(file.as_bytes()).unwrap();
    assert_eq!((signed.text(), signed.canonical()), (&b""[..], Vec::new()));
}

#[test]
fn what_is_wrong_is_named_by_line() {
    let good = file("a\n");
    let hash = "Hash: SHA256, SHA512\n";
    let cases = [
        (String::new(), ClearSignError::NotAtStart),
        (format!("\n{good}"), ClearSignError::NotAtStart),
        ("<html>".to_owned(), ClearSignError::NotAtStart),
        (good.replace(hash, ""), ClearSignError::NoHashHeader),
        (
            good.replace(hash, "Hash: SHA256\nOrigin: Evil\n"),
            ClearSignError::Header { line: 3 },
        ),
        (
            good.replace(hash, "Hash: SHA1024\n"),
            ClearSignError::Header { line: 2 },
        ),
        (file("a\n-b\n"), ClearSignError::UnescapedDash { line: 5 }),
        (file("- \n"), ClearSignError::UnescapedDash { line: 4 }),
        (
            file("a\n- -----BEGIN PGP SIGNED MESSAGE-----\n"),
            ClearSignError::HiddenBlock { line: 5 },
        ),
        (file(&good), ClearSignError::UnescapedDash { line: 4 }),
        (file("a\0\n"), ClearSignError::Nul { line: 4 }),
        (file("a\rb\n"), ClearSignError::CarriageReturn { line: 4 }),
        (
            good.replace("AAAA\n", "AAAA\n-----\n"),
            ClearSignError::InSignature { line: 8 },
        ),
        (format!("{good}\n"), ClearSignError::AfterSignature { line: 9 }),
        (
            format!("{good}{SIGNATURE}"),
            ClearSignError::AfterSignature { line: 9 },
        ),
        (
            good.replace("-----END PGP SIGNATURE-----\n", ""),
            ClearSignError::Truncated,
        ),
        (
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\na\n".to_owned(),
            ClearSignError::Truncated,
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&file), expected, "{file:?}");
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let line = |length: usize| file(&format!("{}\n", "x".repeat(length)));
    assert!(split(line(MAX_LINE_BYTES).as_bytes()).is_ok());
    assert_eq!(
        refusal(&line(MAX_LINE_BYTES + 1)),
        ClearSignError::LineTooLong { line: 4 }
    );
    let rest = MAX_INRELEASE_BYTES - file("").len();
    let text = format!(
        "{}{}\n",
        "x\n".repeat((rest - 1) / 2 - 1),
        "x".repeat((rest - 1) % 2 + 2)
    );
    let exact = file(&text);
    assert_eq!(exact.len(), MAX_INRELEASE_BYTES);
    assert!(split(exact.as_bytes()).is_ok());
    let size_bytes = MAX_INRELEASE_BYTES + 1;
    assert_eq!(
        refusal(&file(&format!("x{text}"))),
        ClearSignError::TooLarge { size_bytes }
    );
}
