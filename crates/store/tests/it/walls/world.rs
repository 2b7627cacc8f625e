//! A tenant with one of everything, beside another tenant that has a site and nothing else.

use crate::catalog::{a_source, an_update, source_id, update_key};
use crate::engines::{WHOLE, a_tenant, at, bytes, digest, host_id, new_host, site_id};
use crate::packages::a_document;
use domain::assess::fleet::{ChunkNo, Counts, HostNo, PackageId};
use domain::digest::Sha256Digest;
use domain::id::{
    AuditId, ChangeId, DeploymentId, EnrolmentTokenId, GrantId, KeyId, NodeId, RequestId, RoleId, SnapshotId,
    TokenId,
};
use store::acquisition::Acquisition;
use store::agent_chain::AgentChain;
use store::agent_key::Validity;
use store::audit::{ActorKind, NewRecord, Personal};
use store::channel_match::ChannelMatch;
use store::content_grant::{ContentGrant, GrantReason};
use store::coverage::Coverage;
use store::deployment::{Intent, Need, NeedKind, NewDeployment};
use store::document::DocumentKind;
use store::enrolment_token::{Admits, NewEnrolmentToken};
use store::finding::{FindingChunk, Generation};
use store::host::{CountsBlock, HostStanding};
use store::host_change::{ChangeAction, ChangedBy, HostChange};
use store::host_document::HostDocument;
use store::idempotency_key::{Answer, RequestName};
use store::lease::Fence;
use store::liveness::Liveness;
use store::order::{NewOrder, OrderStage, Report};
use store::role::NewGrant;
use store::rollout_change::{ChangeSignature, NewChange};
use store::snapshot::NewSnapshot;
use store::source::SourceState;
use store::token::NewToken;
use store::update::{Listing, UpdateClass};
use store::{
    Db, Error, Scope, Tx, acquisition, agent_chain, agent_key, audit, channel_match, content_grant, coverage,
    deployment, document, enrolment_token, finding, host, host_change, host_document, idempotency_key,
    inventory_package, lease, liveness, order, role, rollout_change, snapshot, source, token, update, user,
};

/// The world's two tenants, and the lease under which it was assessed.
#[derive(Clone)]
pub struct World {
    pub scope: Scope,
    pub foreign: Scope,
    pub fence: Fence,
    pub generation: Generation,
}

pub const INVENTORY: u64 = 1;
pub const CHANNELS: u64 = 2;
pub const KEY_FILE: u64 = 3;
pub const UNUSED: u64 = 4;

pub fn key_id() -> KeyId {
    KeyId([21; 16])
}

pub fn validity() -> Validity {
    Validity {
        issued_at: at(0),
        not_after: at(100),
    }
}

pub fn token_id() -> TokenId {
    TokenId(bytes(8, 1))
}

pub fn enrolment_token_id() -> EnrolmentTokenId {
    EnrolmentTokenId(bytes(9, 1))
}

pub fn request(number: u64) -> RequestId {
    RequestId(bytes(10, number))
}

pub fn record_id(number: u64) -> AuditId {
    AuditId(bytes(11, number))
}

pub fn role_id() -> RoleId {
    RoleId(bytes(6, 1))
}

pub fn grant_id(number: u64) -> GrantId {
    GrantId(bytes(7, number))
}

pub fn snapshot_id() -> SnapshotId {
    SnapshotId(bytes(13, 1))
}

pub fn change_id() -> ChangeId {
    ChangeId(bytes(14, 1))
}

pub fn deployment_id(number: u64) -> DeploymentId {
    DeploymentId(bytes(15, number))
}

pub fn machine() -> Sha256Digest {
    digest(99)
}

pub fn a_record(number: u64) -> NewRecord {
    NewRecord {
        id: record_id(number),
        actor_kind: ActorKind::Server,
        actor: None,
        action: "make".into(),
        noun: "world".into(),
        noun_id: None,
        body: "{}".into(),
        personal: Some(Personal {
            salt: [1; 16],
            data: "{}".into(),
        }),
    }
}

