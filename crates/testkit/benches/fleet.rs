//! How long the findings of whole fleets take, each in a process of its own so that its peak memory is its own:
//! `cargo bench -p testkit --bench fleet`. One line each: hosts, threads, wall seconds, CPU seconds, peak memory in KiB,
//! and what was found. `-- HOSTS THREADS CHECK` measures one (CHECK `each` compares with host by host, `none` does not).

#![expect(clippy::print_stdout, reason = "a bench prints")]

use anyhow::{Context, Result, bail, ensure};
use domain::assess::fleet::{
    ChannelsNo, ChunkFindings, ChunkNo, Fleet, HostNo, PackageId, PackageVerdict, VerdictTable, assess_chunk,
};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use testkit::fleet::World;

const PACKAGES: usize = 900;
const DISTINCT_PERCENT: u32 = 95;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            for _ in 0..5 {
                run_alone(&["10000", "1", "each"])?;
            }
            run_alone(&["1000000", "2", "none"])
        }
        [hosts, threads, check] => measure(hosts.parse()?, threads.parse()?, check),
        _ => bail!("HOSTS THREADS CHECK"),
    }
}

fn run_alone(words: &[&str]) -> Result<()> {
    let status = Command::new(std::env::current_exe()?).args(words).status()?;
    ensure!(status.success(), "{words:?} failed");
    Ok(())
}

fn measure(hosts: u32, threads: usize, check: &str) -> Result<()> {
    let started = Instant::now();
    let world = World::new(0x00f1_ee70, PACKAGES)?;
    let fleet = world.fleet(hosts, DISTINCT_PERCENT);
    let made = started.elapsed();
    let before = usage()?;
    let started = Instant::now();
    let table = VerdictTable::new(world.channels(), world.interner().len(), |channels, package| {
        world.verdict(channels, package)
    });
    let found = assess(&fleet, &table, threads);
    let wall = started.elapsed();
    let after = usage()?;
    let findings: u64 = found
        .iter()
        .flat_map(|chunk| chunk.missing.values())
        .map(|hosts| hosts.len())
        .sum();
    let unknown: u64 = found.iter().map(|chunk| chunk.unknown.len()).sum();
    println!(
        "{hosts} hosts x {PACKAGES}, {threads} threads: {:.4} s, {:.4} s CPU, {} KiB peak; {findings} findings, {unknown} unknown, \
         {} distinct inventories; made in {:.1} s",
        wall.as_secs_f64(),
        (after.cpu - before.cpu).as_secs_f64(),
        after.peak_kib,
        fleet.distinct_inventories(),
        made.as_secs_f64(),
    );
    if check == "each" {
        assert_as_each_host_alone(&world, hosts, &found)
    } else {
        Ok(())
    }
}

/// The chunks, shared out between threads as they become free.
fn assess<Rule>(fleet: &Fleet, table: &VerdictTable<Rule>, threads: usize) -> Vec<ChunkFindings>
where
    Rule: Fn(ChannelsNo, PackageId) -> PackageVerdict + Sync,
{
    let chunks = Mutex::new(fleet.chunks());
    let next = || -> Option<ChunkNo> { chunks.lock().ok()?.next() };
    let work = || {
        std::iter::from_fn(next)
            .map(|chunk| assess_chunk(fleet, table, chunk))
            .collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut found = work();
        found.extend(
            others
                .into_iter()
                .flat_map(|other| other.join().expect("assessing does not panic")),
        );
        found
    })
}

fn assert_as_each_host_alone(world: &World, hosts: u32, found: &[ChunkFindings]) -> Result<()> {
    let started = Instant::now();
    let mut updates_by_host = BTreeMap::<u32, Vec<u32>>::new();
    for (update, missing) in found.iter().flat_map(|chunk| &chunk.missing) {
        for host in missing {
            updates_by_host.entry(host).or_default().push(update.0);
        }
    }
    for host in 0..hosts {
        let (channels, packages) = world.packages(host, DISTINCT_PERCENT);
        ensure!(
            packages.len() == PACKAGES,
            "host {host} has {} packages",
            packages.len()
        );
        let (mut alone, mut unknown) = (Vec::new(), false);
        for package in packages.iter() {
            match world.verdict(channels, package) {
                PackageVerdict::Settled => {}
                PackageVerdict::Missing(update, _) => alone.push(update.0),
                PackageVerdict::Unknown => unknown = true,
            }
        }
        alone.sort_unstable();
        alone.dedup();
        ensure!(
            updates_by_host.remove(&host).unwrap_or_default() == alone,
            "host {host} differs"
        );
        let chunk = found
            .iter()
            .find(|chunk| chunk.chunk == HostNo(host).chunk())
            .context("a chunk is missing")?;
        ensure!(
            chunk.unknown.contains(host) == unknown,
            "host {host} differs in what is unknown"
        );
    }
    ensure!(updates_by_host.is_empty(), "findings for hosts that are none");
    println!(
        "  equal to host by host, checked in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

struct Usage {
    cpu: Duration,
    peak_kib: u64,
}

fn usage() -> Result<Usage> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // proc(5): utime and stime are fields 14 and 15, in hundredths of a second; the name before may hold spaces.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let hundredths = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let peak_kib = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(Usage {
        cpu: Duration::from_millis(hundredths * 10),
        peak_kib,
    })
}
