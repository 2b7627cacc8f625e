//! A server with 100,000 hosts: its assessment on stored rows, its lists over HTTPS, its memory. There is no peer: no tool of
//! today answers this without asking each host.

use super::promise::{self, Promise};
use super::{Bench, Reach, Row, bench_program};
use crate::command;
use anyhow::Result;
use std::process::Command;

const PROMISES: [Promise; 11] = [
    Promise {
        figure: "10000 hosts assessed from stored rows",
        what: "10,000 hosts assessed from stored rows, findings stored",
        reach: Some(Reach::Wall(1.0)),
    },
    Promise {
        figure: "100000 hosts assessed from stored rows, beside others",
        what: "100,000 hosts assessed from stored rows, findings stored",
        reach: None,
    },
    Promise {
        figure: "one changed inventory, stored",
        what: "one changed inventory at 100,000 hosts, amortised over a batch, stored",
        reach: Some(Reach::Wall(0.002)),
    },
    Promise {
        figure: "a sync with 40 new updates, stored",
        what: "a sync with 40 new updates at 100,000 hosts, stored",
        reach: Some(Reach::Wall(0.05)),
    },
    Promise {
        figure: "slowest of",
        what: "API: the slowest list or filter at 100,000 hosts, over HTTPS, p95",
        reach: Some(Reach::Wall(0.05)),
    },
    Promise {
        figure: "all lists, p95",
        what: "API: all lists and filters together, p95",
        reach: Some(Reach::Wall(0.05)),
    },
    Promise {
        figure: "110000 hosts ready after a start",
        what: "a server that starts has all findings in memory again",
        reach: None,
    },
    Promise {
        figure: "server with all hosts assessed, resident",
        what: "memory of a server with 110,000 hosts in memory",
        reach: Some(Reach::PeakMib(1024.0)),
    },
    Promise {
        figure: "the same after a sync, at most",
        what: "the same at most, with all lists asked and a sync taken in",
        reach: Some(Reach::PeakMib(1280.0)),
    },
    Promise {
        figure: "a small tenant's list beside",
        what: "a small tenant's list while 100,000 hosts of another take in a sync, p99",
        reach: Some(Reach::Wall(0.05)),
    },
    Promise {
        figure: "a small tenant's change beside",
        what: "a small tenant's change meanwhile, acknowledged after fsync, p99",
        reach: Some(Reach::Wall(0.3)),
    },
];

/// All of it, in one run of some minutes.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let program = bench_program(bench, "server", "assess")?;
    let printed = command::output(&mut Command::new(program))?;
    let figures = promise::figures(&printed)?;
    let rows = PROMISES
        .iter()
        .map(|promise| promise::row("server", promise, &figures));
    rows.collect()
}
