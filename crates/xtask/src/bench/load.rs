//! A server under load, by agents that speak the real protocol over TLS from the same two cores. There is no peer: what
//! people use today is not asked this way.

use super::measure::Figures;
use super::{Bench, Reach, Row, Side};
use crate::command;
use anyhow::{Context, Result};
use std::process::Command;

/// What is promised of one figure that the load prints.
struct Promise {
    /// How the figure's name begins.
    figure: &'static str,
    /// What it is in the table.
    what: &'static str,
    /// What was to be reached.
    reach: Reach,
}

const PROMISES: [Promise; 12] = [
    Promise {
        figure: "kept connections, unchanged check-ins",
        what: "unchanged check-ins, connections kept, each signed both ways",
        reach: Reach::PerSecond(6_000.0),
    },
    Promise {
        figure: "kept connections, p99",
        what: "the same, 99 of 100 answered within",
        reach: Reach::Wall(0.05),
    },
    Promise {
        figure: "kept connections, request",
        what: "the same, bytes of the largest request: at most 2,000, or no figure",
        reach: Reach::Wall(0.0),
    },
    Promise {
        figure: "kept connections, answer",
        what: "the same, bytes of the largest answer: at most 2,000, or no figure",
        reach: Reach::Wall(0.0),
    },
    Promise {
        figure: "check-ins on new connections, resumed",
        what: "check-ins on new connections, resumed",
        reach: Reach::PerSecond(1_500.0),
    },
    Promise {
        figure: "check-ins on new connections, full",
        what: "check-ins on new connections, full mutual handshake",
        reach: Reach::PerSecond(500.0),
    },
    Promise {
        figure: "inventories of",
        what: "full inventories of 900 packages, acknowledged after fsync",
        reach: Reach::PerSecond(1_000.0),
    },
    Promise {
        figure: "inventories, p99",
        what: "the same, 99 of 100 acknowledged within",
        reach: Reach::Wall(0.3),
    },
    Promise {
        figure: "20000 agents reconnecting",
        what: "20,000 agents reconnect after kill -9, all answered within",
        reach: Reach::Wall(60.0),
    },
    Promise {
        figure: "reconnecting, server's memory",
        what: "the server's memory meanwhile",
        reach: Reach::PeakMib(600.0),
    },
    Promise {
        figure: "reconnecting, open at once",
        what: "connections that were open together then",
        reach: Reach::Wall(0.0),
    },
    Promise {
        figure: "inventories acknowledged before kill -9",
        what: "acknowledged inventories lost by kill -9 in the middle: none, or no figure",
        reach: Reach::Wall(0.0),
    },
];

/// All of it, once: a rate over ten seconds is a median of its own.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    command::run(
        Command::new("cargo")
            .args(["build", "--quiet", "--release", "--locked", "-p", "simulation"])
            .current_dir(bench.tree.root()),
    )?;
    let program = bench.tree.root().join("target/release/simulation");
    let printed = command::output(
        Command::new(program)
            .args(["load", "--data"])
            .arg(bench.folder.join("load")),
    )?;
    let figures: Vec<Figure> = printed
        .lines()
        .map(|line| read(line).with_context(|| format!("read what the load printed: {line}")))
        .collect::<Result<_>>()?;
    PROMISES.iter().map(|promise| row(promise, &figures)).collect()
}

struct Figure {
    name: String,
    value: f64,
    unit: String,
}

fn read(line: &str) -> Option<Figure> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(Figure {
        name: line.get("name")?.as_str()?.to_owned(),
        value: line.get("value")?.as_f64()?,
        unit: line.get("unit")?.as_str()?.to_owned(),
    })
}

fn row(promise: &Promise, figures: &[Figure]) -> Result<Row> {
    let figure = figures
        .iter()
        .find(|figure| figure.name.starts_with(promise.figure))
        .with_context(|| format!("the load printed no figure of {}", promise.figure))?;
    let wall = match figure.unit.as_str() {
        "per s" => 1.0 / figure.value,
        "ms" => figure.value / 1e3,
        "s" => figure.value,
        _ => 0.0,
    };
    Ok(Row {
        what: promise.what.to_owned(),
        ours: Side {
            name: "server and load on the same processors".to_owned(),
            figures: Figures {
                wall,
                cpu: None,
                peak_mib: (figure.unit == "MiB").then_some(figure.value),
            },
        },
        peer: None,
        reach: vec![promise.reach],
        remark: format!("{:.0} {}", figure.value, figure.unit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_meets_its_promise_from_the_promised_rate_on() {
        let met = |value: f64| {
            let line = format!(
                r#"{{"name":"kept connections, unchanged check-ins","value":{value},"unit":"per s"}}"#
            );
            let figures = [read(&line).expect("a figure")];
            let row = row(&PROMISES[0], &figures).expect("it is there");
            row.reach[0].is_met(&row)
        };
        assert!(met(6_001.0));
        assert!(!met(5_999.0));
        assert!(row(&PROMISES[1], &[]).is_err());
    }
}
