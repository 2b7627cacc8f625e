//! What apt 2.6 really announced to a hook (protocol 3), held against orders that fit and orders that do not.

use domain::digest::Sha256Digest;
use domain::order::transaction::{
    Act, Allowed, Build, Difference, Objection, PackageName, Unreadable, judge, parse,
};
use domain::order::{OrderedPackage, Removal};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// `apt-get install openssl zstd python3-` on bookworm, the configuration cut short.
const UPGRADE: &str = "VERSION 3
APT::Architecture=amd64
APT::Build-Essential::=build-essential

python3 3.11.2-1+b1 amd64 allowed > - - none **REMOVE**
libssl3 3.0.20-1~deb12u2 amd64 same < 3.0.22-1~deb12u2 amd64 same /var/cache/apt/archives/libssl3_3.0.22-1~deb12u2_amd64.deb
openssl 3.0.20-1~deb12u2 amd64 foreign < 3.0.22-1~deb12u2 amd64 foreign /var/cache/apt/archives/openssl_3.0.22-1~deb12u2_amd64.deb
busybox - - none < 1:1.35.0-4+deb12u1+b1 amd64 none /var/cache/apt/archives/busybox_1%3a1.35.0-4+deb12u1+b1_amd64.deb
libssl3 3.0.20-1~deb12u2 amd64 same < 3.0.22-1~deb12u2 amd64 same **CONFIGURE**
openssl 3.0.20-1~deb12u2 amd64 foreign < 3.0.22-1~deb12u2 amd64 foreign **CONFIGURE**
busybox - - none < 1:1.35.0-4+deb12u1+b1 amd64 none **CONFIGURE**
";

/// `apt-get install --allow-downgrades openssl=3.0.20-1~deb12u2 libssl3=3.0.20-1~deb12u2`.
const DOWNGRADE: &str = "VERSION 3
APT::Architecture=amd64

libssl3 3.0.22-1~deb12u2 amd64 same > 3.0.20-1~deb12u2 amd64 same /var/cache/apt/archives/libssl3_3.0.20-1~deb12u2_amd64.deb
openssl 3.0.22-1~deb12u2 amd64 foreign > 3.0.20-1~deb12u2 amd64 foreign /var/cache/apt/archives/openssl_3.0.20-1~deb12u2_amd64.deb
libssl3 3.0.22-1~deb12u2 amd64 same > 3.0.20-1~deb12u2 amd64 same **CONFIGURE**
openssl 3.0.22-1~deb12u2 amd64 foreign > 3.0.20-1~deb12u2 amd64 foreign **CONFIGURE**
";

/// `apt-get install -f` after `dpkg --unpack` alone.
const UNPACKED_BEFORE: &str = "VERSION 3
APT::Architecture=amd64

cpio 2.13+dfsg-7.1 amd64 foreign = 2.13+dfsg-7.1 amd64 foreign **CONFIGURE**
";

/// `apt-get install --reinstall zstd`.
const REINSTALL: &str = "VERSION 3
APT::Architecture=amd64

zstd 1.5.4+dfsg2-5 amd64 foreign = 1.5.4+dfsg2-5 amd64 foreign /var/cache/apt/archives/zstd_1.5.4+dfsg2-5_amd64.deb
zstd 1.5.4+dfsg2-5 amd64 foreign = 1.5.4+dfsg2-5 amd64 foreign **CONFIGURE**
";

/// The digest of a file whose name begins so; the tests need no more than that they differ.
fn digest(name: &str) -> Sha256Digest {
    let mut bytes = [0; 32];
    for (byte, letter) in bytes.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    Sha256Digest(bytes)
}

fn digest_of(file: &str) -> Result<Sha256Digest, ()> {
    let name = file.rsplit('/').next().and_then(|name| name.split('_').next());
    Ok(digest(name.ok_or(())?))
}

fn package(name: &str, from: Option<&str>, version: &str) -> OrderedPackage {
    OrderedPackage {
        name: name.into(),
        architecture: "amd64".into(),
        version: version.into(),
        from: from.map(Into::into),
        sha256: digest(name),
        size_bytes: 1,
    }
}

fn upgrade() -> Vec<OrderedPackage> {
    vec![
        package("busybox", None, "1:1.35.0-4+deb12u1+b1"),
        package("libssl3", Some("3.0.20-1~deb12u2"), "3.0.22-1~deb12u2"),
        package("openssl", Some("3.0.20-1~deb12u2"), "3.0.22-1~deb12u2"),
    ]
}

fn python() -> Vec<Removal> {
    vec![Removal {
        name: "python3".into(),
        architecture: "amd64".into(),
    }]
}

