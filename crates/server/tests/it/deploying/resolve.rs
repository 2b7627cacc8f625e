//! What an approved update takes on a host: exactly that, or why nothing.

use super::{Shop, inventory};
use domain::host::inventory::Selection;
use domain::order::{Direction, OrderedPackage};
use server::catalog::resolve::{Resolved, Unresolved, WayBack, former_updates, retracted};
use std::collections::BTreeSet;
use testkit::apt::Apt;
use testkit::archive::package::Package;
use testkit::host::{HostTree, Installed};

fn openssl(version: &str) -> Vec<Package> {
    let library = Package::new("libssl3", version)
        .source("openssl")
        .multi_arch("same");
    vec![
        Package::new("openssl", version).depends(&format!("libssl3 (>= {version})")),
        library.clone(),
        library.arch("i386"),
        Package::new("libssl-dev", version)
            .source("openssl")
            .depends(&format!("libssl3 (= {version})")),
        Package::new("openssl-doc", version).source("openssl").arch("all"),
    ]
}

/// A package in this version of its name, architecture and so on.
fn only(packages: &[Package], names: &[&str]) -> Vec<Package> {
    let is_one = |package: &&Package| names.contains(&package.name()) && package.architecture() != "i386";
    packages.iter().filter(is_one).cloned().collect()
}

fn shown(resolved: &Resolved) -> Vec<String> {
    let one = |package: &OrderedPackage| {
        let from = package.from.as_deref().unwrap_or("-");
        format!(
            "{}:{} {from} {}",
            package.name, package.architecture, package.version
        )
    };
    resolved.packages.iter().map(one).collect()
}

