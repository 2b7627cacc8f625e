//! The host's channels: every configured source asked once, side by side, and the listings of those that answered in
//! apt's order, so that offers can be looked up by package name.

use super::side_by_side::side_by_side;
use agent::host::Host;
use domain::assess::coverage::SourceNo;
use domain::catalog::listing::ListingNo;
use domain::catalog::offer::Offer;
use domain::host::channels::Stanza;
use sources::apt::answer::{Answer, NoAnswer, ReadableIndex};
use sources::apt::channels::{self, KeyFile, Listings};
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::Proven;
use sources::apt::targets::{self, Merged};
use std::sync::Arc;

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
    pub listings: Listings,
}

impl<'host> Channels<'host> {
    /// Asks every source of the keyrings' host by `ask`, several at a time; `last_known` has the indexes of one that answers
    /// nothing now.
    pub fn ask(
        keyrings: &Keyrings<'host>,
        ask: impl Fn(&Merged<'host>, &Keyring) -> Result<Answer, NoAnswer> + Sync,
        last_known: impl Fn(&Merged<'host>) -> Vec<ReadableIndex>,
    ) -> Self {
        let merged = targets::merge(&keyrings.host.channel_config.stanzas);
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
        let answers = asked.iter().map(|asked| {
            let uri = asked.source.stanzas[0].uri.as_str();
            (uri, asked.outcome.as_ref().ok())
        });
        let listings = Listings::of(answers);
        Self { asked, listings }
    }

    /// Everything offered under this name, in apt's order.
    pub fn offers<'a>(&'a self, name: &'a str, into: &mut Vec<Offer<'a>>) {
        self.listings.offers(name, into);
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
        let asked = &self.asked[self.listings.source_of(number)];
        let answer = asked
            .outcome
            .as_ref()
            .expect("only sources that answered have listings");
        (asked, answer)
    }
}

/// The keyrings of a host, each file parsed once however many sources name it.
pub struct Keyrings<'host> {
    /// The host.
    pub host: &'host Host,
    parsed: channels::Keyrings,
}

impl<'host> Keyrings<'host> {
    /// None parsed yet; signatures that `proven` knows are not computed again.
    pub fn of_host(host: &'host Host, proven: Arc<Proven>) -> Self {
        Self {
            host,
            parsed: channels::Keyrings::new(proven),
        }
    }

    /// The keys that may sign a source, or why there are none.
    pub fn of(&self, stanza: &Stanza) -> Result<Keyring, NoAnswer> {
        let files = self.host.keys.for_stanza(stanza);
        let files: Vec<KeyFile> = files
            .map_err(|problem| NoAnswer::NoKeys(problem.to_string()))?
            .into_iter()
            .map(|file| KeyFile {
                path: file.path,
                bytes: file.bytes,
            })
            .collect();
        self.parsed.of(stanza, &files)
    }
}