fn judged(text: &str, packages: &[OrderedPackage], removals: &[Removal]) -> Result<(), Objection<()>> {
    judged_with(text, packages, removals, &BTreeSet::new())
}

fn judged_with(
    text: &str,
    packages: &[OrderedPackage],
    removals: &[Removal],
    in_place: &BTreeSet<PackageName>,
) -> Result<(), Objection<()>> {
    let items = parse(text).expect("apt wrote it");
    let allowed = Allowed {
        packages,
        removals,
        in_place,
    };
    judge(&items, allowed, digest_of)
}

fn differs(text: &str, packages: &[OrderedPackage], removals: &[Removal]) -> String {
    match judged(text, packages, removals) {
        Err(Objection::Differs(difference)) => difference.to_string(),
        other => panic!("not a difference: {other:?}"),
    }
}

#[test]
fn a_line_of_apt_is_read_as_apt_means_it() {
    let items = parse(UPGRADE).expect("apt wrote it");
    assert_eq!(items.len(), 7);
    assert_eq!(items[0].act, Act::Remove);
    assert_eq!(items[0].after, None);
    assert_eq!(items[3].before, None);
    let busybox = Build {
        version: "1:1.35.0-4+deb12u1+b1",
        architecture: "amd64",
    };
    assert_eq!(items[3].after, Some(busybox));
    assert_eq!(items[6].act, Act::Configure);
}

#[test]
fn what_apt_does_passes_if_it_is_exactly_what_was_ordered() {
    assert_eq!(judged(UPGRADE, &upgrade(), &python()), Ok(()));
    let back = [
        package("libssl3", Some("3.0.22-1~deb12u2"), "3.0.20-1~deb12u2"),
        package("openssl", Some("3.0.22-1~deb12u2"), "3.0.20-1~deb12u2"),
    ];
    assert_eq!(judged(DOWNGRADE, &back, &[]), Ok(()));
    let unpacked = [package("cpio", None, "2.13+dfsg-7.1")];
    assert_eq!(judged(UNPACKED_BEFORE, &unpacked, &[]), Ok(()));
}

#[test]
fn one_package_more_stops_it() {
    let without_busybox = &upgrade()[1..];
    assert_eq!(
        differs(UPGRADE, without_busybox, &python()),
        "busybox:amd64 1:1.35.0-4+deb12u1+b1 would be installed, which was not ordered"
    );
}

#[test]
fn one_package_less_stops_it() {
    let mut more = upgrade();
    more.push(package("zlib1g", Some("1"), "2"));
    assert_eq!(
        differs(UPGRADE, &more, &python()),
        "zlib1g:amd64 2 was ordered and would not be installed"
    );
}

#[test]
fn another_version_or_another_starting_point_stops_it() {
    let mut other = upgrade();
    other[2].version = "3.0.21-1".into();
    assert_eq!(
        differs(UPGRADE, &other, &python()),
        "openssl:amd64 would become 3.0.22-1~deb12u2, and 3.0.21-1 was ordered"
    );
    let mut other = upgrade();
    other[2].from = Some("3.0.19-1".into());
    assert_eq!(
        differs(UPGRADE, &other, &python()),
        "openssl:amd64 is 3.0.20-1~deb12u2 (amd64) on this host, and the order replaces 3.0.19-1"
    );
    let mut other = upgrade();
    other[0].from = Some("1:1.30-1".into());
    assert_eq!(
        differs(UPGRADE, &other, &python()),
        "busybox:amd64 is not installed on this host, and the order replaces 1:1.30-1"
    );
}

#[test]
fn another_file_under_the_same_version_stops_it() {
    let mut other = upgrade();
    other[1].sha256 = digest("evil");
    assert_eq!(
        differs(UPGRADE, &other, &python()),
        "the file of libssl3:amd64 3.0.22-1~deb12u2 is not the one that was ordered"
    );
}

#[test]
fn a_removal_that_nobody_approved_stops_it_and_so_does_one_that_would_not_happen() {
    assert_eq!(
        differs(UPGRADE, &upgrade(), &[]),
        "python3:amd64 would be removed, which was not approved"
    );
    let mut more = python();
    more.push(Removal {
        name: "telnet".into(),
        architecture: "amd64".into(),
    });
    assert_eq!(
        differs(UPGRADE, &upgrade(), &more),
        "telnet:amd64 was to be removed and would stay"
    );
}

