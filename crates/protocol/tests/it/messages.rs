//! Messages: what is read is what was written, growth is no harm, size is.

use crate::samples::{self, orders};
use domain::id::HostId;
use protocol::envelope::{Body, Envelope, Unopened};
use protocol::limits;
use protocol::message::check_in::{CheckIn, CheckedIn};
use protocol::message::documents::{Documents, DocumentsError, Form};
use protocol::message::enrol::{Credential, Enrol, copy_claim};
use protocol::message::orders::{FailureKind, GoBytes, Stage};
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::{Message, MessageError};

fn read<M: Message>(json: &[u8]) -> Result<M, MessageError> {
    let key = samples::host_key();
    let body = Body {
        json: json.to_vec(),
        attachment: None,
    };
    let bytes = Envelope::seal(&key, samples::header(M::KIND), &body).expect("below the limit");
    let opened = Unopened::parse(&bytes)
        .expect("an envelope")
        .open(&key.verifying())
        .expect("signed");
    opened.message()
}

#[test]
fn an_unchanged_check_in_has_less_than_two_kilobytes_each_way() {
    let key = samples::host_key();
    let request = Envelope::seal(
        &key,
        samples::header(CheckIn::KIND),
        &samples::check_in().to_body(),
    );
    let answer = Envelope::seal(
        &key,
        samples::header(CheckedIn::KIND),
        &samples::checked_in().to_body(),
    );
    let sizes = [request, answer].map(|bytes| bytes.expect("below the limit").len());
    assert!(sizes.iter().all(|size| *size < 2_000), "{sizes:?}");
}

#[test]
fn fields_of_a_later_version_are_passed_over() {
    let mut json: serde_json::Value =
        serde_json::from_slice(&samples::check_in().to_body().json).expect("JSON");
    json["later"] = serde_json::json!({ "deep": [1, 2.5, null] });
    json["measures"]["later"] = 1.into();
    let read: CheckIn = read(json.to_string().as_bytes()).expect("it grew");
    assert_eq!(read, samples::check_in());
    let refused = br#"{"kind":"of_a_later_version","sentence":"x"}"#;
    let refused: Refused = self::read(refused).expect("a kind that is not known");
    assert_eq!(refused.kind, RefusalKind::Unrecognised);
}

#[test]
fn every_refusal_has_its_name_on_the_wire() {
    use RefusalKind::*;
    let kinds = [
        (Expired, "expired"),
        (Clock, "clock"),
        (Unknown, "unknown"),
        (Retired, "retired"),
        (Quarantined, "quarantined"),
        (Superseded, "superseded"),
        (Version, "version"),
        (SpentToken, "spent_token"),
        (WrongSite, "wrong_site"),
        (Pending, "pending"),
        (Busy, "busy"),
        (Malformed, "malformed"),
        (TooLarge, "too_large"),
    ];
    for (kind, name) in kinds {
        assert_eq!(
            serde_json::to_string(&kind).expect("a word"),
            format!("\"{name}\"")
        );
        assert_eq!(
            serde_json::from_str::<RefusalKind>(&format!("\"{name}\"")).ok(),
            Some(kind)
        );
    }
}

#[test]
fn a_string_of_four_kibibytes_is_taken_and_one_byte_more_is_not() {
    let named = |bytes: usize| Enrol {
        hostname: "x".repeat(bytes),
        ..samples::enrol()
    };
    assert!(read::<Enrol>(&named(limits::STRING_BYTES).to_body().json).is_ok());
    let error = read::<Enrol>(&named(limits::STRING_BYTES + 1).to_body().json).expect_err("too long");
    assert!(matches!(error, MessageError::TooLarge(_)), "{error}");
}

#[test]
fn lists_end_at_their_limits() {
    let many = |disks: usize, troubles: usize, documents: usize, carried: usize| {
        let mut message = samples::check_in_with_everything();
        message.measures.disks = vec![message.measures.disks[0].clone(); disks];
        message.troubles = vec!["x".into(); troubles];
        message.documents = vec![message.documents[0]; documents];
        message.carried = vec![message.carried[0].clone(); carried];
        read::<CheckIn>(&message.to_body().json)
    };
    let most = [
        limits::DISKS,
        limits::TROUBLES,
        limits::DOCUMENTS_PER_MESSAGE,
        limits::CARRIED_FILES,
    ];
    let [disks, troubles, documents, carried] = most;
    assert!(many(disks, troubles, documents, carried).is_ok());
    assert!(matches!(many(disks + 1, 0, 0, 0), Err(MessageError::TooLarge(_))));
    assert!(matches!(
        many(0, troubles + 1, 0, 0),
        Err(MessageError::TooLarge(_))
    ));
    assert!(matches!(
        many(0, 0, documents + 1, 0),
        Err(MessageError::TooLarge(_))
    ));
    assert!(matches!(
        many(0, 0, 0, carried + 1),
        Err(MessageError::TooLarge(_))
    ));
}

