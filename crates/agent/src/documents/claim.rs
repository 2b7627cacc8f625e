//! What the release in a host's own lists calls itself, as the host has it: a hint for finding the source, never proof.
//! Nothing here verifies a signature; the server does, on what it fetches itself.

use crate::apt_conf::AptConf;
use crate::facts::fact;
use crate::host::Host;
use crate::tree::join;
use domain::host::address::{list_file_name, release_uri};
use domain::host::channels::Stanza;
use protocol::document::channels::ReleaseClaim;
use std::io::Read as _;

/// The fields stand before the list of indexes; this much is looked at.
const HEAD_BYTES: u64 = 16 << 10;

/// The claim of the release file that the host's apt fetched for this stanza; absent if it fetched none.
pub(super) fn of_stanza(host: &Host, stanza: &Stanza) -> Option<ReleaseClaim> {
    let folder = lists(&host.apt_conf);
    let uri = release_uri(&stanza.uri, &stanza.suite);
    let head = ["InRelease", "Release"].iter().find_map(|name| {
        let file = list_file_name(&format!("{uri}{name}"));
        let file = host.tree.open_file(&join(&folder, &file)).ok()?;
        let mut bytes = Vec::new();
        file.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    });
    Some(claim(&String::from_utf8_lossy(&head?)))
}

pub(super) fn lists(conf: &AptConf) -> String {
    conf.folder("Dir::State::lists")
}

/// The fields of the first stanza, after the frame of a clear-signed text if there is one.
fn claim(head: &str) -> ReleaseClaim {
    let text = match head.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----") {
        Some(framed) => framed.split_once("\n\n").map_or("", |(_, text)| text),
        None => head,
    };
    let value = |wanted: &str| {
        text.lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .and_then(|(_, value)| fact(value))
    };
    ReleaseClaim {
        origin: value("Origin"),
        label: value("Label"),
        suite: value("Suite"),
        codename: value("Codename"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_with_and_without_the_frame_of_a_signature() {
        let fields = "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nSHA256:\n";
        let framed = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{fields}");
        let plain = claim(fields);
        assert_eq!(plain.label.as_deref(), Some("Debian-Security"));
        assert_eq!(claim(&framed), plain);
        assert_eq!(
            claim("-----BEGIN PGP SIGNED MESSAGE-----\nOrigin: Debian\n"),
            ReleaseClaim::default()
        );
        assert_eq!(claim("Codename: x\n\nOrigin: later\n").origin, None);
    }
}
