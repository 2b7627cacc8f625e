//! A server of the tests' own: seals real envelopes, keeps chains by the domain's rule, and lets each test say what goes wrong.

use agent::transport::validity;
use domain::digest::Sha256Digest;
use domain::id::{HostId, KeyId};
use domain::identity::chain::{Chain, Presented};
use jiff::{SignedDuration, Timestamp};
use protocol::address::ServerAddress;
use protocol::card::{Authority, KeyCertificate, KeyTerms, Purpose, ServerCard};
use protocol::document::delta::InventoryDelta;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentKind};
use protocol::envelope::{Body, Envelope, Opened, Unopened};
use protocol::key::{SigningKey, VerifyingKey};
use protocol::limits::CLOCK_SKEW_SECONDS;
use protocol::link::{Link, LinkKey};
use protocol::message::check_in::{CardBytes, CarriedSource, CheckIn, CheckedIn, Wanted};
use protocol::message::documents::{Documents, DocumentsTaken, Form, RefusedDocument, WhyRefused};
use protocol::message::enrol::{Credential, Enrol, Enrolled, Standing, copy_claim, introducing};
use protocol::message::orders::{GoBytes, OfferedOrder};
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::renew::{Renew, Renewed};
use protocol::message::{Kind, Message};
use protocol::sha256;
use protocol::token::EnrolmentToken;
use std::collections::BTreeMap;

const DAY: i64 = 86_400;

pub struct Host {
    pub key: VerifyingKey,
    pub chain: Chain,
    pub not_after: Timestamp,
    pub inventory: Option<Sha256Digest>,
    pub check_ins: u32,
    pub last: Option<CheckIn>,
    pub standing: Standing,
    pub copy_of: Option<HostId>,
}

pub struct Server {
    pub root: Root,
    pub next_root: Option<Root>,
    pub answers: SigningKey,
    pub epoch: u64,
    pub addresses: Vec<ServerAddress>,
    pub now: Timestamp,
    pub secret: [u8; 16],
    pub uses: u32,
    pub admits: Standing,
    pub hosts: BTreeMap<HostId, Host>,
    pub documents: BTreeMap<Sha256Digest, Vec<u8>>,
    pub forms: Vec<Form>,
    /// What the next request is refused with, whatever it is.
    pub refuse_next: Option<(RefusalKind, Option<u32>)>,
    /// What every request is refused with.
    pub refuse_always: Option<(RefusalKind, Option<u32>)>,
    /// The card that is given out, if it is not the one that answers hang from.
    pub announce: Option<ServerCard>,
    pub hold_seconds: u32,
    pub carry: Vec<CarriedSource>,
    /// What every check-in is answered of orders.
    pub of_orders: OfOrders,
    links: LinkKey,
}

/// What a check-in is answered of orders.
#[derive(Clone, Debug, Default)]
pub struct OfOrders {
    pub orders: Vec<OfferedOrder>,
    pub goes: Vec<GoBytes>,
    pub withdrawn: Vec<Sha256Digest>,
    pub heard: Vec<Sha256Digest>,
    pub ticket: Option<String>,
}

/// A root authority.
pub struct Root {
    pub key: SigningKey,
    pub certificate: Vec<u8>,
}

impl Root {
    pub fn new(seed: u8) -> Self {
        let key = SigningKey::from_seed(&[seed; 32]);
        let pair = rcgen::KeyPair::try_from(key.to_pkcs8().as_slice()).expect("a key in PKCS#8");
        let params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
        let certificate = params.self_signed(&pair).expect("a certificate").der().to_vec();
        Self { key, certificate }
    }

    pub fn digest(&self) -> Sha256Digest {
        sha256(&self.certificate)
    }
}

impl Server {
    pub fn new(now: Timestamp) -> Self {
        Self {
            root: Root::new(1),
            next_root: None,
            answers: SigningKey::from_seed(&[2; 32]),
            epoch: 1,
            addresses: vec!["one.example:8443".parse().expect("an address")],
            now,
            secret: [7; 16],
            uses: 1,
            admits: Standing::Active,
            hosts: BTreeMap::new(),
            documents: BTreeMap::new(),
            forms: Vec::new(),
            refuse_next: None,
            refuse_always: None,
            announce: None,
            hold_seconds: 0,
            carry: Vec::new(),
            of_orders: OfOrders::default(),
            links: LinkKey::new(&[3; 32]),
        }
    }

    pub fn token(&self) -> EnrolmentToken {
        EnrolmentToken {
            addresses: self.addresses.clone(),
            authority: self.root.digest(),
            secret: self.secret,
            site: "main".to_owned(),
            package: None,
            expires: self.now + SignedDuration::from_hours(24),
        }
    }

