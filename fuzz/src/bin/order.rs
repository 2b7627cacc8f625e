//! Orders as a host gets them: any bytes are a bundle, an approval or a statement or they are not, what is one is written again
//! as exactly the bytes that came, and whoever holds a key can still only say what the host can judge.
#![no_main]

use domain::change::InScope;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use domain::identity::BootId;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use protocol::key::SigningKey;
use protocol::limits;
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::statement::{Unread, seal};

fuzz_target!(
    init: fuzz::seeds([
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/bundle.json").as_slice(),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/approval.json"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/order.statement"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/go.statement"),
        // The bodies, to be sealed by one who has the key.
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/order.statement").get(90..).unwrap_or_default(),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/go.statement").get(90..).unwrap_or_default(),
    ]),
    |bytes: &[u8]| {
        let key = SigningKey::from_seed(&[7; 32]);
        if let Ok(bundle) = Bundle::parse(bytes) {
            assert_eq!(bundle.to_bytes(), bytes);
            assert!(bundle.signatures.len() <= limits::APPROVERS);
            judge(&bundle, &key);
        }
        if let Ok(approved) = ApprovalDocument::parse(bytes) {
            assert_eq!(ApprovalDocument::bytes_of(&approved.approval), bytes);
            let signature = approved.sign(&key);
            assert_eq!(approved.signed_by(&[signature, signature], &[key.verifying()]), 1);
        }
        statement(bytes, &key);
        // The same bytes as a body by somebody who has the key.
        for kind in [1, 2] {
            statement(&sealed(kind, bytes, &key), &key);
        }
    }
);

/// A statement of this kind with any body, by somebody who has the key (docs/protocol.md).
fn sealed(kind: u16, body: &[u8], key: &SigningKey) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("inputs are small");
    let head = [
        b"PYS1".as_slice(),
        &kind.to_be_bytes(),
        &key.id().0,
        &length.to_be_bytes(),
    ]
    .concat();
    let signature = key.sign(&[b"patchyard statement 1\0".as_slice(), &head, body].concat());
    [head.as_slice(), &signature, body].concat()
}

fn judge(bundle: &Bundle, key: &SigningKey) {
    statement(&bundle.order, key);
    let Ok(approved) = ApprovalDocument::parse(&bundle.approval) else {
        return;
    };
    let host = HostId([2; 16]);
    let is_in_scope = bundle.inclusion.proves(host, approved.approval.scope);
    let Ok(order) =
        Unread::parse(&bundle.order).and_then(|unread| unread.open::<OrderDocument>(&key.verifying()))
    else {
        return;
    };
    let in_scope = if is_in_scope {
        InScope::Proved
    } else {
        InScope::NotProved
    };
    let order = order.says.into_order();
    if approved.approval.covers(&order, in_scope).is_ok() {
        assert_eq!(order.tenant, approved.approval.tenant);
        assert!(is_in_scope && order.window.closes <= approved.approval.not_after);
    }
}

fn statement(bytes: &[u8], key: &SigningKey) {
    let Ok(unread) = Unread::parse(bytes) else { return };
    if let Ok(order) = unread.open::<OrderDocument>(&key.verifying()) {
        assert_eq!(order.digest, protocol::sha256(bytes));
        let order = order.says.into_order();
        assert_eq!(
            seal(&OrderDocument::of(&order), key),
            bytes,
            "one form, one signature"
        );
        return;
    }
    if let Ok(go) = unread.open::<GoDocument>(&key.verifying()) {
        let go = go.says.into_go();
        assert_eq!(seal(&GoDocument::of(&go), key), bytes, "one form, one signature");
        let _ = go.allows(Sha256Digest([1; 32]), BootId([5; 16]), [6; 16], Timestamp::MAX);
        let _ = go.allows(go.order, go.boot, go.nonce, Timestamp::MIN);
        let _ = go.allows(go.order, go.boot, go.nonce, Timestamp::MAX);
    }
}
