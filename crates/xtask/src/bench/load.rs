//! A server under load, by agents that speak the real protocol over TLS from the same two cores. There is no peer: what
//! people use today is not asked this way.

use super::promise::{self, Promise};
use super::{Bench, Reach, Row};
use crate::command;
use anyhow::Result;
use std::process::Command;

const PROMISES: [Promise; 12] = [
    Promise {
        figure: "kept connections, unchanged check-ins",
        what: "unchanged check-ins, connections kept, each signed both ways",
        reach: Some(Reach::PerSecond(6_000.0)),
    },
    Promise {
        figure: "kept connections, p99",
        what: "the same, 99 of 100 answered within",
        reach: Some(Reach::Wall(0.05)),
    },
    Promise {
        figure: "kept connections, request",
        what: "the same, bytes of the largest request: at most 2,000, or no figure",
        reach: Some(Reach::Wall(0.0)),
    },
    Promise {
        figure: "kept connections, answer",
        what: "the same, bytes of the largest answer: at most 2,000, or no figure",
        reach: Some(Reach::Wall(0.0)),
    },
    Promise {
        figure: "check-ins on new connections, resumed",
        what: "check-ins on new connections, resumed",
        reach: Some(Reach::PerSecond(1_500.0)),
    },
    Promise {
        figure: "check-ins on new connections, full",
        what: "check-ins on new connections, full mutual handshake",
        reach: Some(Reach::PerSecond(500.0)),
    },
    Promise {
        figure: "inventories of",
        what: "full inventories of 900 packages, acknowledged after fsync",
        reach: Some(Reach::PerSecond(1_000.0)),
    },
    Promise {
        figure: "inventories, p99",
        what: "the same, 99 of 100 acknowledged within",
        reach: Some(Reach::Wall(0.3)),
    },
    Promise {
        figure: "20000 agents reconnecting",
        what: "20,000 agents reconnect after kill -9, all answered within",
        reach: Some(Reach::Wall(60.0)),
    },
    Promise {
        figure: "reconnecting, server's memory",
        what: "the server's memory meanwhile",
        reach: Some(Reach::PeakMib(600.0)),
    },
    Promise {
        figure: "reconnecting, open at once",
        what: "connections that were open together then",
        reach: Some(Reach::Wall(0.0)),
    },
    Promise {
        figure: "inventories acknowledged before kill -9",
        what: "acknowledged inventories lost by kill -9 in the middle: none, or no figure",
        reach: Some(Reach::Wall(0.0)),
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
    let figures = promise::figures(&printed)?;
    let rows = PROMISES
        .iter()
        .map(|promise| promise::row("server and load on the same processors", promise, &figures));
    rows.collect()
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
            let figures = promise::figures(&line).expect("a figure");
            let row = promise::row("server", &PROMISES[0], &figures).expect("it is there");
            row.reach[0].is_met(&row)
        };
        assert!(met(6_001.0));
        assert!(!met(5_999.0));
        assert!(promise::row("server", &PROMISES[1], &[]).is_err());
    }
}
