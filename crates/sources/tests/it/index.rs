//! The compiled index: it says of every package what libapt says, in whatever pieces the file came, names what it
//! leaves out, and is never read when damaged.

use crate::tools::{PYTHON, has_libapt, machine_lists, pipe, unpacked_by_apt};
use domain::catalog::listing::ListingNo;
use domain::catalog::offer::Offer;
use domain::digest::Sha256Digest;
use proptest::prelude::*;
use sources::apt::index::{
    BuildError, CompiledIndex, Index, IndexBuilder, IndexError, MAX_SKIPPED, MAX_STANZA_BYTES,
};
use std::collections::{BTreeMap, HashMap, HashSet};

const DIGEST: Sha256Digest = Sha256Digest([0x5a; 32]);
const HERE: ListingNo = ListingNo(3);

fn compile_in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<CompiledIndex, BuildError> {
    let mut builder = IndexBuilder::new();
    for piece in pieces {
        builder.push(piece)?;
    }
    builder.finish(DIGEST)
}

fn compile(packages: &[u8]) -> CompiledIndex {
    compile_in_pieces([packages]).unwrap()
}

fn open(compiled: &CompiledIndex) -> Index<&[u8]> {
    Index::open(&compiled.bytes[..]).unwrap()
}

fn stanza(name: &str, version: &str) -> String {
    format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n\n")
}

/// What python3-apt says of a stanza: it reads the fields, the splitting of Source is done over there once more.
const TAG_FILE: &str = r#"
import sys, re, apt_pkg
out = sys.stdout.buffer
for section in apt_pkg.TagFile(sys.stdin.buffer, bytes=True):
    get = lambda name: section.get(name) or b""
    source = re.fullmatch(rb"(\S+)(?:\s+\((.*)\))?", get("Source"))
    out.write(b"\t".join([
        get("Package"), get("Architecture"), get("Version"),
        source.group(1) if source else get("Package"),
        (source.group(2) if source else None) or get("Version"),
        get("Size") or b"0", get("SHA256")]) + b"\n")
"#;

#[test]
fn every_package_of_this_machines_lists_reads_as_libapt_reads_it() {
    if !has_libapt() {
        return;
    }
    for list in machine_lists() {
        let packages = unpacked_by_apt(&list);
        let expected = String::from_utf8(pipe(PYTHON, &["-c", TAG_FILE], &packages)).unwrap();
        let compiled = compile(&packages);
        assert_eq!((compiled.skipped, compiled.skipped_total), (vec![], 0));
        let index = Index::open(&compiled.bytes[..]).unwrap();
        assert_eq!(index.len(), expected.lines().count());
        for (offer, expected) in index.iter(HERE).zip(expected.lines()) {
            let Offer {
                name,
                architecture,
                version,
                source,
                source_version,
                ..
            } = offer;
            let size = offer.fingerprint.size_bytes;
            let sha256 = offer.sha256.map(|digest| digest.to_string()).unwrap_or_default();
            let ours =
                format!("{name}\t{architecture}\t{version}\t{source}\t{source_version}\t{size}\t{sha256}");
            assert_eq!(ours, expected, "{}", list.display());
        }
        every_name_is_found(&index);
    }
}

fn every_name_is_found(index: &Index<&[u8]>) {
    let mut by_name: HashMap<&str, Vec<Offer<'_>>> = HashMap::new();
    for offer in index.iter(HERE) {
        by_name.entry(offer.name).or_default().push(offer);
    }
    for (name, offers) in by_name {
        assert_eq!(index.offers(name, HERE).collect::<Vec<_>>(), offers);
    }
    for absent in ["", "a", "no-such-package", "LIBC6", "libc6\0"] {
        assert_eq!(index.offers(absent, HERE).count(), 0, "{absent:?}");
    }
}

/// Reads packages as libapt does when they stand in dpkg's status, and prints what its cache holds of each version.
const CACHE: &str = r#"
import sys, os, tempfile, apt_pkg
folder = tempfile.mkdtemp()
status = os.path.join(folder, "status")
open(status, "wb").write(sys.stdin.buffer.read())
apt_pkg.init_config()
for key, value in [("Dir::State::status", status), ("Dir::Etc::sourcelist", "/dev/null"),
                   ("Dir::Etc::sourceparts", "/dev/null"), ("Dir::State::lists", folder + "/"),
                   ("Dir::Cache", folder + "/"), ("Dir::Cache::pkgcache", ""), ("Dir::Cache::srcpkgcache", ""),
                   ("APT::Architecture", "amd64")]:
    apt_pkg.config.set(key, value)
