//! The host's channels: every configured source asked once, side by side, and the listings of those that answered in
//! apt's order, so that offers can be looked up by package name.

use super::side_by_side::side_by_side;
use agent::host::Host;
use domain::assess::coverage::SourceNo;
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::host::address::site;
use domain::host::channels::{SignedBy, Stanza};
use sources::apt::answer::{Answer, ListingAnswer, NoAnswer, ReadableIndex};
use sources::apt::keyring::Keyring;
use sources::apt::targets::{self, Merged};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A configured source and what came of asking it.
pub struct Asked<'host> {
    /// Its stanzas.
    pub source: Merged<'host>,
    /// What it answered.
    pub outcome: Result<Answer, NoAnswer>,
    /// Where it answered nothing: the indexes that it had when it was last verified.
    pub last_known: Vec<ReadableIndex>,
}

/// All sources of a host, asked.
pub struct Channels<'host> {
    /// The sources, in apt's order.
    pub asked: Vec<Asked<'host>>,
    /// The listings of those that answered, in apt's order; [`ListingNo`] counts them.
    pub listings: Vec<Listing>,
    /// For each listing, its source and its place among the source's indexes.
    places: Vec<(usize, usize)>,
}

impl<'host> Channels<'host> {
    /// Asks every source of the host by `ask`, several at a time; `last_known` has the indexes of one that answers
    /// nothing now.
    pub fn ask(
        host: &'host Host,
        ask: impl Fn(&Merged<'host>, &Keyring) -> Result<Answer, NoAnswer> + Sync,
        last_known: impl Fn(&Merged<'host>) -> Vec<ReadableIndex>,
    ) -> Self {
        let keyrings = Keyrings::of_host(host);
        let merged = targets::merge(&host.channel_config.stanzas);
        let outcomes = side_by_side(&merged, |source| {
            let keyring = keyrings.of(source.stanzas[0])?;
            ask(source, &keyring)
        });
        Self::of(merged.into_iter().zip(outcomes), last_known)
    }

    /// The channels of sources that were asked, in apt's order.
    pub fn of(
        outcomes: impl IntoIterator<Item = (Merged<'host>, Result<Answer, NoAnswer>)>,
        last_known: impl Fn(&Merged<'host>) -> Vec<ReadableIndex>,
    ) -> Self {
        let remember = |(source, outcome): (Merged<'host>, Result<Answer, NoAnswer>)| {
            let last_known = if outcome.is_err() {
                last_known(&source)
            } else {
                Vec::new()
            };
            Asked {
                source,
                outcome,
                last_known,
            }
        };
        let asked: Vec<Asked<'host>> = outcomes.into_iter().map(remember).collect();
        let mut listings = Vec::new();
        let mut places = Vec::new();
        for (source_at, asked) in asked.iter().enumerate() {
            let Ok(answer) = &asked.outcome else { continue };
            let site = site(&asked.source.stanzas[0].uri);
            for (index_at, listing) in answer.listings.iter().enumerate() {
                if listing.outcome.is_ok() {
                    places.push((source_at, index_at));
                    listings.push(Listing {
                        release: Arc::clone(answer.release.facts()),
                        site: site.clone(),
                        component: listing.component.clone(),
                        architecture: listing.architecture.clone(),
                    });
                }
            }
        }
        Self {
            asked,
            listings,
            places,
        }
    }

    /// Everything offered under this name, in apt's order.
    pub fn offers<'a>(&'a self, name: &'a str, into: &mut Vec<Offer<'a>>) {
        into.clear();
        for (number, _) in self.places.iter().enumerate() {
            let number = ListingNo(u16::try_from(number).expect("a host has fewer than 65,536 indexes"));
            into.extend(self.index(number).index.offers(name, number));
        }
    }

    /// A source that answers nothing now and listed this package when it was last verified.
    pub fn likely_home(&self, name: &str) -> Option<SourceNo> {
        let lists = |asked: &Asked<'_>| {
            asked
                .last_known
                .iter()
                .any(|known| known.index.offers(name, ListingNo(0)).next().is_some())
        };
        let place = self.asked.iter().position(lists)?;
        u16::try_from(place).ok().map(SourceNo)
    }

    /// The source that a listing belongs to, and its answer.
    pub fn source_of(&self, number: ListingNo) -> (&Asked<'host>, &Answer) {
        let asked = &self.asked[self.places[usize::from(number.0)].0];
        let answer = asked
            .outcome
            .as_ref()
            .expect("only sources that answered have listings");
        (asked, answer)
    }

    fn index(&self, number: ListingNo) -> &ReadableIndex {
        let (_, index_at) = self.places[usize::from(number.0)];
        let ListingAnswer { outcome, .. } = &self.source_of(number).1.listings[index_at];
        outcome
            .as_ref()
            .expect("only indexes that can be read have a number")
    }
}

/// The keyrings of a host, each file parsed once however many sources name it.
pub struct Keyrings<'host> {
    host: &'host Host,
    parsed: Mutex<BTreeMap<String, Arc<Keyring>>>,
}

impl<'host> Keyrings<'host> {
    /// None parsed yet.
    pub fn of_host(host: &'host Host) -> Self {
        Self {
            host,
            parsed: Mutex::default(),
        }
    }

    /// The keys that may sign a source, or why there are none.
    pub fn of(&self, stanza: &Stanza) -> Result<Keyring, NoAnswer> {
        let files = self
            .host
            .keys
            .for_stanza(stanza)
            .map_err(|problem| NoAnswer::NoKeys(problem.to_string()))?;
        let mut keyring: Option<Keyring> = None;
        let mut first_problem = None;
        for file in &files {
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

    fn parse(&self, path: &str, bytes: &[u8]) -> Result<Arc<Keyring>, sources::apt::keyring::KeyringError> {
        let mut parsed = self.parsed.lock().expect("no holder of this lock panics");
        if let Some(known) = parsed.get(path) {
            return Ok(Arc::clone(known));
        }
        let keyring = Arc::new(Keyring::parse(bytes)?);
        parsed.insert(path.to_owned(), Arc::clone(&keyring));
        Ok(keyring)
    }
}
