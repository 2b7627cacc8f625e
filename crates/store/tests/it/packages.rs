//! Packages that hosts have, and what changed of them.

use crate::engines::{WHOLE, a_host, a_tenant, at, digest, host_id, on_both};
use domain::assess::fleet::{PackageId, PackageSet};
use domain::host::inventory::BuildFingerprint;
use store::document::{Document, DocumentKind, Encoding};
use store::host_change::{ChangeAction, ChangedBy, HostChange};
use store::host_document::HostDocument;
use store::package::Package;
use store::{Db, Scope, document, host_change, host_document, inventory_package, package};

fn a_package(name: &str, version: &str) -> Package {
    Package {
        name: name.into(),
        architecture: "amd64".into(),
        version: version.into(),
        source: "openssl".into(),
        source_version: version.into(),
        fingerprint: BuildFingerprint {
            relations: u32::MAX,
            multi_arch: 3,
            size_bytes: u64::MAX,
        },
    }
}

#[test]
fn a_package_keeps_its_number_and_numbers_have_no_gaps() {
    on_both(async |db| {
        let (a, b, c) = (
            a_package("libssl3", "1"),
            a_package("openssl", "1"),
            a_package("openssl", "2"),
        );
        let intern = |packages: Vec<Package>| db.write(move |tx| package::intern(tx, &WHOLE, &packages));
        assert_eq!(
            intern(vec![a.clone(), b.clone()]).await.expect("write"),
            [PackageId(0), PackageId(1)]
        );
        let again = intern(vec![c.clone(), b.clone(), c.clone()])
            .await
            .expect("write");
        assert_eq!(again, [PackageId(2), PackageId(1), PackageId(2)]);
        let all = db
            .read(|view| {
                let mut all = Vec::new();
                package::all_from(view, &WHOLE, PackageId(1), |id, package| {
                    all.push((id, package));
                    Ok(())
                })?;
                Ok(all)
            })
            .await;
        assert_eq!(
            all.expect("read"),
            [(PackageId(1), b.clone()), (PackageId(2), c.clone())]
        );
        let named = db
            .read(|view| package::named(view, &WHOLE, "openssl"))
            .await
            .expect("read");
        assert_eq!(named, [(PackageId(0), a), (PackageId(1), b), (PackageId(2), c)]);
    });
}

#[test]
fn packages_come_back_as_they_were_whatever_hosts_call_them() {
    on_both(async |db| {
        let hostile = [
            "",
            "a\u{1f}b",
            "a\u{1e}b",
            "a\u{1e}7\u{1f}b\u{1f}c\u{1f}d\u{1f}e\u{1f}f\u{1f}00000000000000000000000000",
            "\u{1f}\u{1e}\u{1f}",
            "ÄÖ 中 \u{202e}",
        ];
        let many = (0..1_100).map(|number| a_package(&format!("package-{number}"), "1"));
        let strange = hostile.map(|name| a_package(name, name));
        // So that a row of many has none of them, one, and all.
        let packages: Vec<Package> = many.chain(strange).collect();
        let stored = packages.clone();
        let numbers = db.write(move |tx| package::intern(tx, &WHOLE, &stored));
        assert_eq!(numbers.await.expect("write").len(), packages.len());
        for from in [0, 511, 512, 1_099, 1_105, 1_106, 9_999] {
            let read = db.read(move |view| {
                let mut all = Vec::new();
                package::all_from(view, &WHOLE, PackageId(from), |id, package| {
                    all.push((id, package));
                    Ok(())
                })?;
                Ok(all)
            });
            let numbered = (0..).map(PackageId).zip(packages.iter().cloned());
            let wanted: Vec<_> = numbered.skip(from as usize).collect();
            assert!(read.await.expect("read") == wanted, "from {from}");
        }
    });
}

pub fn a_document(number: u64, kind: DocumentKind) -> Document {
    Document {
        digest: digest(number),
        kind,
        encoding: Encoding::Plain,
        size_bytes: 3,
        bytes: b"{} ".to_vec(),
    }
}

pub async fn reported(db: &Db, scope: Scope, host: u64, number: u64, kind: DocumentKind) {
    db.write(move |tx| {
        document::put(tx, &scope, &a_document(number, kind), at(2))?;
        let noted = HostDocument {
            host: host_id(host),
            kind,
            digest: digest(number),
            observed_at: at(2),
            received_at: at(2),
        };
        host_document::note(tx, &scope, &noted)
    })
    .await
    .expect("a document of the host");
}

#[test]
fn the_packages_of_inventories_read_back_once_they_are_numbered() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        for number in 7..=8 {
            reported(&db, scope, 1, number, DocumentKind::Inventory).await;
        }
        let wanted: Vec<_> = (0..300).map(digest).collect();
        let read = || {
            let wanted = wanted.clone();
            db.read(move |view| inventory_package::get_many(view, &scope, &wanted))
        };
        assert_eq!(read().await.expect("read"), []);
        let set: PackageSet = [3, 900, 70_000].into_iter().map(PackageId).collect();
        let stored = set.clone();
        db.write(move |tx| inventory_package::put(tx, &scope, digest(7), &stored))
            .await
            .expect("write");
        assert_eq!(read().await.expect("read"), [(digest(7), set)]);
    });
}

#[test]
fn changes_of_a_host_are_numbered_as_they_are_learned() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        let change = |package: &str, received| HostChange {
            observed_at: at(received - 100),
            received_at: at(received),
            action: ChangeAction::Upgraded,
            package: package.into(),
            architecture: "amd64".into(),
            version_before: Some("1".into()),
            version_after: Some("2".into()),
            changed_by: ChangedBy::Tool,
            detail: "unattended-upgrades".into(),
        };
        let all = [change("a", 1), change("b", 2), change("c", 3)];
        let (first, rest) = (all[..2].to_vec(), all[2..].to_vec());
        db.write(move |tx| host_change::note(tx, &scope, host_id(1), &first))
            .await
            .expect("write");
        db.write(move |tx| host_change::note(tx, &scope, host_id(1), &rest))
            .await
            .expect("write");
        let page = |before| db.read(move |view| host_change::page(view, &scope, host_id(1), before, 2));
        let newest = page(None).await.expect("read");
        assert_eq!(newest.rows, [(3, all[2].clone()), (2, all[1].clone())]);
        assert_eq!(page(newest.next).await.expect("read").rows, [(1, all[0].clone())]);
        let gone = db
            .write(move |tx| host_change::forget_before(tx, &scope, at(2), 10))
            .await;
        assert_eq!(gone.expect("write"), 1);
    });
}
