//! The schema, as the steps that led to it: each a pair of files, one an engine, that is never changed once released. What
//! was done is noted in `schema_version`; a schema of a newer program is refused.

use crate::db::{Tx, View};
use crate::error::Error;
use crate::value::values;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};

/// Why a database cannot be used by this program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer program has been here.
    #[error(
        "open a database of schema {found} with a program that knows schema {known}: install the newer version again, or \
         restore the backup that it made before its first start"
    )]
    Newer {
        /// The schema that stands there.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// A step was done by another text than the one of this program.
    #[error(
        "open a database whose schema step {step} is not the one of this program: it was made by a build that was never released"
    )]
    Altered {
        /// The step.
        step: u32,
    },
    /// A step failed. The database is as it was before.
    #[error("bring the database to schema step {step} ({name}); it stays as it was")]
    Step {
        /// The step.
        step: u32,
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        cause: Error,
    },
    /// A copy into it was begun and did not end.
    #[error("open a database that a copy into it left unfinished: remove it, and copy again")]
    Unfinished,
    /// The engine refuses.
    #[error(transparent)]
    Database(#[from] Error),
}

/// How the schema that stands in a database compares with this program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There is none yet.
    Empty,
    /// It is this program's.
    Current,
    /// It is an older one; back up, then open.
    Older {
        /// The last step that was done.
        step: u32,
    },
    /// It is a newer one, which this program refuses.
    Newer {
        /// The last step that was done.
        step: u32,
    },
}

/// One step: its statements for either engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name, which begins with its number.
    pub name: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

/// The steps to a schema, in order. A value, so that a version before this one and one after it can be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrations {
    steps: Vec<Step>,
}

impl Default for Migrations {
    /// All that this version knows.
    fn default() -> Self {
        Self {
            steps: STEPS.to_vec(),
        }
    }
}

impl Migrations {
    /// The first of them only: the schema of an earlier version.
    #[must_use]
    pub fn up_to(mut self, step: u32) -> Self {
        self.steps.truncate(step as usize);
        self
    }

    /// One more: the schema of a later version.
    #[must_use]
    pub fn and(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The number of the last one.
    pub fn newest(&self) -> u32 {
        self.steps.len() as u32
    }

    /// How the schema that stands in a database compares.
    pub(crate) fn compare(&self, view: &mut View) -> Result<Schema, OpenError> {
        Ok(match last_step(view)? {
            0 => Schema::Empty,
            UNFINISHED => return Err(OpenError::Unfinished),
            step if step < self.newest() => Schema::Older { step },
            step if step == self.newest() => Schema::Current,
            step => Schema::Newer { step },
        })
    }

    /// Does the steps that are missing, all or none.
    pub(crate) fn migrate(&self, tx: &mut Tx, now: Timestamp) -> Result<(), OpenError> {
        if !tx.is_sqlite() {
            // Two nodes that start together migrate one after the other: the number is this program's own.
            tx.script("SELECT pg_advisory_xact_lock(8102447321770)")?;
        }
        let found = match self.compare(tx)? {
            Schema::Newer { step: found } => {
                let known = self.newest();
                return Err(OpenError::Newer { found, known });
            }
            Schema::Empty => {
                let notes = if tx.is_sqlite() {
                    SQLITE_NOTES
                } else {
                    POSTGRES_NOTES
                };
                tx.script(notes)?;
                0
            }
            Schema::Older { step } => step,
            Schema::Current => self.newest(),
        };
        self.is_unaltered(tx)?;
        if tx.is_sqlite() {
            // SQLite opens a file that may only be read all the same. This changes no row, but needs the right to.
            tx.execute("UPDATE schema_version SET step = step WHERE step < 0", values![])?;
        }
        for (step, at) in self.steps.iter().zip(1_u32..).skip(found as usize) {
            step.run(tx, at, now).map_err(|cause| OpenError::Step {
                step: at,
                name: step.name,
                cause,
            })?;
            failpoint::reach(failpoint::Point::Migrated);
        }
        Ok(())
    }

    fn is_unaltered(&self, view: &mut View) -> Result<(), OpenError> {
        let done = view.list(
            "SELECT step, digest FROM schema_version ORDER BY step",
            values![],
            |row| Ok((row.get::<u32>(0)?, row.get::<[u8; 32]>(1)?)),
        )?;
        for (at, digest) in done {
            if self
                .steps
                .get(at as usize - 1)
                .is_none_or(|step| step.digest() != digest)
            {
                return Err(OpenError::Altered { step: at });
            }
        }
        Ok(())
    }
}

impl Step {
    fn run(&self, tx: &mut Tx, at: u32, now: Timestamp) -> Result<(), Error> {
        let script = if tx.is_sqlite() {
            self.sqlite
        } else {
            self.postgres
        };
        tx.script(script)?;
        tx.execute(
            "INSERT INTO schema_version (step, name, digest, applied_at) VALUES ($1, $2, $3, $4)",
            values![at, self.name, self.digest(), now],
        )?;
        Ok(())
    }

