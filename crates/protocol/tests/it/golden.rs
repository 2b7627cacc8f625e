//! Transcripts of the first version, kept for ever: each later version must read them, and write the same where it says
//! the same. A new shape gets a new file; none is ever replaced.

use crate::samples::{self, orders};
use protocol::card::ServerCard;
use protocol::document::Document;
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::delta::InventoryDelta;
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::envelope::{Body, Envelope, HEADER_BYTES, Unopened};
use protocol::key::SigningKey;
use protocol::message::Message;
use protocol::message::check_in::{CheckIn, CheckedIn};
use protocol::message::documents::{Documents, DocumentsTaken};
use protocol::message::enrol::{Enrol, Enrolled, introducing};
use protocol::message::refused::Refused;
use protocol::message::renew::{Renew, Renewed};
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::statement::{Statement, Unread};
use protocol::token::EnrolmentToken;
use std::fmt::Debug;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden/v1")
        .join(name)
}

fn kept(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A transcript: its name, and what it is today.
struct Transcript {
    name: &'static str,
    sealed: Vec<u8>,
}

fn request<M: Message>(name: &'static str, key: &SigningKey, body: &Body) -> Transcript {
    let sealed = Envelope::seal(key, samples::header(M::KIND), body).expect("below the limit");
    Transcript { name, sealed }
}

/// The answer to a request.
fn answer<M: Message>(name: &'static str, request: &Transcript, body: &Body) -> Transcript {
    let asked = Unopened::parse(&request.sealed).expect("an envelope").asked();
    let header = asked.answer(M::KIND, samples::time());
    let sealed = Envelope::seal(&samples::answers_key(), header, body).expect("below the limit");
    Transcript { name, sealed }
}

fn card() -> ServerCard {
    samples::card(kept("authority.der"))
}

fn transcripts() -> Vec<Transcript> {
    let host = samples::host_key;
    let (documents, bytes) = samples::documents();
    let enrol = request::<Enrol>("enrol", &host(), &samples::enrol().to_body());
    let enrol_copy = request::<Enrol>(
        "enrol-copy",
        &samples::next_host_key(),
        &samples::enrol_as_copy().to_body(),
    );
    let check_in = request::<CheckIn>("check-in", &host(), &samples::check_in().to_body());
    let check_in_all = request::<CheckIn>(
        "check-in-all",
        &host(),
        &samples::check_in_with_everything().to_body(),
    );
    let documents = request::<Documents>("documents", &host(), &documents.with_bytes(bytes));
    let renew = request::<Renew>("renew", &host(), &samples::renew().to_body());
    let check_in_orders = request::<CheckIn>(
        "check-in-orders",
        &host(),
        &orders::check_in_with_orders().to_body(),
    );
    vec![
        answer::<Enrolled>("enrolled", &enrol, &introducing(&samples::enrolled(), &card())),
        answer::<CheckedIn>("checked-in", &check_in, &samples::checked_in().to_body()),
        answer::<CheckedIn>(
            "checked-in-all",
            &check_in_all,
            &samples::checked_in_with_everything().to_body(),
        ),
        answer::<CheckedIn>(
            "checked-in-orders",
            &check_in_orders,
            &orders::checked_in_with_orders().to_body(),
        ),
        answer::<DocumentsTaken>(
            "documents-taken",
            &documents,
            &samples::documents_taken().to_body(),
        ),
        answer::<Renewed>("renewed", &renew, &samples::renewed().to_body()),
        answer::<Refused>("refused", &check_in, &samples::refused().to_body()),
        answer::<Refused>(
            "refused-enrol",
            &enrol_copy,
            &introducing(&samples::refused(), &card()),
        ),
        enrol,
        enrol_copy,
        check_in,
        check_in_all,
        check_in_orders,
        documents,
        renew,
    ]
}

fn token() -> String {
    let token = EnrolmentToken {
        addresses: card().addresses,
        authority: protocol::sha256(&kept("authority.der")),
        secret: [7; 16],
        site: "main".into(),
        package: Some(protocol::sha256(b"package")),
        expires: samples::time(),
    };
    token.to_text()
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("inventory.json", samples::inventory().to_bytes()),
        ("channel-config.json", samples::channel_config().to_bytes()),
        ("facts.json", samples::facts().to_bytes()),
        (
            "facts-unknown.json",
            FactsDocument::from(&samples::unknown_facts()).to_bytes(),
        ),
        ("delta.json", delta().to_bytes()),
        ("card.json", card().to_bytes()),
        ("token.txt", token().into_bytes()),
        ("approval.json", ApprovalDocument::bytes_of(&orders::approval())),
        ("bundle.json", orders::bundle().to_bytes()),
        ("order.statement", orders::order_statement()),
        ("go.statement", orders::go_statement()),
    ]
}

fn delta() -> InventoryDelta {
    let mut newer = samples::inventory();
    newer.packages.remove(2);
    newer.packages[0].version = "6".into();
    InventoryDelta::between(&samples::inventory(), &newer)
}

/// Writes the transcripts of shapes that have none yet, where `PATCHYARD_NEW_TRANSCRIPTS=1` asks for them.
#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
fn write_those_that_are_new() {
    if std::env::var("PATCHYARD_NEW_TRANSCRIPTS").as_deref() != Ok("1") {
        return;
    }
    let sealed = transcripts().into_iter();
    let sealed = sealed.map(|one| (format!("{}.envelope", one.name), one.sealed));
    let plain = texts().into_iter().map(|(name, text)| (name.to_owned(), text));
    for (name, bytes) in sealed.chain(plain) {
        if !path(&name).exists() {
            std::fs::write(path(&name), bytes).expect("the folder of transcripts");
        }
    }
}