pub fn a_grant(number: u64) -> NewGrant {
    let user = crate::people::user_id(1);
    NewGrant {
        id: grant_id(number),
        user,
        role: role_id(),
        site: None,
        granted_by: None,
    }
}

pub fn a_token(number: u64) -> NewToken {
    NewToken {
        id: TokenId(bytes(8, number)),
        secret_hash: [number as u8; 32],
        name: "ci".into(),
        made_by: None,
        permissions: "[]".into(),
        site: Some(site_id(1)),
        expires_at: None,
    }
}

pub fn an_enrolment_token(number: u64) -> NewEnrolmentToken {
    NewEnrolmentToken {
        id: EnrolmentTokenId(bytes(9, number)),
        secret_hash: [number as u8; 32],
        site: site_id(1),
        name: "rack".into(),
        admits: Admits::Active,
        uses: 5,
        made_by: None,
        expires_at: at(1_000),
    }
}

pub fn a_rollout_change(id: ChangeId) -> NewChange {
    NewChange {
        id,
        reason: "asked for".into(),
        approval: vec![1],
        approved: digest(50),
        needed: 1,
        opens: at(0),
        closes: at(1_000),
        at_once: 10,
        made_by: None,
    }
}

pub fn a_need() -> Need {
    Need {
        kind: NeedKind::Install,
        detail: String::new(),
        transaction: Some(digest(51)),
        inventory: Some(digest(INVENTORY)),
    }
}

pub fn a_deployment(number: u64) -> NewDeployment {
    NewDeployment {
        id: deployment_id(number),
        host: host_id(number),
        need: a_need(),
    }
}

pub fn an_order(number: u64) -> NewOrder {
    NewOrder {
        number,
        deployment: deployment_id(1),
        host: host_id(1),
        digest: digest(60 + number),
        bundle: digest(70 + number),
        bundle_bytes: 1,
        may_begin_until: None,
    }
}

pub fn a_report(stage: OrderStage) -> Report {
    Report {
        stage,
        failure: None,
        since: Some(at(3)),
        detail: String::new(),
        last_line: String::new(),
        output: None,
        fetch_millis: 0,
        install_millis: 0,
        fetched_bytes: 0,
    }
}

pub fn a_change() -> HostChange {
    HostChange {
        observed_at: at(1),
        received_at: at(1),
        action: ChangeAction::Installed,
        package: "nginx".into(),
        architecture: "amd64".into(),
        version_before: None,
        version_after: Some("1".into()),
        changed_by: ChangedBy::Person,
        detail: String::new(),
    }
}

pub fn a_chunk(hosts: impl IntoIterator<Item = u32>) -> FindingChunk {
    FindingChunk {
        update: update_key(1),
        chunk: ChunkNo(0),
        hosts: hosts.into_iter().collect(),
    }
}

pub fn covered(holes: &str) -> Coverage {
    Coverage {
        host: host_id(1),
        standing: HostStanding::Unknown,
        holes: holes.into(),
    }
}

pub fn had(number: u64, kind: DocumentKind, when: i64) -> HostDocument {
    HostDocument {
        host: host_id(1),
        kind,
        digest: digest(number),
        observed_at: at(when),
        received_at: at(when),
    }
}

/// Makes the world.
pub async fn a_world(db: &Db) -> World {
    let (scope, foreign) = (a_tenant(db, 1).await, a_tenant(db, 2).await);
    db.write(move |tx| {
        hosts(tx, &scope)?;
        people(tx, &scope)?;
        catalog(tx, &scope)?;
        rollout(tx, &scope)?;
        let fence = lease::take(tx, &WHOLE, "assess", NodeId([1; 16]), at(0), at(1_000))?.expect("the lease");
        let generation = findings(tx, &scope, &fence)?;
        Ok(World {
            scope,
            foreign,
            fence,
            generation,
        })
    })
    .await
    .expect("a world")
}

