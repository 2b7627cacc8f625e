//! The packages of an inventory as a set of numbers: what assessment reads instead of documents.

use crate::value::values;
use crate::{Error, Scope, Tx, View};
use domain::assess::fleet::{PackageId, PackageSet};
use domain::digest::Sha256Digest;

/// Ascending numbers as differences, seven bits a byte, the last byte of each below 128.
fn encode(packages: &PackageSet) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packages.len() * 2);
    let mut next = 0;
    for PackageId(number) in packages.iter() {
        let mut rest = number - next;
        next = number.wrapping_add(1);
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<PackageSet> {
    let mut numbers = Vec::with_capacity(bytes.len());
    let (mut next, mut rest, mut shift) = (0_u64, 0_u64, 0);
    for byte in bytes {
        rest |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let number = u32::try_from(next + rest).ok()?;
            numbers.push(PackageId(number));
            (next, rest, shift) = (u64::from(number) + 1, 0, 0);
        } else if shift > 28 {
            return None;
        }
    }
    (shift == 0).then(|| numbers.into_iter().collect())
}

fn read(bytes: &[u8]) -> Result<PackageSet, Error> {
    decode(bytes).ok_or(Error::Decode {
        what: "package numbers",
    })
}

/// Stores the packages of an inventory that the tenant has; nothing where they are there.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant has no such document.
pub fn put(tx: &mut Tx, scope: &Scope, inventory: Sha256Digest, packages: &PackageSet) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO inventory_packages (tenant_id, digest, packages, size) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, digest) DO NOTHING",
        values![scope, inventory, encode(packages), packages.len() as u64],
    )?;
    Ok(())
}

/// The packages of these inventories, as far as they were numbered, in no order.
///
/// # Errors
/// Of the database.
pub fn get_many(
    view: &mut View,
    scope: &Scope,
    inventories: &[Sha256Digest],
) -> Result<Vec<(Sha256Digest, PackageSet)>, Error> {
    let mut found = Vec::with_capacity(inventories.len());
    for digests in inventories.chunks(256) {
        // Joined so that SQLite goes through these first and looks each up by its whole key.
        let rows: Vec<String> = (2..digests.len() + 2)
            .map(|place| format!("(${place})"))
            .collect();
        let sql = format!(
            "SELECT i.digest, i.packages FROM (VALUES {}) AS n CROSS JOIN inventory_packages i
             WHERE i.tenant_id = $1 AND i.digest = n.column1",
            rows.join(", ")
        );
        let mut values = values![scope];
        values.extend(digests.iter().map(|digest| (*digest).into()));
        found.extend(view.list(sql, values, |row| {
            Ok((row.get(0)?, read(&row.get::<Vec<u8>>(1)?)?))
        })?);
    }
    Ok(found)
}

/// Forgets the packages of inventories whose documents are about to go: those that no host has or had. How many.
///
/// # Errors
/// Of the database.
pub fn sweep(tx: &mut Tx, scope: &Scope, limit: u32) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM inventory_packages WHERE tenant_id = $1 AND digest IN (
             SELECT i.digest FROM inventory_packages i WHERE i.tenant_id = $1 AND NOT EXISTS (
                 SELECT 1 FROM host_documents h WHERE h.tenant_id = i.tenant_id AND h.digest = i.digest)
             LIMIT $2)",
        values![scope, limit],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_back_as_it_was_stored() {
        for numbers in [
            vec![],
            vec![0],
            vec![u32::MAX],
            vec![0, 1, 127, 128, 129, 70_000, u32::MAX - 1, u32::MAX],
        ] {
            let set: PackageSet = numbers.iter().copied().map(PackageId).collect();
            assert_eq!(decode(&encode(&set)), Some(set), "{numbers:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_set_are_refused() {
        assert_eq!(decode(&[0x80]), None, "ends in the middle of a number");
        assert_eq!(
            decode(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
            None,
            "above the greatest number"
        );
        assert_eq!(
            decode(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]),
            None,
            "goes on above the greatest number"
        );
        assert_eq!(
            decode(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
            None,
            "endless zeros"
        );
    }
}
