//! The store beside a program that commits row by row, on both engines, on the disk of this machine.

use super::measure::Figures;
use super::promise::{self, Promise};
use super::{Bench, Reach, Row, Side, bench_program};
use crate::command;
use anyhow::Result;
use std::process::Command;

const SQLITE: [Promise; 2] = [
    Promise {
        figure: "inventories, SQLite, 64 at a time",
        what: "store, SQLite: full inventories acknowledged after the commit",
        reach: Some(Reach::PerSecond(1_000.0)),
    },
    Promise {
        figure: "inventories, SQLite, p99",
        what: "the same, 99 of 100 acknowledged within",
        reach: Some(Reach::Wall(0.3)),
    },
];

const POSTGRES: [Promise; 2] = [
    Promise {
        figure: "inventories, PostgreSQL, 64 at a time",
        what: "store, PostgreSQL on the same two cores: full inventories acknowledged after the commit",
        reach: Some(Reach::PerSecond(1_000.0)),
    },
    Promise {
        figure: "inventories, PostgreSQL, p99",
        what: "the same, 99 of 100 acknowledged within",
        reach: Some(Reach::Wall(0.3)),
    },
];

/// Both engines; PostgreSQL where its server is installed.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let program = bench_program(bench, "store", "store")?;
    let figures = promise::figures(&command::output(&mut Command::new(&program))?)?;
    let mut rows = some(&SQLITE, &figures)?;
    rows[0].peer = Some(peer("inventories, SQLite, one commit each", &figures)?);
    if command::is_installed("pg_lsclusters", &["--help"]) {
        let figures = promise::figures(&command::output(Command::new(&program).arg("postgres"))?)?;
        rows.extend(some(&POSTGRES, &figures)?);
    }
    Ok(rows)
}

fn some(promises: &[Promise], figures: &[promise::Figure]) -> Result<Vec<Row>> {
    let rows = promises
        .iter()
        .map(|promise| promise::row("store", promise, figures));
    rows.collect()
}

/// What a program does that commits row by row, on the same disk.
fn peer(figure: &'static str, figures: &[promise::Figure]) -> Result<Side> {
    let promise = Promise {
        figure,
        what: figure,
        reach: None,
    };
    let Figures { wall, .. } = promise::row("one commit each", &promise, figures)?.ours.figures;
    Ok(Side {
        name: "one commit each".to_owned(),
        figures: Figures {
            wall,
            ..Figures::default()
        },
    })
}
