//! `simulation`: runs many seeds, or one again, and says what was broken; or measures a server under load.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use simulation::run::{START_SECONDS, tell};
use simulation::site::Template;
use simulation::{Copying, Report, load, simulate};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

/// Runs the seeded simulation of server and agents.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads that run seeds, each its own.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Run this seed alone, and tell what happened.
    #[arg(long)]
    tell: Option<u64>,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What to do instead of running seeds.
#[derive(Debug, clap::Subcommand)]
enum Instead {
    /// Measures a server under load; prints a line of JSON for each figure.
    Load(load::Options),
    /// Runs the server that is put under load.
    Serve {
        /// Its data folder.
        #[arg(long)]
        data: PathBuf,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(instead) = arguments.instead {
        return under_load(instead);
    }
    if let Some(seed) = arguments.tell {
        return tell_one(seed);
    }
    let threads: Vec<_> = (0..arguments.threads.max(1))
        .map(|number| {
            let step = arguments.threads.max(1);
            let (first, end) = (arguments.from + number, arguments.from + arguments.seeds);
            std::thread::spawn(move || run(first, end, step))
        })
        .collect();
    let mut total = Total::default();
    for thread in threads {
        total.add(
            thread
                .join()
                .ok()
                .context("a thread of the simulation panicked")??,
        );
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} seeds, {} events, {} requests",
        total.seeds, total.events, total.requests
    )?;
    for (what, count) in &total.mishaps {
        writeln!(out, "{count:>8} {what}")?;
    }
    writeln!(out, "longest until all was right again: {} s", total.calm_seconds)?;
    for (seed, why) in &total.broken {
        writeln!(out, "seed {seed}: {why}")?;
    }
    if !total.broken.is_empty() {
        bail!("{} seeds broke a promise", total.broken.len());
    }
    Ok(())
}

fn under_load(what: Instead) -> Result<()> {
    // Both share the machine: neither takes more threads than it has processors.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match what {
            Instead::Serve { data } => load::serve::run(&data).await,
            Instead::Load(options) => {
                let program = std::env::current_exe().context("find this program")?;
                for figure in load::measure(&options, &program).await? {
                    writeln!(std::io::stdout(), "{}", figure.to_line())?;
                }
                Ok(())
            }
        }
    })
}

fn tell_one(seed: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended, story) = runtime.block_on(async {
        let template = Template::new(jiff::Timestamp::from_second(START_SECONDS)?).await?;
        anyhow::Ok(tell(&template, seed, Copying::Happens).await)
    })?;
    let mut out = std::io::stdout().lock();
    for line in story {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{:?}", ended?)?;
    Ok(())
}

#[derive(Default)]
struct Total {
    seeds: u64,
    events: u64,
    requests: u64,
    calm_seconds: i64,
    mishaps: BTreeMap<&'static str, u64>,
    broken: BTreeMap<u64, String>,
}

impl Total {
    fn count(&mut self, report: Report) {
        self.seeds += 1;
        self.events += report.events;
        self.requests += report.requests;
        self.calm_seconds = self.calm_seconds.max(report.calm_seconds);
        for (what, count) in report.mishaps {
            *self.mishaps.entry(what).or_default() += count;
        }
    }

    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.requests += other.requests;
        self.calm_seconds = self.calm_seconds.max(other.calm_seconds);
        for (what, count) in other.mishaps {
            *self.mishaps.entry(what).or_default() += count;
        }
        self.broken.extend(other.broken);
    }
}

fn run(first: u64, end: u64, step: u64) -> Result<Total> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let template = Template::new(jiff::Timestamp::from_second(START_SECONDS)?).await?;
        let mut total = Total::default();
        let mut seed = first;
        while seed < end {
            match simulate(&template, seed, Copying::Happens).await {
                Ok(report) => total.count(report),
                Err(error) => {
                    total.seeds += 1;
                    total.broken.insert(seed, format!("{error:#}"));
                }
            }
            seed += step;
        }
        Ok(total)
    })
}
