//! Packages that some host has or had: each under a number that is the same for all tenants and never changes, so that an
//! inventory is a set of numbers.

use crate::value::{Row, Value, values};
use crate::{Error, Tx, View, Whole};
use domain::assess::fleet::PackageId;
use domain::host::inventory::BuildFingerprint;
use std::collections::{HashMap, HashSet};

/// A package as some host has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Architecture, `all` included.
    pub architecture: String,
    /// Version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// What tells two builds of one version apart.
    pub fingerprint: BuildFingerprint,
}

fn fingerprint_bytes(fingerprint: BuildFingerprint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(13);
    bytes.extend(fingerprint.relations.to_be_bytes());
    bytes.push(fingerprint.multi_arch);
    bytes.extend(fingerprint.size_bytes.to_be_bytes());
    bytes
}

fn fingerprint_of(bytes: &[u8]) -> Option<BuildFingerprint> {
    let (relations, rest) = bytes.split_first_chunk()?;
    let (multi_arch, size) = rest.split_first()?;
    Some(BuildFingerprint {
        relations: u32::from_be_bytes(*relations),
        multi_arch: *multi_arch,
        size_bytes: u64::from_be_bytes(size.try_into().ok()?),
    })
}

fn read(row: &Row) -> Result<(PackageId, Package), Error> {
    let mut columns = row.columns();
    let id = PackageId(columns.next()?);
    let package = Package {
        name: columns.next()?,
        architecture: columns.next()?,
        version: columns.next()?,
        source: columns.next()?,
        source_version: columns.next()?,
        fingerprint: fingerprint_of(&columns.next::<Vec<u8>>()?)
            .ok_or(Error::Decode { what: "fingerprint" })?,
    };
    Ok((id, package))
}

const COLUMNS: &str = "id, name, architecture, version, source, source_version, fingerprint";

fn key(package: &Package) -> Vec<Value> {
    values![
        &package.name,
        &package.architecture,
        &package.version,
        &package.source,
        &package.source_version,
        fingerprint_bytes(package.fingerprint)
    ]
}

/// The numbers of these packages, in their order; new ones get the next free numbers.
///
/// # Errors
/// Of the database.
pub fn intern(tx: &mut Tx, _: &Whole, packages: &[Package]) -> Result<Vec<PackageId>, Error> {
    if !tx.is_sqlite() {
        // Two nodes must not give away one number; readers are not held up.
        tx.script("LOCK TABLE packages IN SHARE ROW EXCLUSIVE MODE")?;
    }
    let known = tx.list_many(
        &format!("SELECT {COLUMNS} FROM ("),
        ") AS n CROSS JOIN packages
         WHERE name = n.column1 AND architecture = n.column2 AND version = n.column3
             AND source = n.column4 AND source_version = n.column5 AND fingerprint = n.column6",
        packages.iter().map(key),
        read,
    )?;
    let mut numbers: HashMap<Package, PackageId> = known
        .into_iter()
        .map(|(number, package)| (package, number))
        .collect();
    let is_new = |package: &&Package| !numbers.contains_key(*package);
    let mut new: Vec<&Package> = packages.iter().filter(is_new).collect();
    if !new.is_empty() {
        let mut met = HashSet::with_capacity(new.len());
        new.retain(|package| met.insert(*package));
        let free = next_free(tx)?;
        tx.execute_many(
            "INSERT INTO packages (name, architecture, version, source, source_version, fingerprint, id)",
            "",
            (free..).zip(&new).map(|(number, package)| {
                let mut values = key(package);
                values.push(number.into());
                values
            }),
        )?;
        numbers.extend(new.into_iter().cloned().zip((free..).map(PackageId)));
    }
    Ok(packages.iter().map(|package| numbers[package]).collect())
}

fn next_free(view: &mut View) -> Result<u32, Error> {
    let next = view.find(
        "SELECT COALESCE(MAX(id), -1) + 1 FROM packages",
        values![],
        |row| row.get(0),
    )?;
    Ok(next.unwrap_or(0))
}

/// What stands between the fields of a package, and between packages, where many come in one row.
const FIELD: char = '\u{1f}';
const RECORD: char = '\u{1e}';
/// Packages in one such row.
const IN_A_ROW: u32 = 512;

/// Hands over every package from this number on, in the order of numbers: for filling an interner.
///
/// # Errors
/// Of the database, or what `take` fails with.
pub fn all_from(
    view: &mut View,
    _: &Whole,
    from: PackageId,
    mut take: impl FnMut(PackageId, Package) -> Result<(), Error>,
) -> Result<(), Error> {
    let end = next_free(view)?;
    for start in (from.0..end).step_by(IN_A_ROW as usize) {
        for (id, package) in between(view, start, start.saturating_add(IN_A_ROW))? {
            take(id, package)?;
        }
    }
    Ok(())
}

/// The packages with these numbers. They come in one row: handing over a row costs more than reading it. Names and versions are
/// texts of hosts: where one holds what stands between fields, there is one too many, and each comes in a row of its own.
fn between(view: &mut View, start: u32, end: u32) -> Result<Vec<(PackageId, Package)>, Error> {
    let hex = if view.is_sqlite() {
        "hex(fingerprint)"
    } else {
        "encode(fingerprint, 'hex')"
    };
    let fields = ["name", "architecture", "version", "source", "source_version", hex].join(" || $3 || ");
    let row: Option<(Option<String>, u64)> = view.find(
        format!(
            "SELECT string_agg(CAST(id AS TEXT) || $3 || {fields}, $4 ORDER BY id), COUNT(*)
             FROM packages WHERE id >= $1 AND id < $2"
        ),
        values![start, end, FIELD.to_string(), RECORD.to_string()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (text, count) = row.unwrap_or_default();
    let text = text.unwrap_or_default();
    let found: Option<Vec<_>> = match text.is_empty() {
        true => Some(Vec::new()),
        false => text.split(RECORD).map(unpacked).collect(),
    };
    match found {
        Some(found) if found.len() as u64 == count => Ok(found),
        _ => view.list(
            format!("SELECT {COLUMNS} FROM packages WHERE id >= $1 AND id < $2 ORDER BY id"),
            values![start, end],
            read,
        ),
    }
}

/// A package of exactly seven fields.
fn unpacked(record: &str) -> Option<(PackageId, Package)> {
    let mut fields = record.split(FIELD);
    let mut next = || fields.next();
    let id = PackageId(next()?.parse().ok()?);
    let mut text = || next().map(str::to_owned);
    let package = Package {
        name: text()?,
        architecture: text()?,
        version: text()?,
        source: text()?,
        source_version: text()?,
        fingerprint: fingerprint_of(&bytes_of(next()?)?)?,
    };
    next().is_none().then_some((id, package))
}

/// The bytes that hexadecimal digits, of either case, stand for.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let bytes = pairs.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect()
}

/// Every build of a package by its own name or its source package's: for a question about a range of versions.
///
/// # Errors
/// Of the database.
pub fn named(view: &mut View, _: &Whole, name: &str) -> Result<Vec<(PackageId, Package)>, Error> {
    let mut found = view.list(
        format!("SELECT {COLUMNS} FROM packages WHERE name = $1"),
        values![name],
        read,
    )?;
    found.extend(view.list(
        format!("SELECT {COLUMNS} FROM packages WHERE source = $1 AND name <> $1"),
        values![name],
        read,
    )?);
    found.sort_unstable_by_key(|(id, _)| *id);
    Ok(found)
}