apt_pkg.config.clear("APT::Architectures")
apt_pkg.config.set("APT::Architectures::", "amd64")
apt_pkg.init_system()
multi = {0: 0, 1: 0, 2: 2, 3: 2, 4: 1, 8: 3, 9: 3}
cache = apt_pkg.Cache(None)
records = apt_pkg.PackageRecords(cache)
for package in cache.packages:
    for v in package.version_list:
        records.lookup(v.file_list[0])
        print(package.name, v.arch, v.ver_str, records.source_pkg or package.name, records.source_ver or v.ver_str,
              v.size, v.hash % 2**32, multi[v.multi_arch], sep="\t")
os.remove(status)
os.rmdir(folder)
"#;

/// All versions as libapt's cache has them, in lines, without what differs in nothing.
fn in_libapts_cache(packages: &[u8]) -> HashSet<String> {
    let printed = String::from_utf8(pipe(PYTHON, &["-c", CACHE], packages)).unwrap();
    printed.lines().map(str::to_owned).collect()
}

fn in_our_index(compiled: &CompiledIndex) -> HashSet<String> {
    let line = |offer: Offer<'_>| {
        let Offer {
            name,
            architecture,
            version,
            source,
            source_version,
            fingerprint,
            ..
        } = offer;
        let domain::host::inventory::BuildFingerprint {
            relations,
            multi_arch,
            size_bytes,
        } = fingerprint;
        format!(
            "{name}\t{architecture}\t{version}\t{source}\t{source_version}\t{size_bytes}\t{relations}\t{multi_arch}"
        )
    };
    open(compiled).iter(HERE).map(line).collect()
}

#[test]
fn every_package_of_this_machines_lists_has_the_fingerprint_that_libapt_gives_it() {
    if !has_libapt() {
        return;
    }
    for list in machine_lists() {
        let packages = unpacked_by_apt(&list);
        let (ours, theirs) = (in_our_index(&compile(&packages)), in_libapts_cache(&packages));
        assert!(theirs.len() > 10, "libapt read the list");
        let differing: Vec<_> = ours.symmetric_difference(&theirs).take(10).collect();
        assert!(differing.is_empty(), "{}: {differing:#?}", list.display());
    }
}

#[test]
fn odd_stanzas_read_as_libapt_reads_them() {
    if !has_libapt() {
        return;
    }
    let oddities = [
        "Package: UPPER-Case\nVersion: 1\nArchitecture: amd64\nSource: Src",
        "package: lower\nVERSION: 1:2-3+b1\naRCHITECTURE: amd64\nsIZE: 77\nDEPENDS: X (= 10:0:3)",
        "Package: spaced  \nVersion:   1  \nArchitecture:\tamd64\nSource:   src   (1-1)   \nSize: 12abc",
        "Package: own\nVersion: 1\nArchitecture: amd64\nSource: own (1)",
        "Package: open\nVersion: 1\nArchitecture: amd64\nSource: src (2",
        "Package: bare\nVersion: 1\nArchitecture: amd64\nSource: src 2",
        "Package: tight\nVersion: 1\nArchitecture: amd64\nSource: src(2)",
        "Package: twice\nVersion: 1\nArchitecture: amd64\nSource: src (2) (3)",
        "Package: folded\nVersion: 1\nArchitecture: amd64\nDepends: a (<= 1),\n b:any | C (>> 0:2~),\n\tc\nConflicts:\n d\nReplaces: A_B, c",
        "Package: sizes\nVersion: 1\nArchitecture: amd64\nSize: 18446744073709551616\nInstalled-Size: 0:0@[]^_{}\u{109}",
        "Package: negative\nVersion: 1\nArchitecture: amd64\nSize: x1",
        "Package: same\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same",
        "Package: same-all\nVersion: 1\nArchitecture: all\nMulti-Arch: same",
        "Package: foreign-all\nVersion: 1\nArchitecture: all\nMulti-Arch: foreign",
        "Package: allowed\nVersion: 1\nArchitecture: amd64\nMulti-Arch: allowed",
        "Package: allowed-all\nVersion: 1\nArchitecture: all\nMulti-Arch: allowed",
        "Package: no\nVersion: 1\nArchitecture: amd64\nMulti-Arch: no",
        "Package: unknown\nVersion: 1\nArchitecture: amd64\nMulti-Arch: Same",
        "Package: returns\r\nVersion: 1\r\nArchitecture: amd64\r\nDepends: a,\r\n b\r",
        "Package: two\nVersion: 1\nArchitecture: amd64\nDepends: a",
        "Package: two\nVersion: 1\nArchitecture: amd64\nDepends: b",
        "Package: two\nVersion: 2\nArchitecture: i386",
    ];
    let packages = oddities.join("\n\n") + "\n";
    let compiled = compile(packages.as_bytes());
    assert_eq!(compiled.skipped, vec![]);
    assert_eq!(open(&compiled).len(), oddities.len());
    let sorted = |set: HashSet<String>| set.into_iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(
        sorted(in_our_index(&compiled)),
        sorted(in_libapts_cache(packages.as_bytes()))
    );
}

