//! The table: each row's two sides, their ratio, what was to be reached, and whether it was.

use super::measure::Figures;
use crate::command;
use crate::tree::Tree;
use anyhow::Result;
use std::fmt::{self, Write};
use std::fs;
use std::process::Command;

/// One row of the table.
pub struct Row {
    /// What was done.
    pub what: String,
    /// Our side.
    pub ours: Side,
    /// The tool that people use today; absent where there is none.
    pub peer: Option<Side>,
    /// What was to be reached.
    pub reach: Vec<Reach>,
    /// What else came out, such as how many answers agree.
    pub remark: String,
}

/// Who did it, and what it cost.
pub struct Side {
    /// The tool.
    pub name: String,
    /// Medians.
    pub figures: Figures,
}

/// What a row promises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    /// Wall time, as a part of the peer's.
    WallRatio(f64),
    /// CPU time, as a part of the peer's.
    CpuRatio(f64),
    /// Wall time in seconds.
    Wall(f64),
    /// CPU time in seconds.
    Cpu(f64),
    /// How many in a second, at least, where the wall time is that of one.
    PerSecond(f64),
    /// Peak memory in MiB.
    PeakMib(f64),
}

impl Reach {
    /// What came out, in the reach's own unit; nothing where a peer is needed and missing.
    fn reached(self, row: &Row) -> Option<f64> {
        let ours = row.ours.figures;
        let peer = row.peer.as_ref().map(|peer| peer.figures);
        match self {
            Self::WallRatio(_) => peer.map(|peer| ours.wall / peer.wall),
            Self::CpuRatio(_) => Some(ours.cpu? / peer?.cpu?),
            Self::Wall(_) | Self::PerSecond(_) => Some(ours.wall),
            Self::Cpu(_) => ours.cpu,
            Self::PeakMib(_) => ours.peak_mib,
        }
    }

    fn limit(self) -> f64 {
        match self {
            Self::WallRatio(limit)
            | Self::CpuRatio(limit)
            | Self::Wall(limit)
            | Self::Cpu(limit)
            | Self::PeakMib(limit) => limit,
            Self::PerSecond(least) => 1.0 / least,
        }
    }

    /// Whether the row keeps this promise; a figure that could not be had does not.
    pub fn is_met(self, row: &Row) -> bool {
        self.reached(row).is_some_and(|reached| reached <= self.limit())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WallRatio(limit) => write!(f, "≤ {limit} × wall"),
            Self::CpuRatio(limit) => write!(f, "≤ {limit} × CPU"),
            Self::Wall(limit) => write!(f, "≤ {limit} s"),
            Self::Cpu(limit) => write!(f, "≤ {limit} s CPU"),
            Self::PerSecond(least) => write!(f, "≥ {least} per s"),
            Self::PeakMib(limit) => write!(f, "≤ {limit} MiB"),
        }
    }
}

/// A time in the unit that reads best.
struct Seconds(f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            short if short < 0.1 => write!(f, "{:.1} ms", short * 1000.0),
            middle if middle < 10.0 => write!(f, "{middle:.2} s"),
            long => write!(f, "{long:.0} s"),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { wall, cpu, peak_mib } = self.figures;
        // Some rows are of a size or of processor time alone.
        let wall = (wall > 0.0 || cpu.or(peak_mib).is_none()).then(|| Seconds(wall).to_string());
        let cpu = cpu.map(|cpu| format!("CPU {}", Seconds(cpu)));
        let peak = peak_mib.map(|peak| format!("{peak:.0} MiB"));
        let figures: Vec<String> = [wall, cpu, peak].into_iter().flatten().collect();
        f.write_str(&figures.join(", "))
    }
}

/// The whole page, as Markdown.
pub fn page(tree: &Tree, rows: &[Row], repeats: usize) -> Result<String> {
    let mut page = String::from("# Speed and memory\n\n");
    writeln!(page, "Written by `make bench`: {}.", circumstances(tree)?)?;
    writeln!(
        page,
        "Wall time, CPU time of all threads, peak of resident memory; medians of {repeats} runs, ours and the peer's turn by turn, where \
         a row does not say otherwise. A ratio is ours divided by the peer's.\n"
    )?;
    page.push_str(&table(rows)?);
    Ok(page)
}

fn table(rows: &[Row]) -> Result<String> {
    let mut table =
        String::from("| what | ours | peer | ratio (wall, CPU) | reach | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let (peer, ratio) = match &row.peer {
            Some(peer) => {
                let wall = row.ours.figures.wall / peer.figures.wall;
                let cpu = row.ours.figures.cpu.zip(peer.figures.cpu);
                let cpu = cpu.map_or(String::new(), |(ours, theirs)| format!(", {:.3}", ours / theirs));
                (format!("{}: {peer}", peer.name), format!("{wall:.3}{cpu}"))
            }
            None => ("—".into(), "—".into()),
        };
        let reach: Vec<String> = row.reach.iter().map(ToString::to_string).collect();
        let missed: Vec<String> = row
            .reach
            .iter()
            .filter(|reach| !reach.is_met(row))
            .map(|reach| format!("missed: {reach}"))
            .collect();
        let verdict = if row.reach.is_empty() {
            String::new()
        } else if missed.is_empty() {
            "met".into()
        } else {
            missed.join(", ")
        };
        let what = if row.remark.is_empty() {
            row.what.clone()
        } else {
            format!("{} ({})", row.what, row.remark)
        };
        writeln!(
            table,
            "| {what} | {} | {peer} | {ratio} | {} | {verdict} |",
            row.ours,
            reach.join(", ")
        )?;
    }
    Ok(table)
}

/// Date, commit, machine and versions, in one sentence.
fn circumstances(tree: &Tree) -> Result<String> {
    let said = |words: &[&str]| -> Result<String> {
        let mut command = Command::new(words[0]);
        Ok(
            command::output(command.args(&words[1..]).current_dir(tree.root()))?
                .trim()
                .to_owned(),
        )
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": an unnamed processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "{}, commit {}, {cores} cores of {}, {}, {}, {}",
        said(&["date", "-u", "+%F"])?,
        said(&["git", "rev-parse", "--short", "HEAD"])?,
        model.trim_start_matches([' ', '\t', ':']),
        said(&["sh", "-c", ". /etc/os-release; echo \"$PRETTY_NAME\""])?,
        said(&["rustc", "--version"])?,
        said(&["apt", "--version"])?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, peer: Option<f64>) -> Row {
        let side = |wall| Side {
            name: "a".into(),
            figures: Figures {
                wall,
                cpu: Some(wall),
                peak_mib: Some(50.0),
            },
        };
        Row {
            what: "scan".into(),
            ours: side(ours),
            peer: peer.map(side),
            reach: vec![Reach::WallRatio(0.08), Reach::PeakMib(60.0)],
            remark: String::new(),
        }
    }

    #[test]
    fn a_missed_reach_is_said() {
        let table =
            table(&[row(0.03, Some(0.5)), row(0.3, Some(0.5))]).expect("writing to a string cannot fail");
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[2].ends_with("| met |"), "{table}");
        assert!(lines[3].ends_with("| missed: ≤ 0.08 × wall |"), "{table}");
    }

    #[test]
    fn a_ratio_without_a_peer_is_not_met() {
        assert!(!Reach::WallRatio(0.08).is_met(&row(0.01, None)));
    }
}
