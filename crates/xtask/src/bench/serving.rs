//! Files of orders over TLS, turn by turn with nginx; and a thousand agents that want one large file at the same moment.

use super::promise::{self, Promise};
use super::{Bench, Reach, Row, bench_program};
use crate::command;
use anyhow::Result;
use std::process::Command;

/// Ours and the peer's figure of each size.
const SIZES: [[Promise; 2]; 3] = [
    [
        told(
            "1 KB over TLS, patchyard",
            "a file of 1 KB over TLS, 16 connections, each answer",
        ),
        told("1 KB over TLS, nginx", ""),
    ],
    [
        told(
            "100 KB over TLS, patchyard",
            "a file of 100 KB over TLS, 16 connections, each answer",
        ),
        told("100 KB over TLS, nginx", ""),
    ],
    [
        told(
            "20 MB over TLS, patchyard",
            "a file of 20 MB over TLS, 16 connections, each answer",
        ),
        told("20 MB over TLS, nginx", ""),
    ],
];

const fn told(figure: &'static str, what: &'static str) -> Promise {
    Promise {
        figure,
        what,
        reach: None,
    }
}

const MEMORY: Promise = Promise {
    figure: "1000 agents ask for one file of 100 MB",
    what: "1,000 agents ask for one file of 100 MB at once: memory of the server's own above idle",
    reach: Some(Reach::PeakMib(95.0)),
};

/// All of it, in one run of some minutes.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let program = bench_program(bench, "server", "serving")?;
    let printed = command::output(&mut Command::new(program))?;
    let figures = promise::figures(&printed)?;
    let mut rows = Vec::new();
    for [ours, peer] in &SIZES {
        let ours = promise::row("server", ours, &figures)?;
        let peer = promise::row("nginx", peer, &figures).ok();
        rows.push(Row {
            peer: peer.map(|peer| peer.ours),
            // At least 0.8 of the peer's rate.
            reach: vec![Reach::WallRatio(1.25)],
            ..ours
        });
    }
    rows.push(promise::row("server", &MEMORY, &figures)?);
    Ok(rows)
}