#[test]
fn phasing_is_read_as_apt_reads_it_and_is_complete_where_it_makes_no_sense() {
    let percent = |field: &str| {
        let packages = format!("Package: a\nVersion: 1\nArchitecture: amd64\n{field}\n");
        open(&compile(packages.as_bytes()))
            .iter(HERE)
            .next()
            .unwrap()
            .phased_percent
    };
    assert_eq!(percent("Phased-Update-Percentage: 0"), 0);
    assert_eq!(percent("phased-update-percentage: 37"), 37);
    for complete in ["100", "101", "-1", "x", "", "99999999999999999999999"] {
        assert_eq!(
            percent(&format!("Phased-Update-Percentage: {complete}")),
            100,
            "{complete}"
        );
    }
    assert_eq!(percent("Priority: optional"), 100);
}

#[test]
fn one_version_twice_with_two_digests_is_kept_twice_in_file_order() {
    let (first, second) = ("11".repeat(32), "22".repeat(32));
    let packages = format!(
        "{}SHA256: {second}\n\n{}{}SHA256: {first}\n\n",
        stanza("a", "1").trim_end().to_owned() + "\n",
        stanza("b", "1"),
        stanza("a", "1").trim_end().to_owned() + "\n",
    );
    let compiled = compile(packages.as_bytes());
    let index = open(&compiled);
    let digests: Vec<_> = index.offers("a", HERE).filter_map(|offer| offer.sha256).collect();
    assert_eq!(digests, [second.parse().unwrap(), first.parse().unwrap()]);
    assert!(index.offers("a", HERE).all(|offer| offer.listing == HERE));
    assert_eq!(index.offers("b", HERE).next().unwrap().sha256, None);
}

