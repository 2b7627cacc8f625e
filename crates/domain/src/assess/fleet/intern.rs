//! Numbers for packages, so that a million hosts need not repeat their names.

use super::packages::{PackageId, PackageSet};
use crate::host::inventory::{BuildFingerprint, InstalledPackage, Inventory};
use std::collections::HashMap;

/// What a verdict depends on, besides the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageKey<'a> {
    /// Binary package name.
    pub name: &'a str,
    /// Its architecture as dpkg says it, `all` included.
    pub architecture: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its source package.
    pub source: &'a str,
    /// Its source package's version.
    pub source_version: &'a str,
    /// What tells two builds of one version apart.
    pub fingerprint: BuildFingerprint,
}

impl<'a> From<&'a InstalledPackage> for PackageKey<'a> {
    fn from(package: &'a InstalledPackage) -> Self {
        Self {
            name: &package.name,
            architecture: &package.architecture,
            version: &package.version,
            source: &package.source,
            source_version: &package.source_version,
            fingerprint: package.fingerprint,
        }
    }
}

/// All numbers are given away: more than 4,294,967,295 packages or words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no numbers left for new packages")]
pub struct Full;

/// Gives each distinct package a number, in the order in which they are seen first. Numbers are never taken back.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    words: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
    packages: HashMap<Interned, u32>,
    keys: Vec<Option<Interned>>,
    by_name: HashMap<u32, Vec<PackageId>>,
}

/// A key with its words numbered: names, architectures and versions recur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Interned {
    name: u32,
    architecture: u32,
    version: u32,
    source: u32,
    source_version: u32,
    fingerprint: BuildFingerprint,
}

impl Interner {
    /// The package's number; a new one if it was never seen.
    ///
    /// # Errors
    /// [`Full`].
    pub fn intern(&mut self, key: PackageKey<'_>) -> Result<PackageId, Full> {
        let key = self.key(key)?;
        if let Some(number) = self.packages.get(&key) {
            return Ok(PackageId(*number));
        }
        let number = u32::try_from(self.keys.len()).map_err(|_| Full)?;
        self.put(PackageId(number), key);
        Ok(PackageId(number))
    }

    /// Gives a package the number that it has elsewhere, where numbers are kept. A number or a package that is known
    /// already stays as it is. Numbers should be dense: memory is spent on all up to the highest.
    ///
    /// # Errors
    /// [`Full`].
    pub fn assign(&mut self, number: PackageId, key: PackageKey<'_>) -> Result<(), Full> {
        let key = self.key(key)?;
        let is_free = self.keys.get(number.0 as usize).is_none_or(Option::is_none);
        if is_free && !self.packages.contains_key(&key) {
            self.put(number, key);
        }
        Ok(())
    }

    fn put(&mut self, number: PackageId, key: Interned) {
        let place = number.0 as usize;
        if place >= self.keys.len() {
            self.keys.resize(place + 1, None);
        }
        self.keys[place] = Some(key);
        self.packages.insert(key, number.0);
        self.by_name.entry(key.name).or_default().push(number);
    }

    fn key(&mut self, key: PackageKey<'_>) -> Result<Interned, Full> {
        Ok(Interned {
            name: self.word(key.name)?,
            architecture: self.word(key.architecture)?,
            version: self.word(key.version)?,
            source: self.word(key.source)?,
            source_version: self.word(key.source_version)?,
            fingerprint: key.fingerprint,
        })
    }

    /// The numbers of all packages of a host.
    ///
    /// # Errors
    /// [`Full`].
    pub fn intern_inventory(&mut self, inventory: &Inventory) -> Result<PackageSet, Full> {
        inventory
            .packages
            .iter()
            .map(|package| self.intern(package.into()))
            .collect()
    }

    /// The number of a package that was seen before.
    pub fn find(&self, key: PackageKey<'_>) -> Option<PackageId> {
        let word = |text: &str| self.words.get(text).copied();
        let key = Interned {
            name: word(key.name)?,
            architecture: word(key.architecture)?,
            version: word(key.version)?,
            source: word(key.source)?,
            source_version: word(key.source_version)?,
            fingerprint: key.fingerprint,
        };
        self.packages.get(&key).copied().map(PackageId)
    }

    /// The package that has this number.
    pub fn package(&self, id: PackageId) -> Option<PackageKey<'_>> {
        let key = self.keys.get(id.0 as usize)?.as_ref()?;
        let text = |word: u32| &*self.texts[word as usize];
        Some(PackageKey {
            name: text(key.name),
            architecture: text(key.architecture),
            version: text(key.version),
            source: text(key.source),
            source_version: text(key.source_version),
            fingerprint: key.fingerprint,
        })
    }

    /// The packages of this name, in the order in which they were seen.
    pub fn of_name(&self, name: &str) -> &[PackageId] {
        let known = self.words.get(name).and_then(|word| self.by_name.get(word));
        known.map_or(&[], Vec::as_slice)
    }

    /// All packages that were seen, by number.
    pub fn all(&self) -> impl Iterator<Item = (PackageId, PackageKey<'_>)> {
        let numbers = (0..self.keys.len() as u32).map(PackageId);
        numbers.filter_map(|number| Some((number, self.package(number)?)))
    }

    /// How many distinct packages were seen.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// The number after the highest that was given away or assigned.
    pub fn next_number(&self) -> PackageId {
        PackageId(u32::try_from(self.keys.len()).unwrap_or(u32::MAX))
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    fn word(&mut self, text: &str) -> Result<u32, Full> {
        if let Some(number) = self.words.get(text) {
            return Ok(*number);
        }
        let number = u32::try_from(self.texts.len()).map_err(|_| Full)?;
        self.texts.push(text.into());
        self.words.insert(text.into(), number);
        Ok(number)
    }
}
