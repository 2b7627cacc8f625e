//! `cargo xtask mutants`: the product is broken on purpose, one row of `mutants/*.toml` at a time, and the test that promises
//! to notice must turn red. A row whose text is gone, whose test is unknown or already red, or that does not build, is an error:
//! it proves nothing. Everything happens in a scratch checkout of the last commit below `target/`.

mod row;
mod scratch;

use crate::tree::Tree;
use anyhow::{Result, bail};
use row::Row;
use scratch::Scratch;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Print the rows and stop.
    #[arg(long)]
    list: bool,
}

/// What became of one deliberate break.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// The named test turned red.
    Killed,
    /// The named test stayed green.
    Survived,
    /// The row proves nothing, and why.
    Invalid(String),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("killed"),
            Self::Survived => f.write_str("SURVIVED"),
            Self::Invalid(why) => write!(f, "INVALID: {why}"),
        }
    }
}

/// Runs the chosen rows; fails unless every one of them was killed.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let mut rows = row::all(tree)?;
    if let Some(part) = &options.only {
        rows.retain(|row| row.name.contains(part.as_str()));
        if rows.is_empty() {
            bail!("no row's name contains {part}; see `cargo xtask mutants --list`");
        }
    }
    if options.list {
        for row in &rows {
            println!("{:<44} {:<40} {}", row.name, row.file, row.promise);
        }
        return Ok(());
    }
    let scratch = Scratch::of_last_commit(tree)?;
    // A break is built once and mended with the next one, if both are of one crate.
    rows.sort_by(|one, other| (&one.package, &one.file).cmp(&(&other.package, &other.file)));
    let mut green = green_before(&scratch, &rows)?;
    let mut not_killed = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let fate = fate(&scratch, row, &mut green)?;
        println!("{:>3}/{} {:<44} {fate}", number + 1, rows.len(), row.name);
        if fate != Fate::Killed {
            println!("        {} — {}", row.file, row.promise);
            not_killed.push(row.name.as_str());
        }
    }
    println!(
        "{} of {} deliberate breaks turned their test red",
        rows.len() - not_killed.len(),
        rows.len()
    );
    if !not_killed.is_empty() {
        bail!("mutants: {}", not_killed.join(", "));
    }
    Ok(())
}

/// Which tests, by package, target and name, pass on the unbroken product, or why they prove nothing.
type Green = BTreeMap<(String, String, String), Option<String>>;

/// The tests of each test binary in one run. Where one of them is not green, each is tried by itself when its row comes.
fn green_before(scratch: &Scratch, rows: &[Row]) -> Result<Green> {
    let mut binaries: BTreeMap<(&str, &str), (&Row, BTreeSet<&str>)> = BTreeMap::new();
    for row in rows {
        let binary = binaries.entry((&row.package, &row.target));
        let (_, tests) = binary.or_insert_with(|| (row, BTreeSet::new()));
        tests.insert(&row.test);
    }
    let mut green = Green::new();
    for ((package, target), (row, tests)) in binaries {
        let tests: Vec<&str> = tests.into_iter().collect();
        if scratch.are_green(row, &tests)? {
            let key = |test: &&str| (package.to_owned(), target.to_owned(), (*test).to_owned());
            green.extend(tests.iter().map(|test| (key(test), None)));
        }
    }
    Ok(green)
}

/// `green` remembers which tests pass on the unbroken product.
fn fate(scratch: &Scratch, row: &Row, green: &mut Green) -> Result<Fate> {
    let Some(original) = scratch.read(&row.file)? else {
        return Ok(Fate::Invalid("there is no such file".into()));
    };
    match original.matches(row.find.as_str()).count() {
        1 => {}
        0 => return Ok(Fate::Invalid("the text to find is not there".into())),
        count => {
            return Ok(Fate::Invalid(format!(
                "the text to find stands there {count} times"
            )));
        }
    }
    let test = (row.package.clone(), row.target.clone(), row.test.clone());
    if !green.contains_key(&test) {
        let why = scratch.test(row)?.why_not_green();
        green.insert(test.clone(), why);
    }
    if let Some(Some(why)) = green.get(&test) {
        return Ok(Fate::Invalid(format!("before the break, {why}")));
    }
    scratch.write(&row.file, &original.replacen(&row.find, &row.replace, 1))?;
    let verdict = scratch.test(row);
    scratch.write(&row.file, &original)?;
    Ok(verdict?.fate())
}