#[test]
fn a_bad_stanza_is_left_out_and_named_and_the_others_are_used() {
    let long = "x".repeat(256);
    let bad = [
        (
            "Package: nov\nArchitecture: amd64",
            1,
            "nov",
            "the field Version is missing",
        ),
        (
            "Package: noa\nVersion: 1",
            1,
            "noa",
            "the field Architecture is missing",
        ),
        (
            "Version: 1\nArchitecture: amd64",
            1,
            "",
            "the field Package is missing",
        ),
        (
            "Package: e\nVersion:\nArchitecture: amd64",
            1,
            "e",
            "the field Version is missing",
        ),
        (
            "Package: a\x1b[31mb\nVersion: 1\nArchitecture: amd64",
            1,
            r"a\u{1b}[31mb",
            "Package holds a forbidden",
        ),
        (
            "Package: a b\nVersion: 1\nArchitecture: amd64",
            1,
            "a b",
            "Package holds a forbidden",
        ),
        (
            "Package: ../etc\nVersion: 1\nArchitecture: amd64",
            1,
            "../etc",
            "Package holds a forbidden",
        ),
        (
            "Package: ä\nVersion: 1\nArchitecture: amd64",
            1,
            "ä",
            "Package holds a forbidden",
        ),
        (
            "Package: a\nVersion: 1\nArchitecture: amd64\nSource: s\x07",
            1,
            "a",
            "Source holds a forbidden",
        ),
        (
            "Package: a\nVersion: 1\nArchitecture: a/b",
            1,
            "a",
            "Architecture holds a forbidden",
        ),
        (
            "Package: a\nVersion: one\nArchitecture: amd64",
            1,
            "a",
            "does not begin with a digit",
        ),
        (
            "Package: a\nVersion: 1 2\nArchitecture: amd64",
            1,
            "a",
            "Version holds a forbidden",
        ),
        (
            "Package: a\nVersion: 1\nArchitecture: amd64\nSHA256: abc",
            1,
            "a",
            "SHA256 is no digest",
        ),
        (
            "Package: a\nVersion: 1\nArchitecture: amd64\nno colon",
            4,
            "a",
            "without a colon",
        ),
        (
            "Package: a\nVersion: 1\nArchitecture: amd64\nversion: 2",
            4,
            "a",
            "second time",
        ),
        (
            &format!("Package: {long}\nVersion: 1\nArchitecture: amd64"),
            1,
            &long[..100],
            "longer than 255",
        ),
    ];
    for (text, line, name, why) in bad {
        let packages = format!("{}{text}\n\n{}", stanza("before", "1"), stanza("after", "2"));
        for pieces in [packages.len(), 7, 1] {
            let compiled = compile_in_pieces(packages.as_bytes().chunks(pieces)).unwrap();
            let index = open(&compiled);
            let names: Vec<_> = index.iter(HERE).map(|offer| offer.name).collect();
            assert_eq!(names, ["before", "after"], "{text}");
            let [skipped] = &compiled.skipped[..] else {
                panic!("{text}: {:?}", compiled.skipped)
            };
            assert_eq!((skipped.line, &*skipped.name), (4 + line, name), "{text}");
            assert!(skipped.why.contains(why), "{text}: {skipped:?}");
            assert_eq!(index.skipped().collect::<Vec<_>>(), compiled.skipped);
            assert_eq!(index.skipped_total(), 1);
        }
    }
}

#[test]
fn of_many_bad_stanzas_the_first_hundred_are_named_and_all_are_counted() {
    let packages: String = (0..1000)
        .map(|number| format!("Package: p{number}\nVersion: 1\n\n"))
        .collect();
    let compiled = compile(packages.as_bytes());
    assert_eq!(
        (compiled.skipped.len(), compiled.skipped_total),
        (MAX_SKIPPED, 1000)
    );
    let index = open(&compiled);
    assert_eq!((index.skipped().count(), index.skipped_total()), (100, 1000));
    assert_eq!(index.skipped().last().unwrap().name, "p99");
    assert!(index.is_empty());
}

#[test]
fn a_stanza_of_a_mebibyte_is_taken_and_one_byte_more_is_an_error_in_any_pieces() {
    let of_length = |length: usize| {
        let start = "Package: big\nVersion: 1\nArchitecture: amd64\nDescription: ";
        format!(
            "{}{start}{}\n\n",
            stanza("a", "1"),
            "x".repeat(length - start.len() - 2)
        )
    };
    let (fits, too_long) = (of_length(MAX_STANZA_BYTES), of_length(MAX_STANZA_BYTES + 1));
    for pieces in [1 << 12, 65_537, 1 << 20, 1 << 24] {
        assert_eq!(
            open(&compile_in_pieces(fits.as_bytes().chunks(pieces)).unwrap()).len(),
            2
        );
        let refused = compile_in_pieces(too_long.as_bytes().chunks(pieces));
        assert_eq!(
            refused.unwrap_err(),
            BuildError::StanzaTooLong { line: 5 },
            "{pieces}"
        );
    }
}

#[test]
fn an_endless_stanza_is_refused_before_it_fills_the_memory() {
    let mut builder = IndexBuilder::new();
    builder.push(b"Package: endless\nDescription: ").unwrap();
    let piece = vec![b'x'; 1 << 16];
    let pushed = (0..1000).take_while(|_| builder.push(&piece).is_ok()).count();
    assert!(pushed <= 16, "{pushed} pieces of 64 KiB were taken");
}

