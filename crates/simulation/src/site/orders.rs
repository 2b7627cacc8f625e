//! Changes at the simulated server: its own rows, planner and tickets; what a change takes on a host is said by the simulation,
//! which has no archives, and files of packages are there as soon as they are asked for.

use super::{Site, TENANT};
use anyhow::{Context as _, Result};
use domain::change::{Approval, Release, Rules};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, NodeId};
use domain::order::{Direction, OrderedPackage, OrderedSnapshot, RebootRule, Start};
use jiff::SignedDuration;
use protocol::order::ApprovalDocument;
use protocol::scope::Tree;
use protocol::sha256;
use server::agents::content::Granted;
use server::app::caller::{Caller, Place};
use server::app::change::Once;
use server::app::deployment as deploying;
use server::app::permission::Within;
use server::app::refusal::Refusal;
use server::catalog::resolve::{Resolved, WayBack};
use server::clock::Clock as _;
use server::rollout::{self, Transaction};
use std::collections::BTreeMap;
use store::deployment::{self, Need, NeedKind, NewDeployment};
use store::rollout_change::{self, ChangeStaging, NewChange};
use store::{Scope, Whole, lease, order};

/// The release file that all packages come from.
const RELEASE: Sha256Digest = Sha256Digest([0x5e; 32]);
/// How long a run of the planner takes at most.
const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// A host of a change: what it has, and what it is to get.
pub type Member = (HostId, Option<Sha256Digest>, Vec<OrderedPackage>);

/// The end of each order, by number, where it has one.
pub type Results = BTreeMap<u64, Option<String>>;

impl Site {
    /// One run of the planner, and the files that it asked for.
    pub async fn plan(&self) -> Result<()> {
        if self.deployments.is_empty() {
            return Ok(());
        }
        let (context, now) = (self.context(), self.clock.now());
        let taken = context.db.write(move |tx| {
            let node = NodeId([1; 16]);
            lease::take(tx, &Whole::server(), "plan", node, now, now + LEASE)
        });
        let Some(fence) = taken.await.context("take the planner's lease")? else {
            return Ok(());
        };
        let ran = rollout::run(context, &fence).await;
        ran.map_err(|error| anyhow::anyhow!("plan: {error}"))?;
        let scope = Scope::of_tenant(TENANT);
        let read = context
            .db
            .read(move |view| rollout_change::unfinished(view, &scope));
        let mut asked = read.await.context("read the changes")?;
        asked.retain(|change| change.staging == ChangeStaging::Asked);
        if asked.is_empty() {
            return Ok(());
        }
        let staged = context.db.write(move |tx| {
            for change in &asked {
                rollout_change::note_staging(tx, &scope, change.id, ChangeStaging::Done, "")?;
            }
            Ok(())
        });
        staged.await.context("note that files are there")
    }

    /// Approves that these hosts get these packages within so long from now, under these rules.
    pub async fn deploy(
        &mut self,
        id: [u8; 16],
        members: &[Member],
        (needs, reboot): (Mode, RebootRule),
        within: SignedDuration,
    ) -> Result<ChangeId> {
        let now = self.clock.now();
        let hosts: Vec<HostId> = members.iter().map(|(host, ..)| *host).collect();
        let approval = Approval {
            tenant: TENANT,
            release: Release {
                updates: Vec::new(),
                rules: Rules {
                    needs,
                    start: Start::WithGo,
                    reboot,
                    removals: Vec::new(),
                },
            },
            snapshots: vec![RELEASE],
            scope: Tree::over(&hosts).scope(),
            not_after: now + within,
            direction: Direction::Forward,
        };
        let bytes = ApprovalDocument::bytes_of(&approval);
        let new = NewChange {
            id: ChangeId(id),
            reason: "simulated".to_owned(),
            approved: sha256(&bytes),
            approval: bytes,
            needed: 0,
            opens: now,
            closes: now + within,
            at_once: 3,
            made_by: None,
        };
        let mut texts = Vec::new();
        let mut deployments = Vec::new();
        for (number, (host, inventory, packages)) in members.iter().enumerate() {
            let (digest, text) = transaction(packages).to_text();
            texts.push((digest, text));
            let mut id = id;
            id[0] ^= u8::try_from(number).context("few hosts")? + 1;
            deployments.push(NewDeployment {
                id: DeploymentId(id),
                host: *host,
                need: Need {
                    kind: NeedKind::Install,
                    detail: String::new(),
                    transaction: Some(digest),
                    inventory: *inventory,
                },
            });
        }
        self.deployments.extend(deployments.iter().map(|new| new.id));
        let scope = Scope::of_tenant(TENANT);
        let made = self.context().db.write(move |tx| {
            let change = rollout_change::create(tx, &scope, &new, now)?;
            for (digest, text) in &texts {
                deployment::put_transaction(tx, &scope, *digest, text, now)?;
            }
            deployment::create(tx, &scope, new.id, &deployments)?;
            rollout_change::next_generation(tx, &scope)?;
            Ok(change.id)
        });
        made.await.context("make a change")
    }

    /// Stops a change, as a person does. Whether it was going on.
    pub async fn stop(&self, id: ChangeId) -> Result<bool> {
        let place = Place {
            scope: Scope::of_tenant(TENANT),
            within: Within::Everywhere,
        };
        let key = format!("stop {id} at {}", self.clock.now());
        let once = Once {
            request: sha256(key.as_bytes()).0,
            key,
        };
        let stopped = deploying::stop(self.context(), &Caller::local(), &place, id, once).await;
        match stopped {
            Ok(_) => Ok(true),
            Err(Refusal::NotFound { .. } | Refusal::WrongState(_)) => Ok(false),
            Err(error) => Err(error).context("stop a change"),
        }
    }

    /// A file for whoever has this ticket.
    pub async fn content(&self, ticket: &str, digest: Sha256Digest) -> Option<Vec<u8>> {
        let granted = Granted::new(self.context());
        let file = granted.file(self.context(), ticket, digest).await;
        file.ok().map(|mapped| mapped.to_vec())
    }

    /// The ends that orders have.
    pub async fn results(&self) -> Result<Results> {
        let (scope, deployments) = (Scope::of_tenant(TENANT), self.deployments.clone());
        let read = self.context().db.read(move |view| {
            let mut results = Results::new();
            for id in deployments {
                for order in order::of_deployment(view, &scope, id)? {
                    let end = order
                        .ended_at
                        .map(|_| format!("{:?} {:?}", order.report.stage, order.report.failure));
                    results.insert(order.number, end);
                }
            }
            Ok(results)
        });
        read.await.context("read the orders")
    }
}

fn transaction(packages: &[OrderedPackage]) -> Transaction {
    Transaction::of(&Resolved {
        snapshots: vec![OrderedSnapshot {
            address: "http://deb.example/debian/".into(),
            suite: "bookworm".into(),
            release: RELEASE,
            signature: None,
            indexes: Vec::new(),
        }],
        packages: packages.to_vec(),
        removals: Vec::new(),
        files: Vec::new(),
        bytes: 0,
        way_back: WayBack::Yes,
        former: Vec::new(),
    })
}
