//! Which of a card's authorities and keys hold, seen from the authorities that somebody pins.

use super::{CardError, Endorsement, Purpose, ServerCard, authority_key};
use crate::address::ServerAddress;
use crate::key::VerifyingKey;
use domain::digest::Sha256Digest;
use domain::id::KeyId;
use jiff::Timestamp;

/// What may be believed of a server's card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The server's epoch.
    pub epoch: u64,
    /// Where it listens.
    pub addresses: Vec<ServerAddress>,
    /// The authorities to pin from now on, those that follow the present one included: digests of their certificates.
    pub authorities: Vec<Sha256Digest>,
    /// Their certificates, DER, in the same order: the roots for TLS.
    pub certificates: Vec<Vec<u8>>,
    /// The keys that they vouch for.
    pub keys: Vec<TrustedKey>,
}

/// A key of the server that a trusted authority vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: VerifyingKey,
    /// What it is for.
    pub purpose: Purpose,
    /// From when on it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
}

impl Trust {
    /// The key with this name, if it may sign answers at the time that the answer itself was sent at.
    ///
    /// That time may be before the key's own: a server whose clock was ahead when it certified the key must be heard again
    /// when the clock is right, and the authority vouches for the key all the same.
    pub fn answers_key(&self, id: KeyId, sent_at: Timestamp) -> Option<VerifyingKey> {
        let may_sign = |entry: &&TrustedKey| {
            entry.purpose == Purpose::Answers && entry.key.id() == id && sent_at <= entry.not_after
        };
        self.keys.iter().find(may_sign).map(|entry| entry.key)
    }
}

/// An authority whose certificate could be read.
struct Candidate {
    place: usize,
    digest: Sha256Digest,
    key: VerifyingKey,
}

pub(super) fn of(card: &ServerCard, pins: &[Sha256Digest]) -> Result<Trust, CardError> {
    let candidates = card
        .authorities
        .iter()
        .enumerate()
        .filter_map(|(place, authority)| {
            let key = authority_key(&authority.certificate).ok()?;
            Some(Candidate {
                place,
                digest: authority.digest(),
                key,
            })
        });
    let (mut trusted, mut others): (Vec<Candidate>, Vec<Candidate>) =
        candidates.partition(|candidate| pins.contains(&candidate.digest));
    if trusted.is_empty() {
        return Err(CardError::OtherAuthority);
    }
    while let Some(at) = others.iter().position(|other| is_endorsed(card, other, &trusted)) {
        trusted.push(others.swap_remove(at));
    }
    trusted.sort_by_key(|authority| authority.place);
    let keys: Vec<TrustedKey> = card
        .keys
        .iter()
        .filter_map(|key| {
            let by = trusted.iter().find(|authority| authority.digest == key.by)?;
            by.key.verify(&key.claim(), &key.signature).ok()?;
            Some(TrustedKey {
                key: VerifyingKey::from_bytes(key.public_key),
                purpose: key.purpose,
                not_before: key.not_before,
                not_after: key.not_after,
            })
        })
        .collect();
    if !keys.iter().any(|key| key.purpose == Purpose::Answers) {
        return Err(CardError::NoAnswersKey);
    }
    Ok(Trust {
        epoch: card.epoch,
        addresses: card.addresses.clone(),
        authorities: trusted.iter().map(|authority| authority.digest).collect(),
        certificates: trusted
            .iter()
            .map(|authority| card.authorities[authority.place].certificate.clone())
            .collect(),
        keys,
    })
}

fn is_endorsed(card: &ServerCard, other: &Candidate, trusted: &[Candidate]) -> bool {
    let claim = Endorsement::claim(other.digest);
    card.authorities[other.place]
        .endorsements
        .iter()
        .any(|endorsement| {
            trusted.iter().any(|authority| {
                authority.digest == endorsement.by
                    && authority.key.verify(&claim, &endorsement.signature).is_ok()
            })
        })
}
