//! The agent on this machine: its program, its two processes beside a server of their own, and what they cost in a day.

use super::measure::{Figures, measure};
use super::{Bench, Reach, Row, Side};
use crate::command;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long processes are watched.
const WATCHED: Duration = Duration::from_secs(40);
/// How long the first check-in may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds between check-ins: as they are usual, and as often as a server may want them.
const USUAL: u32 = 300;
const OFTEN: u32 = 10;
/// Full readings of the host in a day.
const READINGS: f64 = 24.0;

/// The rows of the agent.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let folder = bench.folder.join("agent");
    fs::create_dir_all(&folder).context("make a folder for the agent")?;
    command::run(
        Command::new("/proc/self/exe")
            .args(["dist", "--out"])
            .arg(&folder),
    )?;
    let program = folder.join("patchyard-agent");
    let size = fs::metadata(&program).context("measure the agent")?.len();
    fs::copy(&bench.scanner, folder.join("patchyard")).context("copy the server")?;

    let mut collect = Command::new(&program);
    collect.arg("--state").arg(folder.join("alone")).arg("collect");
    let readings: Result<Vec<Figures>> = (0..bench.repeats.min(5)).map(|_| measure(&collect)).collect();
    let reading = Figures::median(&readings?).context("no reading was measured")?;
    let quiet = watch(&folder, USUAL)?;
    let busy = watch(&folder, OFTEN)?;
    let idle = quiet.cpu_seconds / WATCHED.as_secs_f64();
    let check_ins = WATCHED.as_secs_f64() / f64::from(OFTEN);
    let one = ((busy.cpu_seconds - quiet.cpu_seconds) / check_ins).max(0.0);
    let day = idle * 86_400.0 + one * 86_400.0 / f64::from(USUAL) + reading.cpu.unwrap_or(0.0) * READINGS;
    Ok(vec![
        row(
            "the agent's program on disk",
            of_memory(size as f64 / f64::from(1 << 20)),
            Reach::PeakMib(8.0),
            format!("{size} bytes, for systems back to glibc 2.17"),
        ),
        row(
            "the agent's two processes, resident",
            of_memory(quiet.resident_mib.max(busy.resident_mib)),
            Reach::PeakMib(15.0),
            "each page counted once for every process that has it".into(),
        ),
        row(
            "the agent's processor time in a day of five-minute check-ins",
            Figures {
                cpu: Some(day),
                ..Figures::default()
            },
            Reach::Cpu(10.0),
            format!(
                "{:.2} ms a check-in, {:.3} ms a second otherwise, {:.0} ms for each of {READINGS} full readings",
                one * 1e3,
                idle * 1e3,
                reading.cpu.unwrap_or(0.0) * 1e3
            ),
        ),
        row(
            "the agent reads this host: packages, sources, facts",
            reading,
            Reach::Wall(0.3),
            format!("{} runs", bench.repeats.min(5)),
        ),
    ])
}

fn of_memory(mib: f64) -> Figures {
    Figures {
        peak_mib: Some(mib),
        ..Figures::default()
    }
}

fn row(what: &str, figures: Figures, reach: Reach, remark: String) -> Row {
    Row {
        what: what.into(),
        ours: Side {
            name: "patchyard-agent".into(),
            figures,
        },
        peer: None,
        reach: vec![reach],
        remark,
    }
}

/// What the agent's processes took while they were watched.
struct Watched {
    resident_mib: f64,
    cpu_seconds: f64,
}

/// Waits for what nobody tells of: an agent goes its own way, and is only watched.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement of what a process does in a while takes that while"
)]
fn pause(how_long: Duration) {
    std::thread::sleep(how_long);
}

/// Lets an agent check in with a server of its own every so many seconds, and watches it for a while after the first time.
fn watch(folder: &Path, every: u32) -> Result<Watched> {
    let data = folder.join(format!("every-{every}"));
    fs::create_dir_all(&data).context("make a data folder")?;
    let settings = format!("listen = \"127.0.0.1:0\"\ncheck_in_seconds = {every}\nhold_seconds = 0\n");
    fs::write(data.join("settings.toml"), settings).context("write the settings")?;
    let server = Command::new(folder.join("patchyard"))
        .args(["up", "--data"])
        .arg(&data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start a server")?;
    let server = Stopped(server);
    let begun = Instant::now();
    while agents(folder).len() < 2 {
        ensure!(begun.elapsed() < PATIENCE, "the agent's processes did not start");
        pause(Duration::from_millis(200));
    }
    // The first check-ins hand over everything.
    pause(Duration::from_secs(15));
    let before = taken(&agents(folder))?;
    pause(WATCHED);
    let after = agents(folder);
    let watched = Watched {
        resident_mib: after
            .iter()
            .map(|process| resident(process))
            .sum::<Result<f64>>()?,
        cpu_seconds: taken(&after)? - before,
    };
    drop(server);
    Ok(watched)
}

/// The processes whose program is the agent of this folder.
fn agents(folder: &Path) -> Vec<PathBuf> {
    let program = folder.join("patchyard-agent");
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.map(|process| process.path())
        .filter(|process| fs::read_link(process.join("exe")).is_ok_and(|own| own == program))
        .collect()
}

/// Seconds that processes took, to the nanosecond (schedstat, first number, of each thread).
fn taken(processes: &[PathBuf]) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for process in processes {
        for thread in fs::read_dir(process.join("task")).context("look at the agent's threads")? {
            let text = fs::read_to_string(thread?.path().join("schedstat")).context("read schedstat")?;
            let first = text.split(' ').next().unwrap_or_default();
            nanoseconds += first
                .parse::<f64>()
                .with_context(|| format!("schedstat: {text}"))?;
        }
    }
    Ok(nanoseconds / 1e9)
}

fn resident(process: &Path) -> Result<f64> {
    let status = fs::read_to_string(process.join("status")).context("read the agent's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("the kernel says VmRSS")? / 1024.0)
}

/// Ends with an interrupt, as a person would end it.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let id = self.0.id().to_string();
        drop(Command::new("kill").args(["-INT", &id]).status());
        drop(self.0.wait());
    }
}