#[test]
fn what_is_said_of_orders_ends_at_its_limits() {
    let check_in = |count: usize, detail: usize, line: usize| {
        let mut message = orders::check_in_with_orders();
        let mut report = orders::report(Stage::Failed);
        report.detail = "x".repeat(detail);
        report.last_line = "x".repeat(line);
        message.orders = vec![report; count];
        read::<CheckIn>(&message.to_body().json).is_ok()
    };
    let text = limits::ORDER_DETAIL_BYTES;
    assert!(check_in(limits::ORDERS, text, text));
    assert!(!check_in(limits::ORDERS + 1, 0, 0));
    assert!(!check_in(1, text + 1, 0));
    assert!(!check_in(1, 0, text + 1));
    let answer = |orders: usize, goes: usize, withdrawn: usize, heard: usize, ticket: usize| {
        let digest = self::orders::offered().bundle;
        let message = CheckedIn {
            orders: vec![self::orders::offered(); orders],
            goes: vec![GoBytes(vec![1]); goes],
            withdrawn: vec![digest; withdrawn],
            heard: vec![digest; heard],
            ticket: Some("x".repeat(ticket)),
            ..samples::checked_in()
        };
        read::<CheckedIn>(&message.to_body().json).is_ok()
    };
    let (most, bytes) = (limits::ORDERS, limits::TICKET_BYTES);
    assert!(answer(most, most, most, most, bytes));
    assert!(!answer(most + 1, 0, 0, 0, 0));
    assert!(!answer(0, most + 1, 0, 0, 0));
    assert!(!answer(0, 0, most + 1, 0, 0));
    assert!(!answer(0, 0, 0, most + 1, 0));
    assert!(!answer(0, 0, 0, 0, bytes + 1));
}

