//! What it costs to keep a fleet's findings current: `cargo bench -p server --bench assess -- HOSTS`. One line each: what,
//! then the median of wall milliseconds.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and looks at the clock"
)]

#[path = "assess/world.rs"]
mod world;

use anyhow::Result;
use content::Store;
use domain::assess::fleet::{HostNo, PackageSet, Reading};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use server::assess::fleet::{Fleet, HostRow};
use std::time::Instant;
use world::{CODENAMES, Sourced};

fn main() -> Result<()> {
    let hosts: u32 = std::env::args()
        .skip(1)
        .find(|word| word != "--bench")
        .map_or(Ok(10_000), |word| word.parse())?;
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    let folder = tempfile::tempdir()?;
    let content = Store::open(&folder.path().join("content"))?;
    let mut sourced = Sourced::new(0x00f1_ee70, now)?;
    let first = sourced.publish(&content)?;
    sourced.release(1, 40);
    let second = sourced.publish(&content)?;
    let inventories: Vec<(usize, PackageSet)> = (0..hosts).map(|host| sourced.host(host)).collect();

    let mut fleet = Fleet::default();
    let began = Instant::now();
    for (number, key) in &sourced.keys {
        fleet.packages_mut().assign(*number, key.key())?;
    }
    println!("interning {} packages: {:.1} ms", sourced.keys.len(), ms(began));
    fleet.set_in_force(sourced.in_force(&first), &content, now);
    for place in 0..CODENAMES.len() {
        fleet.learn_config(config_digest(place), sourced.config(place), Reading::Whole);
    }
    let began = Instant::now();
    for (host, (place, packages)) in inventories.iter().enumerate() {
        tell(
            &mut fleet,
            host as u32,
            *place,
            packages.clone(),
            0,
            &content,
            now,
        );
    }
    println!("{hosts} hosts judged: {:.1} ms", ms(began));
    println!(
        "  {} updates missed, {} hosts unknown, {} findings",
        fleet.ledger().updates().count(),
        fleet.ledger().unknown().len(),
        fleet
            .ledger()
            .updates()
            .map(|(_, hosts)| hosts.len())
            .sum::<u64>(),
    );
    fleet.take_changes();

    let began = Instant::now();
    let batch = 100;
    for host in 0..batch {
        // Another host of the same distribution has what this one has now.
        let (place, _) = inventories[host as usize];
        let other = (batch..hosts)
            .find(|other| inventories[*other as usize].0 == place)
            .unwrap_or(host);
        let packages = inventories[other as usize].1.clone();
        tell(&mut fleet, host, place, packages, 1, &content, now);
    }
    let changed = fleet.take_changes();
    println!(
        "{batch} changed inventories: {:.3} ms each; {} bitmaps changed",
        ms(began) / f64::from(batch),
        changed.missing.len()
    );

    let began = Instant::now();
    let judged = fleet.set_in_force(sourced.in_force(&second), &content, now);
    let changed = fleet.take_changes();
    println!(
        "a sync with 40 new updates: {:.1} ms; {judged} judged, {} bitmaps changed",
        ms(began),
        changed.missing.len()
    );
    Ok(())
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn config_digest(place: usize) -> Sha256Digest {
    Sha256Digest([place as u8; 32])
}

fn tell(
    fleet: &mut Fleet,
    host: u32,
    place: usize,
    packages: PackageSet,
    round: u8,
    content: &Store,
    now: Timestamp,
) {
    let inventory = content::sha256(format!("{host} {round}").as_bytes());
    let row = HostRow {
        inventory: Some(inventory),
        channel_config: Some(config_digest(place)),
    };
    let kept = fleet.learn_set(inventory, packages);
    fleet.tell(HostNo(host), row, content, now);
    drop(kept);
}
