//! What a host's sources offer together: the indexes of those that answered, numbered in apt's order, so that offers can
//! be looked up by package name; and the keys that each source names, each file parsed once.

use super::answer::{Answer, NoAnswer, ReadableIndex};
use super::index::Index;
use super::keyring::{Keyring, KeyringError};
use super::openpgp::Proven;
use content::Mapped;
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::host::address::site;
use domain::host::channels::{SignedBy, Stanza};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The indexes that can be asked, in apt's order; [`ListingNo`] counts them.
#[derive(Debug, Default)]
pub struct Listings {
    listings: Vec<Listing>,
    places: Vec<Place>,
}

/// Where a listing comes from.
#[derive(Debug)]
struct Place {
    source: usize,
    index: Arc<Index<Mapped>>,
}

impl Listings {
    /// The listings of sources in apt's order, each with its address; one that answers nothing has none.
    pub fn of<'a>(sources: impl IntoIterator<Item = (&'a str, Option<&'a Answer>)>) -> Self {
        let mut all = Self::default();
        for (source, (uri, answer)) in sources.into_iter().enumerate() {
            let Some(answer) = answer else { continue };
            let site = site(uri);
            for listing in &answer.listings {
                let Ok(ReadableIndex { index, .. }) = &listing.outcome else {
                    continue;
                };
                all.places.push(Place {
                    source,
                    index: Arc::clone(index),
                });
                all.listings.push(Listing {
                    release: Arc::clone(answer.release.facts()),
                    site: site.clone(),
                    component: listing.component.clone(),
                    architecture: listing.architecture.clone(),
                });
            }
        }
        all
    }

    /// The facts of each, in order.
    pub fn all(&self) -> &[Listing] {
        &self.listings
    }

    /// Everything offered under this name, in apt's order.
    pub fn offers<'a>(&'a self, name: &'a str, into: &mut Vec<Offer<'a>>) {
        into.clear();
        for (number, place) in self.places.iter().enumerate() {
            let number = ListingNo(u16::try_from(number).expect("a host has fewer than 65,536 indexes"));
            into.extend(place.index.offers(name, number));
        }
    }

    /// The place, among the sources they were made of, of the one that a listing belongs to.
    pub fn source_of(&self, number: ListingNo) -> usize {
        self.places[usize::from(number.0)].source
    }
}

/// One file with keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// Its path on the host, for messages and to parse it once only.
    pub path: String,
    /// What it holds.
    pub bytes: Arc<[u8]>,
}

/// The keyrings of a host, each file parsed once however many sources name it.
#[derive(Debug, Default)]
pub struct Keyrings {
    parsed: Mutex<BTreeMap<String, Arc<Keyring>>>,
    proven: Arc<Proven>,
}

impl Keyrings {
    /// None parsed yet; signatures that `proven` knows are not computed again.
    pub fn new(proven: Arc<Proven>) -> Self {
        Self {
            parsed: Mutex::default(),
            proven,
        }
    }

    /// The keys that may sign a source, out of the files that it names or that count for all, or why there are none.
    pub fn of(&self, stanza: &Stanza, files: &[KeyFile]) -> Result<Keyring, NoAnswer> {
        let mut keyring: Option<Keyring> = None;
        let mut first_problem = None;
        for file in files {
            match self.parse(&file.path, &file.bytes) {
                Ok(parsed) => {
                    keyring = Some(match keyring {
                        Some(keyring) => keyring.merge(Keyring::clone(&parsed)),
                        None => Keyring::clone(&parsed),
                    });
                }
                Err(cause) => {
                    first_problem = first_problem.or(Some(NoAnswer::BadKeys {
                        file: file.path.clone(),
                        cause,
                    }))
                }
            }
        }
        // A damaged file in the folder of common keys harms the sources that it was for, not all the others.
        let keyring = match (keyring, first_problem) {
            (Some(keyring), None) => keyring,
            (Some(keyring), Some(_)) if stanza.signed_by == SignedBy::Common => keyring,
            (_, Some(problem)) => return Err(problem),
            (None, None) => return Err(NoAnswer::NoKeys("it names no key file".to_owned())),
        };
        match &stanza.signed_by {
            SignedBy::Named { fingerprints, .. } if !fingerprints.is_empty() => {
                Ok(keyring.restrict(fingerprints))
            }
            _ => Ok(keyring),
        }
    }

    fn parse(&self, path: &str, bytes: &[u8]) -> Result<Arc<Keyring>, KeyringError> {
        let mut parsed = self.parsed.lock().expect("no holder of this lock panics");
        if let Some(known) = parsed.get(path) {
            return Ok(Arc::clone(known));
        }
        let keyring = Arc::new(Keyring::parse_with(bytes, &self.proven)?);
        parsed.insert(path.to_owned(), Arc::clone(&keyring));
        Ok(keyring)
    }
}