fn hosts(tx: &mut Tx, scope: &Scope) -> Result<(), Error> {
    let mut new = new_host(1, site_id(1), "web");
    new.machine = Some(machine());
    host::create(tx, scope, &new, at(0))?;
    assert!(host::set_tags(tx, scope, host_id(1), 1, &["prod".to_owned()])?.is_changed());
    agent_key::add(tx, scope, host_id(1), key_id(), [5; 32], validity())?;
    let chain = AgentChain {
        host: host_id(1),
        issued: 1,
        state: "{}".into(),
        advanced_at: at(0),
    };
    agent_chain::advance(tx, &WHOLE, &[(scope.tenant(), chain)])?;
    let sign = Liveness {
        host: host_id(1),
        seen_at: at(0),
        next_expected_at: at(10),
        address: "192.0.2.1".into(),
        boot_id: Some([1; 16]),
        measures: "{}".into(),
    };
    liveness::note(tx, &WHOLE, &[(scope.tenant(), sign)])?;
    for (number, kind) in [
        (INVENTORY, DocumentKind::Inventory),
        (CHANNELS, DocumentKind::ChannelConfig),
        (KEY_FILE, DocumentKind::KeyFile),
        (UNUSED, DocumentKind::Facts),
        (UNUSED + 1, DocumentKind::Inventory),
    ] {
        document::put(tx, scope, &a_document(number, kind), at(1))?;
    }
    // An older inventory, so that there is something to forget.
    assert!(host_document::note(
        tx,
        scope,
        &had(UNUSED + 1, DocumentKind::Inventory, 1)
    )?);
    assert!(host_document::note(
        tx,
        scope,
        &had(INVENTORY, DocumentKind::Inventory, 2)
    )?);
    assert!(host_document::note(
        tx,
        scope,
        &had(CHANNELS, DocumentKind::ChannelConfig, 2)
    )?);
    host_document::note_uses(tx, scope, digest(CHANNELS), &[digest(KEY_FILE)])?;
    host_change::note(tx, scope, host_id(1), &[a_change()])?;
    inventory_package::put(
        tx,
        scope,
        digest(INVENTORY),
        &[PackageId(0)].into_iter().collect(),
    )?;
    // Another host whose inventory was not numbered yet, and packages of a document that no host has.
    host::create(tx, scope, &new_host(2, site_id(1), "db"), at(0))?;
    let other = HostDocument {
        host: host_id(2),
        ..had(UNUSED + 1, DocumentKind::Inventory, 1)
    };
    assert!(host_document::note(tx, scope, &other)?);
    document::put(tx, scope, &a_document(UNUSED + 2, DocumentKind::Inventory), at(1))?;
    inventory_package::put(
        tx,
        scope,
        digest(UNUSED + 2),
        &[PackageId(1)].into_iter().collect(),
    )
}

fn people(tx: &mut Tx, scope: &Scope) -> Result<(), Error> {
    user::create_own(tx, scope, crate::people::user_id(1), "ada", "Ada", at(0))?;
    role::create(tx, scope, role_id(), "watcher", "[]", at(0))?;
    assert!(role::grant(tx, scope, &a_grant(1), at(0))?);
    token::create(tx, scope, &a_token(1), at(0))?;
    enrolment_token::create(tx, scope, &an_enrolment_token(1), at(0))?;
    enrolment_token::spend(tx, scope, enrolment_token_id(), request(1), host_id(1), at(1))?;
    let name = RequestName {
        owner: scope.owner(),
        principal: [1; 16],
        name: "k".into(),
    };
    let answer = Answer {
        request_digest: [2; 32],
        status: 200,
        body: Vec::new(),
    };
    idempotency_key::keep(tx, &WHOLE, &name, &answer, at(0))?;
    audit::write(tx, scope, &a_record(1), at(0))?;
    let sealer = lease::take(tx, &WHOLE, "sealer", NodeId([1; 16]), at(0), at(1_000))?.expect("the lease");
    audit::seal(tx, &WHOLE, &sealer, 10, at(1))?;
    Ok(())
}

