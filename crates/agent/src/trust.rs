//! Whom orders are believed from: the authority that the enrolment token named, the keys that it vouches for, who this host is
//! to the server, and the people whose signatures root demands besides. Root writes these files and nobody else: the process
//! that talks to the server hands over cards and orders, and can add nothing to this.

use crate::kept::{Form, KeptError, PrivateFolder};
use crate::service::Places;
use crate::session::Memory;
use domain::digest::Sha256Digest;
use domain::id::{HostId, KeyId, TenantId};
use jiff::Timestamp;
use protocol::card::{CardError, Purpose, ServerCard, Trust};
use protocol::key::VerifyingKey;
use protocol::limits;
use protocol::message::check_in::CardBytes;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The server's file.
const SERVER: &str = "server";
const SERVER_FORM: Form = Form {
    word: "server",
    version: 1,
    longest: 1 << 20,
};
/// The approvers' file.
const APPROVERS: &str = "approvers";
const APPROVERS_FORM: Form = Form {
    word: "approvers",
    version: 1,
    longest: 64 << 10,
};

/// The server that may give this host orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The digests of its authorities' certificates.
    #[serde(with = "crate::text::list")]
    pins: Vec<Sha256Digest>,
    /// Its card; absent until one was handed over.
    card: Option<CardBytes>,
    /// Who this host is to it; absent until it has answered.
    #[serde(with = "crate::text::option")]
    host: Option<HostId>,
    /// Whose it is, once an order said so that was taken.
    #[serde(with = "crate::text::option")]
    tenant: Option<TenantId>,
}

/// A card that is not gone by.
#[derive(Debug, thiserror::Error)]
pub enum CardNotTaken {
    /// Nobody enrolled this host as root.
    #[error(
        "this host was not enrolled by its executor's user, so that there is no authority to judge the card by"
    )]
    NoServer,
    /// It is not vouched for.
    #[error(transparent)]
    NotBelieved(#[from] CardError),
    /// It is of an older life of the server.
    #[error("it is of an older life of the server")]
    OldEpoch,
    /// The file of the server.
    #[error(transparent)]
    Kept(#[from] KeptError),
}

impl Server {
    /// The server that a token names, of which nothing else is known yet.
    pub fn named(authority: Sha256Digest) -> Self {
        Self {
            pins: vec![authority],
            card: None,
            host: None,
            tenant: None,
        }
    }

    /// The same, with what the network process found out: the card as far as the authority vouches for it, and, if that is not
    /// known yet, who this host is.
    #[must_use]
    pub fn enrolled(mut self, memory: &Memory) -> Self {
        if let (None, Some(card)) = (&self.card, &memory.card) {
            // A card that is not vouched for is left out; a later one may be.
            let _ = self.take(card.0.clone());
        }
        self.host = self.host.or(memory.host());
        self
    }

    /// The same, where root says that this host is another one now: it was a copy, and got an identity of its own.
    #[must_use]
    pub fn confirmed(self, host: HostId) -> Self {
        Self {
            host: Some(host),
            ..self
        }
    }

    /// The server that was kept; nothing if this host was never enrolled by this user.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn read(places: &Places) -> Result<Option<Self>, KeptError> {
        let Some(folder) = PrivateFolder::look(&places.trust())? else {
            return Ok(None);
        };
        let body = folder.read(SERVER, SERVER_FORM)?;
        body.map(|body| understood(&body, server_file(places)))
            .transpose()
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn write(&self, places: &Places) -> Result<(), KeptError> {
        let body = serde_json::to_vec(self).expect("it has text as keys");
        PrivateFolder::open(&places.trust())?.write(SERVER, SERVER_FORM, &body)
    }

    /// Who this host is to it, once it has answered.
    pub fn host(&self) -> Option<HostId> {
        self.host
    }

    /// Whose this host is, once that is known.
    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// The same, once an order of this tenant was taken. The first one stays.
    #[must_use]
    pub fn of_tenant(self, tenant: TenantId) -> Self {
        Self {
            tenant: self.tenant.or(Some(tenant)),
            ..self
        }
    }

    /// The server's epoch by its card; 0 without one.
    pub fn epoch(&self) -> u64 {
        self.trust().map_or(0, |trust| trust.epoch)
    }

    /// The key with this name, if the authority vouches for it to sign orders. As for answers, it may count from later on:
    /// a server whose clock was ahead when its key was certified is believed when the clock is right.
    pub fn orders_key(&self, id: KeyId, now: Timestamp) -> Option<VerifyingKey> {
        let keys = self.trust()?.keys;
        let may_sign = |entry: &&protocol::card::TrustedKey| {
            entry.purpose == Purpose::Orders && entry.key.id() == id && now <= entry.not_after
        };
        keys.iter().find(may_sign).map(|entry| entry.key)
    }

    /// Goes by this card from now on, if the authorities that are pinned so far vouch for it.
    ///
    /// # Errors
    /// [`CardNotTaken::NotBelieved`] and [`CardNotTaken::OldEpoch`]; then nothing is changed.
    fn take(&mut self, card: Vec<u8>) -> Result<(), CardNotTaken> {
        let trust = ServerCard::parse(&card)?.verify(&self.pins)?;
        if trust.epoch < self.epoch() {
            return Err(CardNotTaken::OldEpoch);
        }
        self.pins = trust.authorities;
        self.card = Some(CardBytes(card));
        Ok(())
    }

    fn trust(&self) -> Option<Trust> {
        let card = ServerCard::parse(&self.card.as_ref()?.0).ok()?;
        card.verify(&self.pins).ok()
    }
}

/// Takes over a card that the network process hands over; gives whether it was another one.
///
/// # Errors
/// [`CardNotTaken`]; then everything stays as it was.
pub fn take_card(places: &Places, card: &CardBytes) -> Result<bool, CardNotTaken> {
    let mut server = Server::read(places)?.ok_or(CardNotTaken::NoServer)?;
    if server.card.as_ref() == Some(card) {
        return Ok(false);
    }
    server.take(card.0.clone())?;
    server.write(places)?;
    Ok(true)
}

/// The file with the server.
pub(crate) fn server_file(places: &Places) -> PathBuf {
    places.trust().join(SERVER)
}

/// People without whose signatures this host follows no order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvers {
    /// Their Ed25519 public keys, 64 hexadecimal digits each.
    #[serde(with = "crate::text::list")]
    keys: Vec<PublicKey>,
    /// How many of them have to sign; at least one, as soon as there is a key.
    needed: usize,
}