    pub fn card(&self) -> ServerCard {
        let terms = KeyTerms {
            purpose: Purpose::Answers,
            not_before: Timestamp::UNIX_EPOCH,
            not_after: self.now + SignedDuration::from_hours(24 * 3_650),
            epoch: self.epoch,
        };
        let mut authorities = vec![Authority::new(self.root.certificate.clone())];
        if let Some(next) = &self.next_root {
            let next =
                Authority::new(next.certificate.clone()).endorsed(&self.root.certificate, &self.root.key);
            authorities.push(next);
        }
        let key = KeyCertificate::issue(
            self.root.digest(),
            &self.root.key,
            self.answers.verifying(),
            terms,
        );
        ServerCard {
            epoch: self.epoch,
            addresses: self.addresses.clone(),
            authorities,
            keys: vec![key],
        }
    }

    pub fn host_of(&self, key: KeyId) -> Option<HostId> {
        self.hosts
            .iter()
            .find(|(_, host)| host.key.id() == key)
            .map(|(id, _)| *id)
    }

    /// The answer to an envelope.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let unopened = Unopened::parse(request).expect("agents send envelopes");
        let asked = unopened.asked();
        let (kind, body) = match self.judge(&unopened) {
            Ok(answer) => answer,
            Err((kind, retry_after_seconds)) => {
                let refused = Refused {
                    kind,
                    sentence: "No.\u{1b}[2J".to_owned(),
                    retry_after_seconds,
                };
                let body = match asked.kind() {
                    Kind::ENROL => introducing(&refused, &self.card()),
                    _ => refused.to_body(),
                };
                (Kind::REFUSED, body)
            }
        };
        Envelope::seal(&self.answers, asked.answer(kind, self.now), &body).expect("a small answer")
    }

    fn judge(&mut self, unopened: &Unopened<'_>) -> Result<(Kind, Body), (RefusalKind, Option<u32>)> {
        if let Some(refusal) = self.refuse_always.or_else(|| self.refuse_next.take()) {
            return Err(refusal);
        }
        let no = |kind| (kind, None);
        let skew = unopened.header().sent_at.duration_since(self.now).as_secs().abs();
        if skew > CLOCK_SKEW_SECONDS {
            return Err(no(RefusalKind::Clock));
        }
        if unopened.kind() == Kind::ENROL {
            return self.enrol(unopened).map_err(no);
        }
        let id = self.host_of(unopened.key_id()).ok_or(no(RefusalKind::Unknown))?;
        let opened = unopened
            .open(&self.hosts[&id].key)
            .expect("agents sign what they send");
        let overdue = self.now.duration_since(self.hosts[&id].not_after).as_secs();
        if overdue > 400 * DAY {
            return Err(no(RefusalKind::Unknown));
        }
        match opened.header().kind {
            Kind::RENEW => self.renew(id, &opened).map_err(no),
            _ if overdue > 0 => Err(no(RefusalKind::Expired)),
            Kind::CHECK_IN => self.check_in(id, &opened).map_err(no),
            _ => Ok(self.take(id, &opened)),
        }
    }

    fn enrol(&mut self, unopened: &Unopened<'_>) -> Result<(Kind, Body), RefusalKind> {
        let opened = unopened.open_enrolment().expect("it is signed by the key in it");
        let message: Enrol = opened.message().expect("a message");
        let key = VerifyingKey::from_bytes(message.public_key);
        let (standing, copy_of) = match &message.credential {
            _ if self.host_of(key.id()).is_some() => (self.admits, None),
            Credential::Token { secret, .. } if *secret == self.secret && self.uses > 0 => {
                self.uses -= 1;
                (self.admits, None)
            }
            Credential::Token { .. } => return Err(RefusalKind::SpentToken),
            Credential::Copy { of, signature, .. } => {
                let claim = copy_claim(*of, &message.public_key);
                self.hosts[of]
                    .key
                    .verify(&claim, signature)
                    .expect("the old key signs the claim");
                (Standing::Pending, Some(*of))
            }
        };
        let id = self
            .host_of(key.id())
            .unwrap_or_else(|| HostId([self.hosts.len() as u8 + 1; 16]));
        let certificates = vec![self.certify(&key)];
        let not_after = validity(&certificates[0]).expect("a certificate").1;
        let host = Host {
            key,
            chain: Chain::begin(opened.header().sent_as(), message.bearer.into()),
            not_after,
            inventory: None,
            check_ins: 0,
            last: None,
            standing,
            copy_of,
        };
        self.hosts.insert(id, host);
        let enrolled = Enrolled {
            host: id,
            standing,
            site: "main".to_owned(),
            certificates,
            link: self.links.issue(id, 1),
        };
        Ok((Kind::ENROLLED, introducing(&enrolled, &self.card())))
    }

    fn certify(&self, key: &VerifyingKey) -> Vec<u8> {
        let pair = rcgen::KeyPair::try_from(self.root.key.to_pkcs8().as_slice()).expect("a key in PKCS#8");
        let mut params = rcgen::CertificateParams::new(vec![key.id().to_string()]).expect("a name");
        let seconds = u64::try_from(self.now.as_second()).expect("after 1970");
        let begins = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        params.not_before = begins.into();
        params.not_after = (begins + std::time::Duration::from_secs(14 * 86_400)).into();
        params.self_signed(&pair).expect("a certificate").der().to_vec()
    }

    fn renew(&mut self, id: HostId, opened: &Opened<'_>) -> Result<(Kind, Body), RefusalKind> {
        let message: Renew = opened.message().expect("a message");
        if !self.hosts[&id].chain.is_last(message.link.count) {
            return Err(RefusalKind::Superseded);
        }
        let certificates = vec![self.certify(&self.hosts[&id].key)];
        let not_after = validity(&certificates[0]).expect("a certificate").1;
        self.hosts.get_mut(&id).expect("it is there").not_after = not_after;
        let renewed = Renewed {
            certificates,
            not_after,
        };
        Ok((Kind::RENEWED, renewed.to_body()))
    }

    fn check_in(&mut self, id: HostId, opened: &Opened<'_>) -> Result<(Kind, Body), RefusalKind> {
        let message: CheckIn = opened.message().expect("a message");
        assert!(
            self.links.is_ours(id, &message.link),
            "agents present links that they were given"
        );
        let host = self.hosts.get_mut(&id).expect("it is there");
        if host.standing == Standing::Pending {
            return Err(RefusalKind::Pending);
        }
        let presented = host.chain.present(
            message.link.count,
            opened.header().sent_as(),
            message.bearer.into(),
        );
        match presented {
            Presented::Next { chain, .. } | Presented::Retry { chain } => host.chain = chain,
            Presented::Replay => return Err(RefusalKind::Answered),
            Presented::Copy => return Err(RefusalKind::Superseded),
        }
        host.check_ins += 1;
        let unknown = message
            .documents
            .iter()
            .filter(|name| !self.documents.contains_key(&name.digest));
        let base = host.inventory;
        let wanted = unknown.map(|name| Wanted {
            kind: name.kind,
            digest: name.digest,
            base: base.filter(|_| name.kind == DocumentKind::Inventory),
            offset: 0,
        });
        let wanted: Vec<_> = wanted.collect();
        let link = self.links.issue(id, host.chain.issued());
        let card = self.announce.clone().unwrap_or_else(|| self.card());
        let is_card_known = message.card == card.digest();
        self.hosts.get_mut(&id).expect("it is there").last = Some(message);
        let answer = CheckedIn {
            wanted,
            next_check_in_seconds: 300,
            hold_seconds: self.hold_seconds,
            card: (!is_card_known).then(|| CardBytes(card.to_bytes())),
            carry: self.carry.clone(),
            orders: self.of_orders.orders.clone(),
            goes: self.of_orders.goes.clone(),
            withdrawn: self.of_orders.withdrawn.clone(),
            heard: self.of_orders.heard.clone(),
            ticket: self.of_orders.ticket.clone(),
            ..CheckedIn::of(link)
        };
        Ok((Kind::CHECKED_IN, answer.to_body()))
    }

    fn take(&mut self, id: HostId, opened: &Opened<'_>) -> (Kind, Body) {
        let (message, parts) = Documents::read(opened).expect("parts fit their bytes");
        assert_eq!(
            message.link,
            self.last_link(id),
            "documents come with the last link"
        );
        let mut taken = DocumentsTaken::default();
        for (part, bytes) in message.documents.iter().zip(parts) {
            self.forms.push(part.form.clone());
            let whole = match &part.form {
                Form::Whole => bytes.to_vec(),
                Form::Delta { base } => match self.documents.get(base) {
                    Some(base) => {
                        let base = InventoryDocument::parse(base).expect("it was taken");
                        let delta = InventoryDelta::parse(bytes).expect("a delta");
                        delta.apply(base, part.digest).expect("it leads where it says").1
                    }
                    None => {
                        taken.refused.push(RefusedDocument {
                            digest: part.digest,
                            why: WhyRefused::BaseUnknown,
                            sentence: "Send it whole.".to_owned(),
                        });
                        continue;
                    }
                },
                Form::Piece { .. } => panic!("no index file was asked for"),
            };
            assert_eq!(sha256(&whole), part.digest);
            self.documents.insert(part.digest, whole);
            if part.kind == DocumentKind::Inventory {
                self.hosts.get_mut(&id).expect("it is there").inventory = Some(part.digest);
            }
            taken.taken.push(part.digest);
        }
        (Kind::DOCUMENTS_TAKEN, taken.to_body())
    }

    fn last_link(&self, id: HostId) -> Link {
        self.links.issue(id, self.hosts[&id].chain.issued())
    }
}
