//! The stanza scanner against libapt's.

use domain::deb822::{self, Damage, Malformed};

type Lists = Vec<Result<Vec<(String, String)>, Malformed>>;

fn lists(bytes: &[u8]) -> Lists {
    deb822::stanzas(bytes)
        .map(|stanza| {
            stanza.map(|stanza| {
                let pair = |field: deb822::Field<'_>| {
                    (
                        field.name.to_owned(),
                        String::from_utf8_lossy(field.value).into_owned(),
                    )
                };
                stanza.fields().map(pair).collect()
            })
        })
        .collect()
}

#[test]
fn a_malformed_stanza_is_named_and_the_rest_is_used() {
    let file = b"Package: a\nVersion: 1\n\nPackage: b\noops\nVersion: 2\n\nPackage: c\nVersion: 3\n";
    let found: Vec<_> = deb822::stanzas(file)
        .map(|stanza| stanza.map(|stanza| stanza.line()))
        .collect();
    assert_eq!(
        found,
        [
            Ok(1),
            Err(Malformed {
                line: 5,
                why: Damage::NoColon
            }),
            Ok(8)
        ]
    );
    assert_eq!(lists(file)[2].as_ref().map(Vec::len), Ok(2));
}
