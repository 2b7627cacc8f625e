//! What a world's server does with sources and findings: background work run when a test says so, and what came of it.

use super::World;
use domain::id::NodeId;
use jiff::{SignedDuration, Timestamp};
use roaring::RoaringBitmap;
use server::app::{source as sources_app, update as updates_app};
use server::reconcile::{ALL, Reconciler, run_once};
use std::collections::BTreeMap;
use store::source::{Source, SourceState};
use store::update::UpdateFilter;

/// Who does the background work of every world: another node would have to wait until its lease is over.
pub const NODE: NodeId = NodeId([1; 16]);

impl World {
    /// One run of this background work, which ends well.
    pub async fn run(&self, name: &str) {
        assert!(self.try_run(name).await, "another node is at it");
        let standing = &self.context.board.all()[name];
        assert_eq!(standing.failures, 0, "{standing:?}");
        self.pass(SignedDuration::from_secs(1));
    }

    /// One run of this background work; how it went stands on the board. Whether it ran.
    pub async fn try_run(&self, name: &str) -> bool {
        let reconciler: &Reconciler = ALL
            .iter()
            .find(|one| one.name == name)
            .expect("there is such work");
        run_once(&self.context, reconciler, NODE).await
    }

    pub async fn sources(&self) -> Vec<Source> {
        let scope = self.scope();
        let all = self
            .context
            .db
            .read(move |view| store::source::all(view, &scope, None));
        all.await.expect("the sources")
    }

    /// Adopts everything that is proposed.
    pub async fn adopt_sources(&self) {
        let (scope, now) = (self.scope(), self.now());
        for row in self.sources().await {
            let adopted = self.context.db.attempt(move |tx| {
                let state = SourceState::Adopted;
                sources_app::set_state(tx, &scope, row.id, row.version, state, now)
            });
            adopted.await.expect("it is adopted");
        }
    }

    /// Makes every adopted source due.
    pub async fn ask_for_sync(&self) {
        let (scope, now) = (self.scope(), self.now());
        for row in self.sources().await {
            let asked = self
                .context
                .db
                .attempt(move |tx| sources_app::ask_for_sync(tx, &scope, row.id, now));
            asked.await.expect("it is asked for");
        }
    }

    /// Who misses what, by source and version, as stored: of a moment, or now.
    pub async fn missing(&self, as_of: Option<Timestamp>) -> BTreeMap<String, RoaringBitmap> {
        let (context, scope) = (&self.context, self.scope());
        let page = updates_app::page(context, scope, UpdateFilter::default(), as_of, None, 100)
            .await
            .expect("the updates");
        let mut missing = BTreeMap::new();
        for update in page.items {
            let id = update.id.0.parse().expect("an id");
            let hosts = updates_app::hosts(context, scope, id, as_of)
                .await
                .expect("the hosts");
            assert_eq!(hosts.len(), update.hosts);
            if !hosts.is_empty() {
                missing.insert(format!("{} {}", update.source, update.source_version), hosts);
            }
        }
        missing
    }
}