#[test]
fn an_answer_of_an_older_server_says_nothing_of_orders() {
    let answer: CheckedIn =
        read(br#"{"link":{"count":18,"mac":"AAAAAAAAAAAAAAAAAAAAAA=="},"next_check_in_seconds":300}"#)
            .expect("an answer as the first version gave it");
    let nothing = CheckedIn {
        next_check_in_seconds: 300,
        ..CheckedIn::of(answer.link)
    };
    assert_eq!(answer, nothing);
}

#[test]
fn a_stage_or_failure_of_a_later_version_is_read_and_ends_nothing() {
    let body = orders::check_in_with_orders().to_body().json;
    let text = String::from_utf8(body).expect("text");
    let later = text
        .replace("\"failed\"", "\"levitating\"")
        .replace("\"script\"", "\"ennui\"");
    assert_ne!(later, text);
    let read: CheckIn = read(later.as_bytes()).expect("it grew");
    assert_eq!(read.orders[1].stage, Stage::Unrecognised);
    assert_eq!(read.orders[1].failure, Some(FailureKind::Unrecognised));
    assert_eq!(read.orders[1].observation(), None);
    assert!(!read.orders[1].stage.is_end());
}

#[test]
fn every_stage_and_failure_has_its_name_on_the_wire() {
    use FailureKind as F;
    let stages = [
        (Stage::Taken, "taken"),
        (Stage::Prepared, "prepared"),
        (Stage::Installing, "installing"),
        (Stage::RebootPending, "reboot_pending"),
        (Stage::Verifying, "verifying"),
        (Stage::Succeeded, "succeeded"),
        (Stage::NotInEffect, "not_in_effect"),
        (Stage::Failed, "failed"),
        (Stage::Withdrawn, "withdrawn"),
    ];
    for (stage, name) in stages {
        let text = serde_json::to_string(&stage).expect("a word");
        assert_eq!(text, format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<Stage>(&text).ok(), Some(stage));
    }
    let failures = [
        (F::Refused, "refused"),
        (F::Content, "content"),
        (F::Snapshot, "snapshot"),
        (F::HostChanged, "host_changed"),
        (F::Differs, "differs"),
        (F::Busy, "busy"),
        (F::DiskFull, "disk_full"),
        (F::Script, "script"),
        (F::PackageManager, "package_manager"),
        (F::Interrupted, "interrupted"),
        (F::Expired, "expired"),
        (F::NotSeen, "not_seen"),
    ];
    for (failure, name) in failures {
        let text = serde_json::to_string(&failure).expect("a word");
        assert_eq!(text, format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<F>(&text).ok(), Some(failure));
        // The words of the domain are the same ones.
        assert_eq!(
            F::from(domain::rollout::deployment::Failure::from(failure)),
            failure
        );
    }
}

#[test]
fn a_message_of_another_kind_is_not_read() {
    let key = samples::host_key();
    let body = samples::check_in().to_body();
    let bytes = Envelope::seal(&key, samples::header(Enrol::KIND), &body).expect("below the limit");
    let opened = Unopened::parse(&bytes)
        .expect("an envelope")
        .open(&key.verifying())
        .expect("signed");
    assert!(matches!(
        opened.message::<CheckIn>(),
        Err(MessageError::OtherKind { .. })
    ));
}

#[test]
fn what_cannot_be_is_malformed() {
    let good = String::from_utf8(samples::check_in().to_body().json).expect("text");
    let digest = "01".repeat(32);
    for (from, to) in [
        (digest.as_str(), "0g"),
        ("\"monitor\"", "\"root\""),
        ("\"hold_seconds\":55", "\"hold_seconds\":-1"),
        (
            "\"observed_at\":1790000000123456",
            "\"observed_at\":9223372036854775807",
        ),
        ("\"count\":17", "\"count\":1.5"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        assert!(
            matches!(read::<CheckIn>(bad.as_bytes()), Err(MessageError::Malformed(_))),
            "{to}"
        );
    }
    let deep = format!("{{\"later\":{}", "[".repeat(100_000));
    assert!(matches!(
        read::<CheckIn>(deep.as_bytes()),
        Err(MessageError::Malformed(_))
    ));
}

fn sent(message: &Documents, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, DocumentsError> {
    let key = samples::host_key();
    let bytes = Envelope::seal(&key, samples::header(Documents::KIND), &message.with_bytes(bytes));
    let bytes = bytes.expect("below the limit");
    let opened = Unopened::parse(&bytes)
        .expect("an envelope")
        .open(&key.verifying())
        .expect("signed");
    Documents::read(&opened).map(|(_, parts)| parts.into_iter().map(<[u8]>::to_vec).collect())
}

#[test]
fn documents_come_with_exactly_their_bytes() {
    let (message, bytes) = samples::documents();
    let parts = sent(&message, bytes.clone()).expect("they fit");
    assert_eq!(parts.concat(), bytes);
    assert_eq!(parts[2], b"keys");
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(sent(&message, longer), Err(DocumentsError::Unfit(_))));
    assert!(matches!(
        sent(&message, bytes[1..].to_vec()),
        Err(DocumentsError::Unfit(_))
    ));
    let mut wrapping = message.clone();
    wrapping.documents[0].size_bytes = u64::MAX;
    wrapping.documents[1].size_bytes += 1 + message.documents[0].size_bytes;
    assert!(matches!(sent(&wrapping, bytes), Err(DocumentsError::Unfit(_))));
}

#[test]
fn an_index_file_may_have_its_limit_and_not_a_byte_more() {
    let (message, bytes) = samples::documents();
    let of = |total_bytes| {
        let mut message = message.clone();
        message.documents[3].form = Form::Piece {
            offset: 0,
            total_bytes,
        };
        sent(&message, bytes.clone())
    };
    assert!(of(limits::INDEX_FILE_BYTES).is_ok());
    assert!(matches!(
        of(limits::INDEX_FILE_BYTES + 1),
        Err(DocumentsError::Message(MessageError::TooLarge(_)))
    ));
}

#[test]
fn a_copy_proves_its_old_key_for_this_new_key_and_this_host_only() {
    let enrol = samples::enrol_as_copy();
    let Credential::Copy { signature, .. } = enrol.credential else {
        panic!("a copy's credential");
    };
    let old = samples::host_key().verifying();
    assert!(
        old.verify(&copy_claim(samples::HOST, &enrol.public_key), &signature)
            .is_ok()
    );
    assert!(
        old.verify(&copy_claim(HostId([1; 16]), &enrol.public_key), &signature)
            .is_err()
    );
    assert!(
        old.verify(&copy_claim(samples::HOST, &[1; 32]), &signature)
            .is_err()
    );
}

#[test]
fn a_next_key_counts_only_from_the_host_that_has_it() {
    let next = samples::renew().next_key.expect("a sample with one");
    assert_eq!(
        next.verify(samples::HOST),
        Ok(samples::next_host_key().verifying())
    );
    assert!(next.verify(HostId([1; 16])).is_err());
    let stolen = protocol::message::renew::NextKey {
        public_key: samples::answers_key().verifying().to_bytes(),
        ..next
    };
    assert!(stolen.verify(samples::HOST).is_err());
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?} {:?}", samples::enrol(), samples::host_key());
    assert!(!shown.contains("7, 7, 7"), "{shown}");
    assert!(!shown.contains("1, 1, 1"), "{shown}");
}
