//! What hosts miss, fetched before anybody asks.

use super::Shop;
use content::Sweep;
use jiff::SignedDuration;
use server::operations::sweep::sweep;
use std::sync::Arc;
use testkit::archive::package::Package;

/// A package of more than half a mebibyte: nothing in a package file of the tests is packed, and its list packs badly.
fn large(name: &str) -> Package {
    let digests = (0..9_600_u32).map(|at| content::sha256(&at.to_be_bytes()).to_string());
    Package::new(name, "2.0-1").field("X-Weight", &digests.collect::<String>())
}

async fn shop() -> (Shop, [Package; 2]) {
    let packages = [large("app"), large("lib")];
    let has = ["app", "lib"].map(|name| Package::new(name, "1.0-1"));
    (Shop::new(&has, &packages).await, packages)
}

impl Shop {
    fn has(&self, package: &Package) -> bool {
        let content = &self.fleet.world.context.content;
        content.contains(&content::sha256(&package.deb()))
    }

    fn budget_mib(&mut self, mib: u32) {
        Arc::make_mut(&mut self.fleet.world.context.settings)
            .file
            .fetch_ahead_mib = mib;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hosts_miss_is_fetched_ahead_within_the_budget() {
    let (mut shop, packages) = shop().await;
    for (budget, fetched) in [(0, 0), (1, 1), (2, 2)] {
        shop.budget_mib(budget);
        shop.fleet.run("fetch-ahead").await;
        let here = packages.iter().filter(|package| shop.has(package)).count();
        assert_eq!(here, fetched, "{budget} MiB");
    }
    let asked: usize = packages
        .iter()
        .map(|package| shop.fleet.archive().count(&package.filename()))
        .sum();
    assert_eq!(asked, 2, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_ahead_is_kept_while_it_is_missed_and_no_longer() {
    let (shop, [app, lib]) = shop().await;
    shop.fleet.run("fetch-ahead").await;
    assert!(shop.has(&app) && shop.has(&lib));
    shop.report(&[Package::new("lib", "1.0-1")]).await;
    shop.fleet.run("assess").await;
    shop.fleet.run("fetch-ahead").await;
    let world = &shop.fleet.world;
    // What is swept is old by this machine's time, which files have.
    world.pass(SignedDuration::from_hours(24 * 400));
    sweep(&world.context, Sweep::Remove).await.expect("a sweep");
    assert!(shop.has(&lib), "it is missed");
    assert!(!shop.has(&app), "nobody misses it");
}