#[test]
fn what_is_already_so_needs_no_line_and_may_have_none() {
    let mut more = upgrade();
    more.push(package("zlib1g", Some("1"), "2"));
    let zlib = BTreeSet::from([PackageName::new("zlib1g", "amd64")]);
    assert_eq!(judged_with(UPGRADE, &more, &python(), &zlib), Ok(()));
    let openssl = BTreeSet::from([PackageName::new("openssl", "amd64")]);
    let twice = Difference::Twice {
        package: PackageName::new("openssl", "amd64"),
    };
    assert_eq!(
        judged_with(UPGRADE, &upgrade(), &python(), &openssl),
        Err(Objection::Differs(twice))
    );
    let same = [package("zstd", None, "1.5.4+dfsg2-5")];
    assert!(judged(REINSTALL, &same, &[]).is_err());
}

#[test]
fn a_foreign_architecture_of_the_same_name_is_another_package() {
    let foreign = UPGRADE.replace(
        "libssl3 3.0.20-1~deb12u2 amd64 same < 3.0.22-1~deb12u2 amd64",
        "libssl3 3.0.20-1~deb12u2 i386 same < 3.0.22-1~deb12u2 i386",
    );
    assert_eq!(
        differs(&foreign, &upgrade(), &python()),
        "libssl3:i386 3.0.22-1~deb12u2 would be installed, which was not ordered"
    );
}

#[test]
fn a_file_that_cannot_be_read_stops_it() {
    let items = parse(UPGRADE).expect("apt wrote it");
    let (packages, removals) = (upgrade(), python());
    let allowed = Allowed {
        packages: &packages,
        removals: &removals,
        in_place: &BTreeSet::new(),
    };
    assert_eq!(
        judge(&items, allowed, |_| Err("gone")),
        Err(Objection::File("gone"))
    );
}

#[test]
fn an_announcement_in_another_form_is_refused() {
    assert_eq!(parse(""), Err(Unreadable::NotVersion3));
    assert_eq!(parse("VERSION 2\n\n"), Err(Unreadable::NotVersion3));
    assert_eq!(
        parse("VERSION 3\nAPT::Architecture=amd64\n"),
        Err(Unreadable::NoItems)
    );
    let head = "VERSION 3\n\n";
    for line in [
        "",
        "zstd",
        "zstd 1 amd64 foreign",
        "zstd 1 amd64 foreign < 2 amd64 foreign",
        "zstd 1 amd64 foreign < 2 amd64 foreign **ERROR**",
        "zstd 1 amd64 foreign < 2 amd64 foreign relative.deb",
        "zstd 1 amd64 foreign ~ 2 amd64 foreign **CONFIGURE**",
        "zstd 1 amd64 some < 2 amd64 foreign **CONFIGURE**",
        "zstd 1 amd64 foreign < - - none **CONFIGURE**",
        "zstd 1 amd64 foreign > 2 amd64 foreign **REMOVE**",
        "zstd - - none > - - none **REMOVE**",
        "zstd 1 - none < 2 amd64 foreign **CONFIGURE**",
        " 1 amd64 foreign < 2 amd64 foreign **CONFIGURE**",
        "zstd  1 amd64 foreign < 2 amd64 foreign **CONFIGURE**",
    ] {
        let text = format!("{head}{line}\n");
        assert_eq!(parse(&text), Err(Unreadable::Line { line: 3 }), "{line:?}");
    }
}

proptest! {
    /// Whichever line is taken out, doubled, or swapped for a word of another: it is not what was ordered.
    #[test]
    fn no_change_of_an_announcement_passes(line in 4usize..8, field in 0usize..9, kind in 0..3) {
        let mut lines: Vec<String> = UPGRADE.lines().map(String::from).collect();
        match kind {
            0 => { lines.remove(line); }
            1 => { let twice = lines[line].clone(); lines.insert(line, twice); }
            _ => {
                let mut fields: Vec<&str> = lines[line].splitn(9, ' ').collect();
                // The direction is apt's own reading of the two versions, the multi-arch type says nothing about files, and a
                // removal is approved by name.
                prop_assume!(![3, 4, 7].contains(&field) && (line, field) != (4, 1));
                fields[field] = "other";
                lines[line] = fields.join(" ");
            }
        }
        let text = lines.join("\n");
        let passes = parse(&text).is_ok_and(|items| {
            let (packages, removals) = (upgrade(), python());
            let allowed = Allowed { packages: &packages, removals: &removals, in_place: &BTreeSet::new() };
            judge(&items, allowed, digest_of).is_ok()
        });
        // Taking out an unpack line leaves its configure line: dpkg would then have to have it unpacked already.
        let is_unpacked_before = kind == 0 && (5..8).contains(&line);
        prop_assert_eq!(passes, is_unpacked_before);
    }
}
