//! How long reading a host takes: its status alone, all of it, what updates do, and the running processes.
//! `cargo bench -p agent --bench host [-- ROOT]`; without a root, this machine. One line each: what, median seconds.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and measures real time"
)]

use agent::effects::processes::Processes;
use agent::effects::{PackageRef, ProcessView, Surroundings};
use agent::host::{Host, ReadOptions};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

const ROUNDS: usize = 51;
/// As many packages as a large pending upgrade has.
const UPDATES: usize = 120;
/// The status of a large server.
const PACKAGES: usize = 1_200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args()
        .skip(1)
        .find(|word| word != "--bench")
        .map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let host = agent::host::read(&root, ReadOptions::default())?;
    let status = std::fs::read(host.tree.outside(&format!("{}/status", host.dpkg)))?;
    let large = enlarged(&status, PACKAGES);
    let count = agent::dpkg_status::parse("status", &large)?.0.packages.len();
    measure(
        &format!("status of {count} packages, {} bytes", large.len()),
        || agent::dpkg_status::parse("status", black_box(&large)).map(drop),
    )?;
    measure(
        &format!("whole host, {} packages", host.inventory.packages.len()),
        || agent::host::read(&root, ReadOptions::default()).map(drop),
    )?;
    effects(&host)
}

fn effects(host: &Host) -> Result<(), Box<dyn std::error::Error>> {
    let packages = host.inventory.packages.iter().take(UPDATES);
    let packages: Vec<_> = packages
        .map(|package| PackageRef {
            name: &package.name,
            architecture: &package.architecture,
        })
        .collect();
    let effects = |view| {
        let surroundings = Surroundings::new(&host.tree, &host.dpkg, &host.facts, view);
        black_box(surroundings.effects(&packages));
        Ok::<(), std::io::Error>(())
    };
    measure(
        &format!("effects of {} packages, processes unseen", packages.len()),
        || effects(ProcessView::Unseen),
    )?;
    if host.tree.is_live() {
        measure("running processes", || Processes::read(&host.tree).map(drop))?;
        let processes = Processes::read(&host.tree)?;
        measure(
            &format!("effects of {} packages, processes seen", packages.len()),
            || effects(ProcessView::Seen(&processes)),
        )?;
    }
    Ok(())
}

/// The status with its stanzas repeated under other names until there are `wanted`.
fn enlarged(status: &[u8], wanted: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(status);
    let stanzas: Vec<&str> = text
        .split("\n\n")
        .filter(|stanza| stanza.starts_with("Package: "))
        .collect();
    let numbered = stanzas.iter().cycle().take(wanted).enumerate();
    let renamed =
        numbered.map(|(number, stanza)| stanza.replacen("Package: ", &format!("Package: n{number}-"), 1));
    renamed
        .flat_map(|stanza| [stanza, "\n\n".to_owned()])
        .collect::<String>()
        .into_bytes()
}

fn measure<E>(what: &str, mut run: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    let mut seconds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        run()?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!("{what}: {:.6} s (least {:.6})", seconds[ROUNDS / 2], seconds[0]);
    Ok(())
}
