//! An agent as far as load goes: it signs what it sends, checks that what it gets is signed and its own, and keeps its chain.

use super::connection::{Connection, Dialler, Handshake};
use super::measure;
use super::serve::Served;
use anyhow::{Context as _, Result, ensure};
use domain::digest::Sha256Digest;
use domain::identity::Nonce;
use jiff::Timestamp;
use protocol::card::Trust;
use protocol::document::DocumentKind;
use protocol::envelope::{Body, Envelope, Header, Unopened};
use protocol::key::SigningKey;
use protocol::link::Link;
use protocol::message::check_in::{Bearer, CheckIn, CheckedIn, DocumentName, Measures, Mode};
use protocol::message::documents::{Documents, DocumentsTaken, Form, Part};
use protocol::message::enrol::{Credential, Enrol, Enrolled};
use protocol::message::{Kind, Message};
use protocol::sha256;
use rand::RngCore;
use std::time::Duration;

/// An enrolled agent.
pub struct Agent {
    key: SigningKey,
    certificates: Vec<Vec<u8>>,
    trust: Trust,
    card: Sha256Digest,
    link: Link,
    bearer: Bearer,
    sequence: u64,
    /// How the check-in is named whose answer did not come: it is asked again by the same name.
    unanswered: Option<(u64, Nonce)>,
    inventory: Option<Sha256Digest>,
}

/// How large a request and its answer were, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    pub request: usize,
    pub answer: usize,
}

impl Sizes {
    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            request: self.request.max(other.request),
            answer: self.answer.max(other.answer),
        }
    }
}

/// An answered check-in.
#[derive(Clone, Debug)]
pub struct Checked {
    /// How large it was.
    pub sizes: Sizes,
    /// What the server does not have.
    pub wanted: Vec<Sha256Digest>,
}

/// An inventory that the server has.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub digest: Sha256Digest,
    /// From handing it in to its acknowledgement.
    pub waited: Duration,
}

#[expect(
    clippy::disallowed_methods,
    reason = "agents under load date their requests by the real clock"
)]
fn time() -> Timestamp {
    Timestamp::now()
}

fn chance<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::thread_rng().fill_bytes(&mut bytes);
    bytes
}

impl Agent {
    /// Enrols a new agent.
    pub async fn enrol(connection: &mut Connection, served: &Served) -> Result<Self> {
        let key = SigningKey::from_seed(&chance());
        let bearer = Bearer {
            boot: chance(),
            hardware: Some(chance()),
        };
        let message = Enrol {
            public_key: key.verifying().to_bytes(),
            credential: Credential::Token {
                secret: served.token.secret,
                site: served.token.site.clone(),
            },
            hostname: "load.example".to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            bearer,
            machine: Some(chance()),
            formerly: None,
        };
        let header = Header::request(Kind::ENROL, 1, Nonce(chance()), time());
        let request = Envelope::seal(&key, header, &message.to_body())?;
        let answer = connection.exchange(&request).await?;
        let unopened = Unopened::parse(&answer)?;
        let card = unopened.introduction()?;
        let trust = card.verify(&[served.token.authority])?;
        let answers = trust
            .answers_key(unopened.key_id(), unopened.header().sent_at)
            .context("a certified key")?;
        let opened = unopened.open(&answers)?;
        let asked = Unopened::parse(&request)?.asked();
        ensure!(opened.answers(&asked), "an answer to somebody else");
        let enrolled: Enrolled = opened.message()?;
        Ok(Self {
            key,
            certificates: enrolled.certificates,
            card: sha256(opened.attachment()),
            trust,
            link: enrolled.link,
            bearer,
            sequence: 1,
            unanswered: None,
            inventory: None,
        })
    }

    /// What opens this agent's connections.
    pub fn dialler(&self, served: &Served, handshake: Handshake) -> Result<Dialler> {
        Dialler::of_agent(served, &self.certificates, &self.key.to_pkcs8(), handshake)
    }

    fn next_name(&mut self) -> (u64, Nonce) {
        self.sequence += 1;
        (self.sequence, Nonce(chance()))
    }

    async fn ask<A: Message>(
        &mut self,
        connection: &mut Connection,
        kind: Kind,
        (sequence, nonce): (u64, Nonce),
        body: &Body,
    ) -> Result<(A, Sizes)> {
        let header = Header::request(kind, sequence, nonce, time());
        let request = Envelope::seal(&self.key, header, body)?;
        let answer = connection.exchange(&request).await?;
        let unopened = Unopened::parse(&answer)?;
        let key = self
            .trust
            .answers_key(unopened.key_id(), unopened.header().sent_at)
            .context("a certified key")?;
        let opened = unopened.open(&key)?;
        let asked = Unopened::parse(&request)?.asked();
        ensure!(opened.answers(&asked), "an answer to somebody else");
        let sizes = Sizes {
            request: request.len(),
            answer: answer.len(),
        };
        Ok((opened.message()?, sizes))
    }

    /// How many requests it has made.
    pub fn requests(&self) -> u64 {
        self.sequence
    }

    /// Has this inventory from now on.
    pub fn has(&mut self, inventory: Sha256Digest) {
        self.inventory = Some(inventory);
    }

    /// Checks in, with what it has.
    pub async fn check_in(&mut self, connection: &mut Connection) -> Result<Checked> {
        let observed_at = time();
        let inventory = self.inventory.map(|digest| DocumentName {
            kind: DocumentKind::Inventory,
            digest,
            observed_at,
        });
        let message = CheckIn {
            link: self.link,
            bearer: self.bearer,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: Mode::Monitor,
            documents: inventory.into_iter().collect(),
            measures: Measures::default(),
            hold_seconds: 0,
            card: self.card,
            highest_order: 0,
            troubles: Vec::new(),
            carried: Vec::new(),
            orders: Vec::new(),
        };
        let name = self.unanswered.take().unwrap_or_else(|| self.next_name());
        self.unanswered = Some(name);
        let (answer, sizes): (CheckedIn, _) = self
            .ask(connection, Kind::CHECK_IN, name, &message.to_body())
            .await?;
        self.unanswered = None;
        self.link = answer.link;
        Ok(Checked {
            sizes,
            wanted: answer.wanted.into_iter().map(|wanted| wanted.digest).collect(),
        })
    }

    /// Checks in with another inventory, and hands it in.
    pub async fn hand_in(&mut self, connection: &mut Connection, inventory: Vec<u8>) -> Result<Taken> {
        let digest = sha256(&inventory);
        let asked = measure::now();
        self.has(digest);
        self.check_in(connection).await?;
        let message = Documents {
            link: self.link,
            documents: vec![Part {
                kind: DocumentKind::Inventory,
                digest,
                size_bytes: inventory.len() as u64,
                form: Form::Whole,
            }],
        };
        let body = message.with_bytes(inventory);
        let name = self.next_name();
        let (answer, _): (DocumentsTaken, _) = self.ask(connection, Kind::DOCUMENTS, name, &body).await?;
        ensure!(
            answer.taken.contains(&digest),
            "the inventory was not taken: {:?}",
            answer.refused
        );
        Ok(Taken {
            digest,
            waited: asked.elapsed(),
        })
    }
}