    /// Of both texts, so that a database has the same notes wherever it is copied to.
    fn digest(&self) -> [u8; 32] {
        let both = [self.sqlite, "\0", self.postgres].concat();
        digest(&SHA256, both.as_bytes())
            .as_ref()
            .try_into()
            .expect("a SHA-256 digest has 32 bytes")
    }
}

macro_rules! steps {
    ($($name:literal,)*) => {
        &[$(Step {
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }),*]
    };
}

const STEPS: &[Step] = steps![
    "0001_tenants",
    "0002_hosts",
    "0003_people",
    "0004_catalog",
    "0005_findings",
    "0006_orders",
    "0007_acquisitions",
];

/// The newest step that this program knows.
pub const NEWEST: u32 = STEPS.len() as u32;

/// The step that stands in a database while a copy fills it, so that nobody takes a half of it for the whole.
pub(crate) const UNFINISHED: u32 = 1_000_000;

fn last_step(view: &mut View) -> Result<u32, Error> {
    let catalog = if view.is_sqlite() {
        "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'schema_version'"
    } else {
        "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_version'"
    };
    let is_there = view.find(catalog, values![], |row| row.get::<i64>(0))?;
    if is_there != Some(1) {
        return Ok(0);
    }
    let last = view.find(
        "SELECT COALESCE(MAX(step), 0) FROM schema_version",
        values![],
        |row| row.get(0),
    )?;
    Ok(last.unwrap_or(0))
}

const SQLITE_NOTES: &str = "CREATE TABLE schema_version (
    step INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL, applied_at INTEGER NOT NULL) STRICT";
const POSTGRES_NOTES: &str = "CREATE TABLE schema_version (
    step BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, digest BYTEA NOT NULL, applied_at BIGINT NOT NULL)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Db, Url};

    /// A database of which this was done to the notes of migrations, opened again.
    fn opened_after(change: &'static str) -> Result<(), OpenError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = Url::from(folder.path().join("a.db").as_path());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let db = Db::open(&url, Timestamp::UNIX_EPOCH).await?;
            db.write(move |tx| tx.script(change)).await?;
            db.close().await;
            let again = Db::open(&url, Timestamp::UNIX_EPOCH).await;
            if let Ok(db) = &again {
                db.close().await;
            }
            again.map(drop)
        })
    }

    #[test]
    fn a_schema_of_a_newer_program_is_refused_with_what_to_do() {
        let refused = opened_after(
            "INSERT INTO schema_version SELECT MAX(step) + 1, 'new', zeroblob(32), 0 FROM schema_version",
        );
        let Err(error @ OpenError::Newer { found, known: NEWEST }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(found, NEWEST + 1);
        assert!(error.to_string().contains("install the newer version"));
    }

    #[test]
    fn a_step_of_another_text_is_refused() {
        let refused = opened_after("UPDATE schema_version SET digest = zeroblob(32) WHERE step = 2");
        assert!(
            matches!(refused, Err(OpenError::Altered { step: 2 })),
            "{refused:?}"
        );
    }

    #[test]
    fn an_older_schema_is_brought_up_to_date() {
        // As a program that knew one step less would have left it: nothing of the last step is there.
        let last =
            "DROP TABLE order_stages; DROP TABLE orders; DROP TABLE deployments; DROP TABLE transactions;
                    DROP TABLE change_signatures; DROP TABLE changes; DROP TABLE plan_generations;
                    DROP TABLE approval_policies; DELETE FROM schema_version WHERE step = 6";
        opened_after(last).expect("migrated");
    }
}