#[test]
fn kept_transcripts_are_what_is_written_today() {
    write_those_that_are_new();
    for transcript in transcripts() {
        assert_eq!(
            kept(&format!("{}.envelope", transcript.name)),
            transcript.sealed,
            "{}",
            transcript.name
        );
    }
    for (name, text) in texts() {
        assert_eq!(
            String::from_utf8_lossy(&kept(name)),
            String::from_utf8_lossy(&text),
            "{name}"
        );
    }
}

#[test]
fn every_kept_file_is_one_that_is_tested() {
    let mut known: Vec<String> = transcripts()
        .iter()
        .map(|transcript| format!("{}.envelope", transcript.name))
        .collect();
    known.extend(texts().into_iter().map(|(name, _)| name.to_owned()));
    known.push("authority.der".to_owned());
    known.sort();
    let mut there: Vec<String> = std::fs::read_dir(path(""))
        .expect("the folder of transcripts")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    there.sort();
    assert_eq!(there, known);
}

/// Reads a kept message, and gives its envelope.
fn reads<M: Message + PartialEq + Debug>(name: &str, expected: &M) -> Vec<u8> {
    let bytes = kept(&format!("{name}.envelope"));
    let envelope = Unopened::parse(&bytes).expect("an envelope");
    let keys = [
        samples::host_key(),
        samples::next_host_key(),
        samples::answers_key(),
    ];
    let key = keys
        .iter()
        .find(|key| key.id() == envelope.key_id())
        .expect("a known key")
        .verifying();
    let opened = envelope.open(&key).expect("signed");
    assert_eq!(&opened.message::<M>().expect("the message"), expected, "{name}");
    assert_eq!(opened.header().sequence, 41);
    assert_eq!(opened.header().sent_at, samples::time());
    bytes
}

/// A kept request and its answer: each says what it said, and the one belongs to the other.
fn exchange<Q, A>((asked, question): (&str, &Q), (answered, answer): (&str, &A))
where
    Q: Message + PartialEq + Debug,
    A: Message + PartialEq + Debug,
{
    let request = reads(asked, question);
    let answer = reads(answered, answer);
    let header = Unopened::parse(&request).expect("an envelope").header();
    assert_eq!(header.nonce.0, [0x5a; 16], "{asked}");
    let digest = ring::digest::digest(&ring::digest::SHA256, &request[..HEADER_BYTES]);
    let header = Unopened::parse(&answer).expect("an envelope").header();
    assert_eq!(header.nonce.0, digest.as_ref()[..16], "{answered}");
}

#[test]
fn kept_transcripts_say_what_they_said() {
    let check_in = samples::check_in();
    let all = samples::check_in_with_everything();
    exchange(("enrol", &samples::enrol()), ("enrolled", &samples::enrolled()));
    exchange(("check-in", &check_in), ("checked-in", &samples::checked_in()));
    exchange(
        ("check-in-all", &all),
        ("checked-in-all", &samples::checked_in_with_everything()),
    );
    exchange(
        ("check-in-orders", &orders::check_in_with_orders()),
        ("checked-in-orders", &orders::checked_in_with_orders()),
    );
    exchange(
        ("documents", &samples::documents().0),
        ("documents-taken", &samples::documents_taken()),
    );
    exchange(("renew", &samples::renew()), ("renewed", &samples::renewed()));
    exchange(("check-in", &check_in), ("refused", &samples::refused()));
    exchange(
        ("enrol-copy", &samples::enrol_as_copy()),
        ("refused-enrol", &samples::refused()),
    );
    assert_eq!(
        InventoryDocument::parse(&kept("inventory.json")).ok(),
        Some(samples::inventory())
    );
    assert_eq!(
        ChannelConfigDocument::parse(&kept("channel-config.json")).ok(),
        Some(samples::channel_config())
    );
    assert_eq!(
        FactsDocument::parse(&kept("facts.json")).ok(),
        Some(samples::facts())
    );
    let unknown = FactsDocument::from(&samples::unknown_facts());
    assert_eq!(
        FactsDocument::parse(&kept("facts-unknown.json")).ok(),
        Some(unknown)
    );
    assert_eq!(InventoryDelta::parse(&kept("delta.json")).ok(), Some(delta()));
    let card = ServerCard::parse(&kept("card.json")).expect("a card");
    assert!(card.verify(&[protocol::sha256(&kept("authority.der"))]).is_ok());
    let token: EnrolmentToken = String::from_utf8(kept("token.txt"))
        .expect("text")
        .parse()
        .expect("a token");
    assert_eq!(token.site, "main");
}

#[test]
fn kept_orders_say_what_they_said() {
    fn stated<T: Statement>(name: &str) -> T {
        let bytes = kept(name);
        let unread = Unread::parse(&bytes).expect("a statement");
        unread
            .open(&orders::orders_key().verifying())
            .expect("signed")
            .says
    }
    assert_eq!(
        stated::<OrderDocument>("order.statement").into_order(),
        orders::order()
    );
    assert_eq!(stated::<GoDocument>("go.statement").into_go(), orders::go());
    let approved = ApprovalDocument::parse(&kept("approval.json")).expect("an approval");
    assert_eq!(approved.approval, orders::approval());
    assert_eq!(
        Bundle::parse(&kept("bundle.json")).expect("a bundle"),
        orders::bundle()
    );
}

#[test]
fn a_kept_deflated_body_opens_with_every_later_library() {
    // Deflated text may differ between libraries, so only reading is kept: python's zlib wrote this one.
    let packed = [0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32, 0xac, 0x05, 0x00];
    let unpacked = std::io::read_to_string(flate2::read::DeflateDecoder::new(&packed[..])).expect("deflated");
    assert_eq!(unpacked, "{\"a\":1}");
}