#[test]
fn an_empty_file_is_an_empty_index() {
    for packages in [&b""[..], b"\n", b"\n\n\n", b"\r\n \n"] {
        let compiled = compile(packages);
        let index = open(&compiled);
        assert_eq!((index.len(), index.skipped_total()), (0, 0));
        assert_eq!(index.packages_digest(), DIGEST);
        assert_eq!(index.offers("a", HERE).count(), 0);
    }
}

fn small_index() -> Vec<u8> {
    let packages = ["a", "b", "b", "c-c"]
        .map(|name| stanza(name, "1:2.3-4+b5"))
        .concat()
        + "Package: bad\n\n";
    compile(packages.as_bytes()).bytes
}

#[test]
fn an_index_with_any_byte_changed_is_not_opened() {
    let whole = small_index();
    for place in 0..whole.len() {
        for bits in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] ^= bits;
            assert!(
                Index::open(&damaged[..]).is_err(),
                "byte {place} changed by {bits:#x}"
            );
        }
    }
}

#[test]
fn an_index_that_is_cut_or_followed_by_something_is_not_opened() {
    let whole = small_index();
    for length in 0..whole.len() {
        assert!(
            Index::open(&whole[..length]).is_err(),
            "{length} of {}",
            whole.len()
        );
    }
    let (declared, found) = (whole.len() as u64, whole.len() as u64 + 1);
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(
        Index::open(&longer[..]).unwrap_err(),
        IndexError::WrongLength { declared, found }
    );
    assert_eq!(
        Index::open(&b"Package: a\n"[..]).unwrap_err(),
        IndexError::NotAnIndex
    );
}

#[test]
fn an_index_of_another_format_version_says_so() {
    let mut other = small_index();
    other[8] += 1;
    assert!(matches!(
        Index::open(&other[..]),
        Err(IndexError::OtherVersion { .. })
    ));
}

/// Files that look like Packages files, with everything that makes boundaries of stanzas and lines hard.
fn packages_file() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        6 => "Package: [a-e]{1,2}\n",
        6 => "Version: [0-9]{1,2}(-[0-9])?\n",
        6 => Just("Architecture: amd64\n".to_owned()),
        1 => "Source: [a-c] \\([0-9]\\)\n",
        1 => "Depends: [ a-c,]{0,9}\n",
        1 => "SHA256: [0-9a-f]{64}\n",
        1 => Just(" continued\n".to_owned()),
        1 => Just(" \n".to_owned()),
        1 => Just("no colon\n".to_owned()),
        1 => "[\\x00-\\x7f]{0,6}",
        1 => Just("\r\n".to_owned()),
        1 => Just("\r\r\n".to_owned()),
        4 => Just("\n".to_owned()),
    ];
    let whole = "[a-e]{1,2}".prop_map(|name| stanza(&name, "1"));
    prop::collection::vec(prop_oneof![line, whole], 0..60).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pieces_in_which_a_file_comes_make_no_difference(
        packages in packages_file(),
        lengths in prop::collection::vec(1..40_usize, 1..8),
    ) {
        let whole = compile(packages.as_bytes());
        let mut rest = packages.as_bytes();
        let mut pieces = Vec::new();
        for length in lengths.iter().cycle() {
            let (piece, after) = rest.split_at((*length).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let pieced = compile_in_pieces(pieces).unwrap();
        prop_assert_eq!(&whole.skipped, &pieced.skipped);
        prop_assert_eq!(whole.bytes, pieced.bytes);
    }

    #[test]
    fn a_name_gives_its_packages_and_no_others(packages in packages_file()) {
        let compiled = compile(packages.as_bytes());
        let index = open(&compiled);
        let mut by_name: BTreeMap<&str, Vec<Offer<'_>>> = BTreeMap::new();
        for offer in index.iter(HERE) {
            by_name.entry(offer.name).or_default().push(offer);
        }
        prop_assert_eq!(by_name.values().map(Vec::len).sum::<usize>(), index.len());
        for (name, offers) in by_name {
            prop_assert_eq!(index.offers(name, HERE).collect::<Vec<_>>(), offers);
        }
    }
}