/// An Ed25519 public key as people write it: 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

/// A change of the approvers that is not made.
#[derive(Debug, thiserror::Error)]
pub enum ApproversError {
    /// There are too many.
    #[error("a host knows at most {} approvers", limits::APPROVERS)]
    TooMany,
    /// More signatures than approvers.
    #[error("{needed} signatures cannot be had from {known} approvers")]
    TooFew {
        /// Signatures that would be needed.
        needed: usize,
        /// Approvers.
        known: usize,
    },
    /// It is not among them.
    #[error("this key is not among this host's approvers; see `patchyard-agent approvers list`")]
    Unknown,
    /// The file cannot be kept.
    #[error("only the user who runs the agent's executor, usually root, may change its approvers")]
    Kept(#[from] KeptError),
}

impl Approvers {
    /// Who was named; nobody if nobody ever was.
    ///
    /// # Errors
    /// [`KeptError`]: then it is not known who has to sign, and no order is followed.
    pub fn read(places: &Places) -> Result<Self, KeptError> {
        let Some(folder) = PrivateFolder::look(&places.trust())? else {
            return Ok(Self::default());
        };
        let body = folder.read(APPROVERS, APPROVERS_FORM)?;
        let path = places.trust().join(APPROVERS);
        body.map_or(Ok(Self::default()), |body| understood(&body, path))
    }

    fn write(&self, places: &Places) -> Result<(), KeptError> {
        let body = serde_json::to_vec(self).expect("it has text as keys");
        PrivateFolder::open(&places.trust())?.write(APPROVERS, APPROVERS_FORM, &body)
    }

    /// Their keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The same, for verifying.
    pub fn verifying(&self) -> Vec<VerifyingKey> {
        let keys = self.keys.iter();
        keys.map(|key| VerifyingKey::from_bytes(key.0)).collect()
    }

    /// How many of them have to sign; 0 only if there are none.
    pub fn needed(&self) -> usize {
        self.needed.max(usize::from(!self.keys.is_empty()))
    }

    /// Adds one; who is there already stays.
    ///
    /// # Errors
    /// [`ApproversError`].
    pub fn add(places: &Places, key: PublicKey) -> Result<Self, ApproversError> {
        let mut approvers = Self::read(places)?;
        if !approvers.keys.contains(&key) {
            approvers.keys.push(key);
        }
        if approvers.keys.len() > limits::APPROVERS {
            return Err(ApproversError::TooMany);
        }
        approvers.write(places)?;
        Ok(approvers)
    }

    /// Removes one. Fewer signatures are needed only if there would not be enough people.
    ///
    /// # Errors
    /// [`ApproversError`].
    pub fn remove(places: &Places, key: PublicKey) -> Result<Self, ApproversError> {
        let mut approvers = Self::read(places)?;
        let before = approvers.keys.len();
        approvers.keys.retain(|known| *known != key);
        if approvers.keys.len() == before {
            return Err(ApproversError::Unknown);
        }
        approvers.needed = approvers.needed.min(approvers.keys.len());
        approvers.write(places)?;
        Ok(approvers)
    }

    /// Demands so many signatures.
    ///
    /// # Errors
    /// [`ApproversError`].
    pub fn need(places: &Places, needed: usize) -> Result<Self, ApproversError> {
        let mut approvers = Self::read(places)?;
        let known = approvers.keys.len();
        if needed == 0 || needed > known {
            return Err(ApproversError::TooFew { needed, known });
        }
        approvers.needed = needed;
        approvers.write(places)?;
        Ok(approvers)
    }
}

/// A text that is no public key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("an approver's key is an Ed25519 public key as 64 hexadecimal digits")]
pub struct NotAKey;

impl std::str::FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = Sha256Digest::parse(text.as_bytes()).map_err(|_| NotAKey)?.0;
        Ok(Self(bytes))
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Sha256Digest(self.0).fmt(f)
    }
}

fn understood<T: serde::de::DeserializeOwned>(body: &[u8], path: PathBuf) -> Result<T, KeptError> {
    serde_json::from_slice(body).map_err(|error| KeptError::Foreign {
        path,
        why: error.to_string(),
    })
}