fn why(outcome: Result<Resolved, Unresolved>) -> Unresolved {
    outcome.expect_err("nothing can be installed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_takes_the_binaries_that_the_host_has_in_an_older_version_and_no_other() {
    let (old, new) = (openssl("3.0.17-1"), openssl("3.0.20-1"));
    let hello = Package::new("hello", "1.0-1");
    let mut has = only(&old, &["openssl", "libssl3", "openssl-doc"]);
    has.push(hello.clone());
    let mut published = new.clone();
    published.push(hello.with_version("2.0-1"));
    let shop = Shop::new(&has, &published).await;
    let resolved = shop
        .forward(&[shop.update("openssl", "3.0.20-1")])
        .await
        .expect("it can be");
    assert_eq!(
        shown(&resolved),
        [
            "libssl3:amd64 3.0.17-1 3.0.20-1",
            "openssl:amd64 3.0.17-1 3.0.20-1",
            "openssl-doc:all 3.0.17-1 3.0.20-1",
        ]
    );
    for package in &resolved.packages {
        let published = new
            .iter()
            .find(|one| (one.name(), one.architecture()) == (&*package.name, &*package.architecture));
        let deb = published.expect("it is published").deb();
        assert_eq!(package.sha256, content::sha256(&deb));
        assert_eq!(package.size_bytes, deb.len() as u64);
    }
    let [snapshot] = &*resolved.snapshots else {
        panic!("{:?}", resolved.snapshots)
    };
    let served = |path: &str| std::fs::read(shop.fleet.served().join(path)).expect("it is served");
    assert_eq!(&*snapshot.address, shop.fleet.archive().uri());
    assert_eq!(&*snapshot.suite, "stable");
    assert_eq!(
        snapshot.release,
        content::sha256(&served("dists/stable/InRelease"))
    );
    assert_eq!(snapshot.signature, None);
    let paths: Vec<&str> = snapshot.indexes.iter().map(|index| &*index.path).collect();
    assert_eq!(
        paths,
        ["main/binary-amd64/Packages.xz"],
        "the one that lists them"
    );
    let index = served("dists/stable/main/binary-amd64/Packages.xz");
    assert_eq!(snapshot.indexes[0].sha256, content::sha256(&index));
    // Everything that the order names is among the files, and nothing else.
    let named: BTreeSet<_> = (resolved.packages.iter().map(|package| package.sha256))
        .chain([snapshot.release, snapshot.indexes[0].sha256])
        .collect();
    assert_eq!(
        resolved
            .files
            .iter()
            .map(|file| file.sha256)
            .collect::<BTreeSet<_>>(),
        named
    );
    let sizes: u64 = resolved.files.iter().map(|file| file.size_bytes).sum();
    assert_eq!(resolved.bytes, sizes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_newly_needed_is_added_of_an_approved_update_and_named_of_another() {
    let has = [
        Package::new("app", "1.0-1"),
        Package::new("mta", "1.0-1").relation("Provides", "mail"),
    ];
    let new = [
        Package::new("app", "2.0-1").depends("app-data (>= 2), mail, lib | other (<< 1)"),
        Package::new("app-data", "2.0-1")
            .source("app")
            .arch("all")
            .depends("app-font:any"),
        Package::new("app-font", "2.0-1")
            .source("app")
            .multi_arch("allowed"),
        Package::new("app-unneeded", "2.0-1").source("app"),
        Package::new("lib", "7.0-1"),
        Package::new("mta", "1.0-1").relation("Provides", "mail"),
    ];
    let shop = Shop::new(&has, &new).await;
    let (app, lib) = (shop.update("app", "2.0-1"), shop.update("lib", "7.0-1"));
    match why(shop.forward(std::slice::from_ref(&app)).await) {
        Unresolved::NeedsAlso(also) => {
            assert_eq!(also.len(), 1, "{also:?}");
            assert_eq!(also[0].update, lib);
            assert_eq!(also[0].needs, "lib | other (<< 1)");
        }
        other => panic!("{other:?}"),
    }
    let resolved = shop.forward(&[app, lib]).await.expect("all of it is approved");
    assert_eq!(
        shown(&resolved),
        [
            "app:amd64 1.0-1 2.0-1",
            "app-data:all - 2.0-1",
            "app-font:amd64 - 2.0-1",
            "lib:amd64 - 7.0-1",
        ]
    );
    installs_exactly(&shop, &has, &resolved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_chain_of_versions_the_approved_one_is_installed_and_not_the_newest() {
    let versions = ["3.0.17-1", "3.0.20-1", "3.0.22-1"];
    let all: Vec<Package> = versions.iter().flat_map(|version| openssl(version)).collect();
    let names = ["openssl", "libssl3"];
    let mut has = only(&openssl(versions[0]), &names);
    let shop = Shop::new(&has, &all).await;
    for pair in versions.windows(2) {
        let resolved = shop
            .forward(&[shop.update("openssl", pair[1])])
            .await
            .expect("it is listed");
        let (from, to) = (pair[0], pair[1]);
        let expected = names.map(|name| format!("{name}:amd64 {from} {to}"));
        assert_eq!(shown(&resolved), [expected[1].clone(), expected[0].clone()]);
        installs_exactly(&shop, &has, &resolved);
        has = only(&openssl(to), &names);
        shop.report(&has).await;
    }
    let updates = [shop.update("openssl", "3.0.20-1")];
    assert!(
        matches!(why(shop.forward(&updates).await), Unresolved::Nothing),
        "it is past that"
    );
    let back = shop
        .resolve(&updates, Direction::BackOut)
        .await
        .expect("it is listed");
    assert_eq!(
        shown(&back),
        [
            "libssl3:amd64 3.0.22-1 3.0.20-1",
            "openssl:amd64 3.0.22-1 3.0.20-1"
        ]
    );
}

/// apt, asked for the packages that are replaced, does exactly what was found out.
fn installs_exactly(shop: &Shop, has: &[Package], resolved: &Resolved) {
    let root = tempfile::tempdir().expect("a folder");
    let keyring = "/usr/share/keyrings/world.gpg";
    let stanza = format!(
        "Types: deb\nURIs: {}\nSuites: stable\nComponents: main\nSigned-By: {keyring}\n",
        shop.fleet.archive().uri()
    );
    let mut host = HostTree::new()
        .architecture("amd64")
        .key(keyring, &shop.fleet.key().certificate())
        .stanza("world", &stanza);
    for package in has {
        host = host.package(package, Installed::Yes);
    }
    host.write_to(root.path()).expect("a host");
    let apt = match Apt::over(root.path()) {
        Ok(apt) => apt,
        Err(error) => return testkit::skip::skip(&error),
    };
    apt.update().expect("its lists");
    let replaced = resolved.packages.iter().filter(|package| package.from.is_some());
    let asked: Vec<String> = replaced
        .map(|package| format!("{}:{}={}", package.name, package.architecture, package.version))
        .collect();
    let mut arguments = vec!["-q", "-s", "install", "--no-install-recommends", "--no-remove"];
    arguments.extend(asked.iter().map(String::as_str));
    let said = apt.run("apt-get", &arguments).expect("a simulation");
    let installed: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next())
        .collect();
    let ordered: BTreeSet<&str> = resolved.packages.iter().map(|package| &*package.name).collect();
    assert_eq!(installed, ordered, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_offers_is_unknown_unless_the_host_has_what_nobody_lists() {
    let has = [Package::new("app", "1.0-1")];
    let new = [Package::new("app", "2.0-1").depends("nowhere")];
    let shop = Shop::new(&has, &new).await;
    let app = [shop.update("app", "2.0-1")];
    let said = why(shop.forward(&app).await).to_string();
    assert!(said.contains("app 2.0-1 needs nowhere"), "{said}");
    shop.report(&[has[0].clone(), Package::new("local", "1")]).await;
    let resolved = shop.forward(&app).await.expect("the host's own may provide it");
    assert_eq!(shown(&resolved), ["app:amd64 1.0-1 2.0-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_architectures_of_a_multi_arch_same_package_move_together_or_none_does() {
    let library = Package::new("libssl3", "1-1")
        .source("openssl")
        .multi_arch("same");
    let has = [library.clone(), library.clone().arch("i386")];
    let new = library.with_version("2-1");
    let shop = Shop::new(&has, &[new.clone(), new.clone().arch("i386")]).await;
    let update = |version: &str| [shop.update("openssl", version)];
    // The update is the source's: this package says which.
    let resolved = shop.forward(&update("2-1")).await.expect("both are there");
    assert_eq!(
        shown(&resolved),
        ["libssl3:amd64 1-1 2-1", "libssl3:i386 1-1 2-1"]
    );
    let paths: Vec<&str> = resolved.snapshots[0]
        .indexes
        .iter()
        .map(|index| &*index.path)
        .collect();
    assert_eq!(
        paths,
        ["main/binary-amd64/Packages.xz", "main/binary-i386/Packages.xz"]
    );
    shop.publish(&[new.clone().with_version("3-1"), new.arch("i386")])
        .await;
    assert!(matches!(
        why(shop.forward(&update("3-1")).await),
        Unresolved::NotBuilt
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_nothing_is_installed_is_told_apart() {
    let has = [Package::new("app", "1.0-1"), Package::new("local", "1.0-1")];
    let new = [Package::new("app", "2.0-1"), Package::new("more", "1.0-1")];
    let shop = Shop::new(&has, &new).await;
    let of = async |source: &str, version: &str| why(shop.forward(&[shop.update(source, version)]).await);
    assert!(
        matches!(of("more", "1.0-1").await, Unresolved::Nothing),
        "it is not there"
    );
    assert!(
        matches!(of("app", "0.9-1").await, Unresolved::Nothing),
        "it is there already"
    );
    let said = of("local", "2.0-1").await.to_string();
    assert_eq!(said, "no verified source of the host lists local 1.0-1");
    let said = of("app", "1.5-1").await.to_string();
    assert_eq!(said, "app 1.5-1 was replaced by 2.0-1: approve that");
    assert!(matches!(of("app", "9.0-1").await, Unresolved::NotBuilt));
    let mut on_hold = inventory(&has);
    on_hold[0].selection = Selection::Hold;
    shop.fleet.report_inventory(shop.host, on_hold).await;
    let said = of("app", "2.0-1").await.to_string();
    assert!(said.contains("apt-mark unhold app"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_leads_to_what_was_replaced_while_that_can_be_had() {
    let (old, new) = (Package::new("app", "1.0-1"), Package::new("app", "2.0-1"));
    let shop = Shop::new(std::slice::from_ref(&old), &[old.clone(), new.clone()]).await;
    let (context, scope) = (&shop.fleet.world.context, shop.fleet.world.scope());
    let forward = shop
        .forward(&[shop.update("app", "2.0-1")])
        .await
        .expect("forward");
    assert_eq!(forward.way_back, WayBack::Yes, "its source lists it still");
    assert_eq!(forward.former[0].sha256, content::sha256(&old.deb()));
    // The vendor lists the new one alone; the old file was not fetched.
    shop.publish(std::slice::from_ref(&new)).await;
    let update = [shop.update("app", "2.0-1")];
    let forward = shop.forward(&update).await.expect("forward");
    let without = WayBack::No {
        packages: vec!["app:amd64 1.0-1".to_owned()],
    };
    assert_eq!(forward.way_back, without);
    let fetched = shop.acquire(&forward.former).await;
    assert_eq!(fetched.failed, [], "it stands in the pool still");
    assert_eq!(
        shop.forward(&update).await.expect("forward").way_back,
        WayBack::Yes
    );
    // The host goes forward, and back.
    shop.report(std::slice::from_ref(&new)).await;
    let updates = former_updates(context, &scope, shop.host, &forward.packages)
        .await
        .expect("it is listed");
    assert_eq!(updates, [shop.update("app", "1.0-1")]);
    let back = shop.resolve(&updates, Direction::BackOut).await.expect("back");
    assert_eq!(shown(&back), ["app:amd64 2.0-1 1.0-1"]);
    assert_ne!(
        back.snapshots[0].release, forward.snapshots[0].release,
        "the one that lists it"
    );
    assert_eq!(shop.acquire(&back.files).await.failed, []);
    assert!(
        matches!(why(shop.forward(&updates).await), Unresolved::Nothing),
        "it is not forward"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_its_source_replaced_is_retracted_and_one_that_it_lists_is_not() {
    let (old, new) = (Package::new("app", "1.0-1"), Package::new("app", "2.0-1"));
    let shop = Shop::new(std::slice::from_ref(&old), &[old.clone(), new.clone()]).await;
    let (context, scope) = (&shop.fleet.world.context, shop.fleet.world.scope());
    let updates = [shop.update("app", "1.0-1"), shop.update("app", "2.0-1")];
    let gone = async || {
        retracted(context, &scope, &updates)
            .await
            .expect("the database answers")
    };
    assert_eq!(gone().await, []);
    shop.publish(&[new]).await;
    let gone = gone().await;
    assert_eq!(
        gone.iter().map(|(update, _)| update).collect::<Vec<_>>(),
        [&updates[0]]
    );
    assert!(gone[0].1 <= shop.fleet.world.now());
}