fn catalog(tx: &mut Tx, scope: &Scope) -> Result<(), Error> {
    source::create(tx, scope, &a_source(1, SourceState::Adopted), at(0))?;
    let snapshot = NewSnapshot {
        id: snapshot_id(),
        digest: digest(30),
        release: "{}".into(),
        indexes: "[]".into(),
        published_at: at(0),
        valid_until: None,
    };
    snapshot::adopt(tx, &WHOLE, source_id(1), &snapshot, at(1))?;
    let owner = scope.owner();
    channel_match::set(
        tx,
        scope,
        digest(CHANNELS),
        &[ChannelMatch {
            stanza: 0,
            owner,
            source: source_id(1),
        }],
    )?;
    update::note(tx, &WHOLE, owner, &[an_update(1, UpdateClass::Security)], at(1))?;
    let listing = Listing {
        source_owner: owner,
        source: source_id(1),
        component: "main".into(),
        architecture: "amd64".into(),
        suite: "stable".into(),
        first_snapshot: snapshot_id(),
        listed_at: at(1),
        delisted_at: None,
    };
    update::list(tx, &WHOLE, owner, &[(update_key(1), listing)])?;
    let grant = ContentGrant {
        owner,
        digest: digest(40),
        reason: GrantReason::Snapshot,
        reference: snapshot_id().0,
        size_bytes: 1,
    };
    content_grant::give(tx, &WHOLE, &[grant], at(1))?;
    let file = Acquisition {
        owner,
        source: source_id(1),
        digest: digest(40),
        size_bytes: 1,
        place: "pool/a.deb".into(),
        release: digest(41),
        signed_by: "[\"AA\"]".into(),
        acquired_at: at(1),
    };
    acquisition::note(tx, &WHOLE, &[file])
}

/// A change with an order that failed and one that is open.
fn rollout(tx: &mut Tx, scope: &Scope) -> Result<(), Error> {
    assert!(rollout_change::set_policy(tx, scope, 0, "[]", 1)?.is_changed());
    rollout_change::next_generation(tx, scope)?;
    rollout_change::create(tx, scope, &a_rollout_change(change_id()), at(1))?;
    let signature = ChangeSignature {
        key: key_id(),
        signature: [1; 64],
    };
    assert!(rollout_change::sign(tx, scope, change_id(), &signature, at(1))?);
    deployment::put_transaction(tx, scope, digest(51), "{}", at(1))?;
    deployment::create(tx, scope, change_id(), &[a_deployment(1)])?;
    for number in [1, 2] {
        order::create(tx, scope, &an_order(number), at(2))?;
    }
    assert!(order::note(
        tx,
        scope,
        1,
        &a_report(OrderStage::Failed),
        Some(at(3)),
        at(3)
    )?);
    assert!(deployment::decide(tx, scope, deployment_id(1), 1, Intent::Ordered, Some(1))?.is_changed());
    Ok(())
}

/// Two generations, so that there is something to forget. The second is the last.
fn findings(tx: &mut Tx, scope: &Scope, fence: &Fence) -> Result<Generation, Error> {
    let first = finding::begin(tx, scope, fence, "{}", at(1))?;
    finding::write(tx, scope, fence, &first, &[a_chunk([HostNo(0).0])])?;
    coverage::write(tx, scope, fence, &first, &[covered("[1]")])?;
    let second = finding::begin(tx, scope, fence, "{}", at(2))?;
    finding::write(tx, scope, fence, &second, &[a_chunk([0, 1])])?;
    coverage::write(tx, scope, fence, &second, &[covered("[2]")])?;
    let counts = Counts {
        missing: 2,
        security: 1,
    };
    let blocks = [(CountsBlock::of(HostNo(0)), vec![counts; 2])];
    host::set_counts(tx, scope, fence, &first, &blocks)?;
    host::set_counts(tx, scope, fence, &second, &blocks)?;
    Ok(second)
}
