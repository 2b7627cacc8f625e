//! A change as rows, for tests that are about its rows and not about how it came to be.

use crate::world::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, Release, Rules};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId};
use domain::order::{Direction, RebootRule, Start};
use jiff::{SignedDuration, Timestamp};
use protocol::key::SigningKey;
use protocol::order::ApprovalDocument;
use protocol::scope::Tree;
use serde_json::{Value, json};
use store::deployment::{Intent, Need, NeedKind, NewDeployment};
use store::order::{NewOrder, OrderStage, Report};
use store::rollout_change::{ChangeSignature, ChangeState, NewChange};
use store::{Error, Scope, Tx, deployment, order, rollout_change};

pub const CHANGE: ChangeId = ChangeId([0x5a; 16]);
pub const DEPLOYMENT: DeploymentId = DeploymentId([0x5b; 16]);
const TRANSACTION: Sha256Digest = Sha256Digest([0x5c; 32]);

/// The approver of the tenant's policy.
fn approver() -> SigningKey {
    SigningKey::from_seed(&[0x5d; 32])
}

/// Whether the approver has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    Yes,
    No,
}

fn approval(world: &World, host: HostId) -> Vec<u8> {
    ApprovalDocument::bytes_of(&Approval {
        tenant: world.tenant,
        release: Release {
            updates: vec![UpdateId {
                publisher: Publisher {
                    origin: "World".to_owned(),
                    keys: vec!["AB".to_owned()],
                },
                source: "hello".to_owned(),
                source_version: "2.0-1".to_owned(),
                build: String::new(),
            }],
            rules: Rules {
                needs: Mode::Install,
                start: Start::WithGo,
                reboot: RebootRule::Never,
                removals: Vec::new(),
            },
        },
        snapshots: vec![Sha256Digest([1; 32])],
        scope: Tree::over(&[host]).scope(),
        not_after: world.now() + SignedDuration::from_hours(24),
        direction: Direction::Forward,
    })
}

/// The approver's signature over the change, as it is posted.
pub fn signature(world: &World, host: HostId) -> Value {
    let approved = ApprovalDocument::parse(&approval(world, host)).expect("an approval");
    json!({
        "key": STANDARD.encode(approver().verifying().to_bytes()),
        "signature": STANDARD.encode(approved.sign(&approver()).signature),
    })
}

/// A change in this state on this host, with a policy of one approver; its deployment had an order that the host let go of.
pub async fn a_change(world: &World, host: HostId, state: ChangeState, intent: Intent, signed: Signed) {
    let (scope, now) = (world.scope(), world.now());
    let bytes = approval(world, host);
    let written = world
        .context
        .db
        .write(move |tx| write(tx, &scope, (host, state, intent, signed), &bytes, now));
    written.await.expect("it is written");
}

fn write(
    tx: &mut Tx,
    scope: &Scope,
    (host, state, intent, signed): (HostId, ChangeState, Intent, Signed),
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    let approved = ApprovalDocument::parse(bytes).expect("an approval");
    let approvers =
        json!([{ "name": "ada", "public_key": STANDARD.encode(approver().verifying().to_bytes()) }]);
    assert!(rollout_change::set_policy(tx, scope, 0, &approvers.to_string(), 1)?.is_changed());
    let new = NewChange {
        id: CHANGE,
        reason: "asked for".to_owned(),
        approval: bytes.to_vec(),
        approved: approved.digest,
        needed: 1,
        opens: now,
        closes: approved.approval.not_after,
        at_once: 1,
        made_by: None,
    };
    rollout_change::create(tx, scope, &new, now)?;
    if state == ChangeState::Stopped {
        assert!(rollout_change::set_state(tx, scope, CHANGE, 1, state)?.is_changed());
    }
    let signature = approved.sign(&approver());
    if signed == Signed::Yes {
        let kept = ChangeSignature {
            key: signature.key,
            signature: signature.signature,
        };
        assert!(rollout_change::sign(tx, scope, CHANGE, &kept, now)?);
    }
    let transaction = r#"{"snapshots":[],"packages":[],"files":[]}"#;
    deployment::put_transaction(tx, scope, TRANSACTION, transaction, now)?;
    let new = NewDeployment {
        id: DEPLOYMENT,
        host,
        need: Need {
            kind: NeedKind::Install,
            detail: String::new(),
            transaction: Some(TRANSACTION),
            inventory: None,
        },
    };
    deployment::create(tx, scope, CHANGE, &[new])?;
    let new = NewOrder {
        number: 1,
        deployment: DEPLOYMENT,
        host,
        digest: Sha256Digest([2; 32]),
        bundle: Sha256Digest([3; 32]),
        bundle_bytes: 1,
        may_begin_until: None,
    };
    order::create(tx, scope, &new, now)?;
    let report = Report {
        stage: OrderStage::Withdrawn,
        failure: None,
        since: Some(now),
        detail: String::new(),
        last_line: String::new(),
        output: None,
        fetch_millis: 0,
        install_millis: 0,
        fetched_bytes: 0,
    };
    assert!(order::note(tx, scope, 1, &report, Some(now), now)?);
    assert!(deployment::decide(tx, scope, DEPLOYMENT, 1, intent, None)?.is_changed());
    rollout_change::next_generation(tx, scope)
}
