//! The audit as an attacker meets it who owns the database, or the server with it: what is found by the chains alone, by the
//! server's own checkpoints, and only with an anchor from outside. Tests are named after the threat: approvals and records
//! written into the database.

use crate::api::Front;
use crate::tamper;
use crate::world::{NODE, World};
use domain::digest::Sha256Digest;
use jiff::SignedDuration;
use serde_json::json;
use server::app::audit::checkpoint::{CheckpointView, KEPT_EACH, KeptView, NotACheckpoint};
use server::app::audit::examine::{self, Examined, Fault, Walked};
use server::app::audit::verify::{Broken, ChainedView, Head, Owner};
use server::reconcile;
use std::collections::HashMap;

/// A server on SQLite whose database the tests can get at.
struct Attacked {
    front: Front,
    folder: tempfile::TempDir,
}

impl Attacked {
    /// With `sites` records in the tenant's chain, sealed.
    async fn with(sites: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let front = Front::of(World::in_folder(folder.path()).await);
        let attacked = Self { front, folder };
        attacked.work(sites).await;
        attacked
    }

    async fn work(&self, sites: usize) {
        for _ in 0..sites {
            let body = json!({ "name": self.front.new_key() });
            let made = self.front.post(self.front.in_tenant("sites"), body).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
        seal(&self.front.world).await;
    }

    /// Does this to the database, behind the server's back.
    async fn tamper(&self, sql: &str) {
        tamper::run(self.folder.path(), sql).await;
    }

    fn owner(&self) -> Owner {
        Owner::Tenant(self.front.world.tenant)
    }

    fn pin(&self) -> Sha256Digest {
        self.front.world.context.authority.root_digest()
    }

    async fn checkpoint(&self) -> CheckpointView {
        let answer = self.front.get("/api/v1/audit/checkpoint").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_value(answer.json()).expect("a checkpoint")
    }

    async fn heads(&self) -> Vec<Head> {
        let said = self
            .checkpoint()
            .await
            .verify(&[self.pin()])
            .expect("the server's own");
        said.heads().expect("its heads")
    }

    async fn kept(&self) -> Vec<KeptView> {
        let list = self.front.get("/api/v1/audit/checkpoints").await.json();
        serde_json::from_value(list["items"].clone()).expect("checkpoints")
    }

    /// What somebody finds who asks the server for everything, and knows these ends besides what it says now.
    async fn examined(&self, known: &[Head]) -> Result<Examined, Fault> {
        let mut known = known.to_vec();
        known.extend(self.heads().await);
        let mut owners: Vec<Owner> = known.iter().map(|head| head.owner).collect();
        owners.push(Owner::Shared);
        owners.sort_unstable();
        owners.dedup();
        let mut chains: HashMap<Owner, Option<Vec<ChainedView>>> = HashMap::new();
        for owner in owners {
            chains.insert(owner, self.chain(owner).await);
        }
        examine::all(&known, |owner, step| match &chains[&owner] {
            None => Ok(Walked::NoSuchChain),
            Some(records) => {
                records.iter().try_for_each(step)?;
                Ok(Walked::ToTheEnd)
            }
        })
    }

    async fn chain(&self, owner: Owner) -> Option<Vec<ChainedView>> {
        let path = match owner {
            Owner::Shared => "/api/v1/audit/chain".to_owned(),
            Owner::Tenant(tenant) => format!("/api/v1/tenants/{tenant}/audit/chain"),
        };
        let (mut records, mut asked) = (Vec::new(), format!("{path}?limit=3"));
        loop {
            let answer = self.front.get(&asked).await;
            if answer.status == 404 {
                return None;
            }
            let page = answer.json();
            let items: Vec<ChainedView> = serde_json::from_value(page["items"].clone()).expect("records");
            records.extend(items);
            match page["next"].as_str() {
                Some(next) => asked = format!("{path}?limit=3&cursor={next}"),
                None => return Some(records),
            }
        }
    }

    fn broken(&self, broken: Broken) -> Result<Examined, Fault> {
        Err(Fault::Broken {
            owner: self.owner(),
            broken,
        })
    }

    /// SQL that names the tenant's record at this place.
    fn at(&self, number: u64) -> String {
        format!("owner = X'{}' AND number = {number}", self.owner_hex())
    }

    fn owner_hex(&self) -> String {
        let id = self.front.world.tenant.0;
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes the tenant's chain anew from the records as they stand, as only somebody can who knows how hashes are made.
    async fn chain_anew(&self) {
        let mut before = [0; 32];
        let records = self.chain(self.owner()).await.expect("the tenant is there");
        for (record, number) in records.iter().zip(1..) {
            let linked = record.to_linked().expect("well-formed");
            before = linked.record.link(number, before);
            let hash: String = before.iter().map(|byte| format!("{byte:02x}")).collect();
            let id: String = linked
                .record
                .id
                .0
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let set = format!("number = {number}, chain_hash = X'{hash}'");
            self.tamper(&format!("UPDATE audit_records SET {set} WHERE id = X'{id}'"))
                .await;
        }
    }
}

/// The sealer runs once.
pub async fn seal(world: &World) {
    let sealer = reconcile::ALL.iter().find(|work| work.name == "seal-audit");
    let sealer = sealer.expect("there is a sealer");
    assert!(reconcile::run_once(&world.context, sealer, NODE).await);
    let board = world.context.board.all();
    let last = board["seal-audit"].last.clone().expect("it ran");
    assert!(last.outcome.is_ok(), "{:?}", last.outcome);
}

#[tokio::test]
async fn chains_that_nobody_touched_hold_with_and_without_an_anchor() {
    let attacked = Attacked::with(7).await;
    let anchor = attacked.heads().await;
    attacked.work(2).await;
    for known in [&[][..], &anchor] {
        let found = attacked.examined(known).await.expect("they hold");
        assert_eq!(found.records(), 9);
    }
}

#[tokio::test]
async fn a_record_that_is_changed_in_the_database_is_found_by_its_chain() {
    for change in [
        "body = '{\"name\":\"innocent\"}'",
        "at = at + 1",
        "actor_kind = 'user'",
        "action = 'read'",
        "noun = 'host'",
        "noun_id = NULL",
        "actor_id = X'00112233445566778899aabbccddeeff'",
    ] {
        let attacked = Attacked::with(4).await;
        let sql = format!("UPDATE audit_records SET {change} WHERE {}", attacked.at(2));
        attacked.tamper(&sql).await;
        let found = attacked.examined(&[]).await;
        assert_eq!(found, attacked.broken(Broken::Changed { number: 2 }), "{change}");
    }
}

#[tokio::test]
async fn a_record_that_is_taken_out_or_put_in_another_place_is_found_by_its_chain() {
    let attacked = Attacked::with(5).await;
    attacked
        .tamper(&format!("DELETE FROM audit_records WHERE {}", attacked.at(3)))
        .await;
    let found = attacked.examined(&[]).await;
    assert_eq!(found, attacked.broken(Broken::Missing { number: 3 }));

    let attacked = Attacked::with(5).await;
    let swap = |from: i64, to: i64| {
        let at = format!("owner = X'{}' AND number = {from}", attacked.owner_hex());
        format!("UPDATE audit_records SET number = {to} WHERE {at};")
    };
    let sql = [swap(2, -1), swap(4, 2), swap(-1, 4)].concat();
    attacked.tamper(&sql).await;
    let found = attacked.examined(&[]).await;
    assert_eq!(found, attacked.broken(Broken::Changed { number: 2 }));
}

#[tokio::test]
async fn records_removed_from_the_end_are_found_with_an_anchor_and_by_the_servers_own_checkpoints() {
    let attacked = Attacked::with(5).await;
    let anchor = attacked.heads().await;
    let kept = attacked.kept().await;
    assert_eq!(kept.len(), 1, "the sealer kept one");
    attacked
        .tamper(&format!(
            "DELETE FROM audit_records WHERE owner = X'{}' AND number > 3",
            attacked.owner_hex()
        ))
        .await;
    let cut = attacked.broken(Broken::CutOff { has: 3, had: 5 });
    assert_eq!(attacked.examined(&anchor).await, cut);
    let card = attacked.checkpoint().await.card;
    let said = kept[0]
        .verify(&card, &[attacked.pin()])
        .expect("signed by the server");
    assert_eq!(attacked.examined(&said.heads().expect("heads")).await, cut);
    let alone = attacked
        .examined(&[])
        .await
        .expect("alone the rest fits together");
    assert_eq!(alone.records(), 3, "which is why an anchor is kept elsewhere");
}

#[tokio::test]
async fn a_chain_that_its_owner_wrote_anew_is_found_with_an_anchor_and_only_with_one() {
    let attacked = Attacked::with(5).await;
    let anchor = attacked.heads().await;
    attacked
        .tamper(&format!(
            "UPDATE audit_records SET body = '{{\"name\":\"innocent\"}}' WHERE {}; DELETE FROM audit_checkpoints;",
            attacked.at(2)
        ))
        .await;
    attacked.chain_anew().await;
    attacked.work(3).await;
    attacked
        .examined(&[])
        .await
        .expect("the server owner's new chain fits together: without an anchor nobody can tell");
    let found = attacked.examined(&anchor).await;
    assert_eq!(found, attacked.broken(Broken::WrittenAnew { number: 5 }));
}

#[tokio::test]
async fn a_tenant_that_vanishes_from_the_database_is_missed() {
    let attacked = Attacked::with(2).await;
    let anchor = attacked.heads().await;
    attacked
        .tamper(
            "UPDATE tenants SET state = 'removed'; DELETE FROM audit_records; DELETE FROM audit_checkpoints;",
        )
        .await;
    let owner = attacked.owner();
    assert_eq!(attacked.examined(&anchor).await, Err(Fault::Gone { owner }));
}

#[tokio::test]
async fn personal_data_are_committed_to_and_can_be_erased_but_not_exchanged() {
    let attacked = Attacked::with(0).await;
    for name in ["ada", "grace"] {
        let made = attacked
            .front
            .post(attacked.front.in_tenant("users"), json!({ "name": name }))
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    seal(&attacked.front.world).await;
    let records = attacked.chain(attacked.owner()).await.expect("there");
    assert!(records.iter().all(|record| !record.body.contains("ada")));
    assert_eq!(records[0].personal.as_deref(), Some(r#"{"name":"ada"}"#));
    attacked
        .tamper(r#"UPDATE audit_personal SET data = '{"name":"eve"}' WHERE data LIKE '%grace%'"#)
        .await;
    let found = attacked.examined(&[]).await;
    assert_eq!(found, attacked.broken(Broken::PersonalChanged { number: 2 }));
    attacked.tamper("DELETE FROM audit_personal").await;
    assert_eq!(
        attacked.examined(&[]).await.expect("erased is whole").records(),
        2
    );
}

#[tokio::test]
async fn a_checkpoint_is_believed_only_as_it_was_signed_and_by_a_pinned_authority() {
    let attacked = Attacked::with(3).await;
    let whole = attacked.checkpoint().await;
    let pins = [attacked.pin()];
    let said = whole.verify(&pins).expect("as it was signed");
    assert_eq!(said.heads().expect("heads")[0].number, 3);
    let other = Attacked::with(1).await;
    assert!(matches!(
        whole.verify(&[Sha256Digest([9; 32])]),
        Err(NotACheckpoint::Authority(_))
    ));
    for at in 0..whole.statement.len() {
        let mut changed = whole.clone();
        let mut bytes = changed.statement.into_bytes();
        bytes[at] ^= 1;
        changed.statement = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            matches!(changed.verify(&pins), Err(NotACheckpoint::Changed)),
            "byte {at}"
        );
    }
    let theirs = other.checkpoint().await;
    let exchanged = CheckpointView {
        statement: theirs.statement.clone(),
        ..whole.clone()
    };
    assert!(matches!(exchanged.verify(&pins), Err(NotACheckpoint::Changed)));
    let by_answers = CheckpointView {
        key: attacked
            .front
            .world
            .context
            .authority
            .answers_key()
            .id()
            .to_string(),
        ..whole.clone()
    };
    assert!(matches!(by_answers.verify(&pins), Err(NotACheckpoint::OtherKey)));
}

#[tokio::test]
async fn the_server_keeps_a_checkpoint_every_ten_minutes_and_only_of_something_new() {
    let attacked = Attacked::with(1).await;
    assert_eq!(attacked.kept().await.len(), 1);
    attacked.work(1).await;
    assert_eq!(attacked.kept().await.len(), 1, "too soon");
    attacked.front.world.pass(KEPT_EACH);
    seal(&attacked.front.world).await;
    assert_eq!(attacked.kept().await.len(), 2);
    attacked
        .front
        .world
        .pass(KEPT_EACH + SignedDuration::from_secs(1));
    seal(&attacked.front.world).await;
    assert_eq!(attacked.kept().await.len(), 2, "nothing was recorded since");
}

#[tokio::test]
async fn a_running_server_puts_a_record_into_its_chain_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = crate::world::settings(folder.path());
    settings.file.listen = ([127, 0, 0, 1], 0).into();
    let running = server::start::Server::start(settings).await.expect("it starts");
    let context = running.context().clone();
    let caller = server::app::caller::Caller::local();
    let once = server::app::change::Once {
        key: "once".to_owned(),
        request: [1; 32],
    };
    let new: server::app::tenant::NewTenant =
        serde_json::from_value(json!({ "name": "new" })).expect("a body");
    server::app::tenant::create(&context, &caller, once, new)
        .await
        .expect("a tenant");
    let sealed = async || {
        let records = context
            .db
            .read(|view| store::audit::chain_shared(view, &store::Whole::server(), 0, 10));
        records.await.expect("read").len()
    };
    let mut looks = 0;
    while sealed().await == 0 {
        looks += 1;
        assert!(looks < 200_000, "nobody sealed it");
    }
    running.stop().await.expect("it ends cleanly");
}
