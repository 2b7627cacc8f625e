//! Envelopes: any bytes parse or do not, open only with the key that signed, and whoever holds a key can still only
//! send what is within the limits.
#![no_main]

use domain::identity::Nonce;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use protocol::envelope::{Body, Envelope, Header, Unopened};
use protocol::key::SigningKey;
use protocol::limits;
use protocol::message::Kind;
use protocol::message::check_in::{CheckIn, CheckedIn};
use protocol::message::documents::Documents;
use protocol::message::enrol::Enrol;
use protocol::message::refused::Refused;
use protocol::message::renew::Renew;

fuzz_target!(
    init: fuzz::seeds([
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/check-in-all.envelope").as_slice(),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/check-in-orders.envelope"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/documents.envelope"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/enrolled.envelope"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/enrol.envelope"),
    ]),
    |bytes: &[u8]| {
        let key = SigningKey::from_seed(&[1; 32]);
        if let Ok(envelope) = Unopened::parse(bytes) {
            let _ = envelope.introduction();
            let _ = envelope.open_enrolment();
            read(&envelope, &key);
        }
        // The same bytes as a body by somebody who has the key, whatever the header calls them.
        let Some((kind, json)) = bytes.split_first() else { return };
        let kind = Kind(u16::from(kind & 7) | u16::from(kind & 0x80) << 8);
        let header = Header::request(kind, 1, Nonce([0; 16]), Timestamp::UNIX_EPOCH);
        let (json, attachment) = json.split_at(json.len() / 2);
        for attachment in [None, Some(attachment.to_vec())] {
            let body = Body { json: json.to_vec(), attachment };
            let sealed = Envelope::seal(&key, header, &body).expect("far below the limit");
            let envelope = Unopened::parse(&sealed).expect("what was sealed parses");
            assert_eq!(envelope.header(), header);
            read(&envelope, &key);
            let opened = envelope.open(&key.verifying()).expect("what was sealed opens");
            assert_eq!(opened.json(), body.json);
        }
    }
);

fn read(envelope: &Unopened<'_>, key: &SigningKey) {
    let Ok(opened) = envelope.open(&key.verifying()) else {
        return;
    };
    assert!(opened.json().len() + opened.attachment().len() <= limits::BODY_BYTES);
    let _ = opened.message::<Enrol>();
    let _ = opened.message::<CheckIn>();
    let _ = opened.message::<CheckedIn>();
    let _ = opened.message::<Renew>();
    let _ = opened.message::<Refused>();
    if let Ok((message, parts)) = Documents::read(&opened) {
        assert_eq!(message.documents.len(), parts.len());
        assert_eq!(parts.concat(), opened.attachment());
    }
}
