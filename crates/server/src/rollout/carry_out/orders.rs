//! Making orders: numbers are drawn in one transaction, the orders written and signed outside of any, and kept with their
//! bundles in another, which holds the lease and the generation as the first did. What is cut off between leaves a gap in the
//! numbers and files that nobody refers to.

use super::{About, By, Done, STEPS_AT_A_TIME};
use crate::rollout::{RolloutError, Transaction};
use content::Expected;
use domain::change::Approval;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use domain::order::{Order, Start, Window};
use domain::rollout::plan::{Plan, Step, TransactionNo};
use failpoint::{Point, reach};
use jiff::Timestamp;
use protocol::order::{Bundle, OrderDocument, Signature};
use protocol::scope::Tree;
use protocol::statement::seal;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::content_grant::{self, ContentGrant, GrantReason};
use store::deployment::{self, Intent};
use store::host::HostState;
use store::order::NewOrder;
use store::{Change, Error, Tx, Whole, epoch, host, order, rollout_change};

/// What the orders of one change share.
struct Shared {
    approval: Approval,
    bytes: Vec<u8>,
    approved: Sha256Digest,
    tree: Tree,
    signatures: Vec<Signature>,
    window: Window,
}

/// An order that is signed, and its files.
struct Signed {
    about: About,
    new: NewOrder,
    bundle: Vec<u8>,
    grant: ContentGrant,
}

impl By<'_> {
    /// Makes orders. Whether the plan is still current.
    pub(super) async fn order(&self, plan: &Plan, done: &mut Done) -> Result<bool, RolloutError> {
        let wanted: Vec<(About, TransactionNo)> = (plan.steps.iter())
            .filter_map(|step| match *step {
                Step::Order {
                    change,
                    host,
                    packages,
                } => Some((self.about(change, host)?, packages)),
                Step::Stage { .. } | Step::Withdraw { .. } => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(true);
        }
        let shared = self.shared(&wanted).await?;
        let transactions = self.transactions(&wanted).await?;
        for some in wanted.chunks(STEPS_AT_A_TIME) {
            let Some(numbers) = self.draw_numbers(some.len()).await? else {
                return Ok(false);
            };
            let mut signed = Vec::with_capacity(some.len());
            for ((about, transaction), number) in some.iter().zip(numbers) {
                let change = &shared[&about.change];
                let transaction = &transactions[transaction];
                signed.extend(self.sign(*about, change, transaction, number));
            }
            if !self.keep(signed).await? {
                return Ok(false);
            }
            done.ordered += some.len();
            let about: Vec<About> = some.iter().map(|(about, _)| *about).collect();
            self.tell(&about).await?;
        }
        Ok(true)
    }

    async fn shared(
        &self,
        wanted: &[(About, TransactionNo)],
    ) -> Result<HashMap<domain::rollout::plan::ChangeNo, Shared>, RolloutError> {
        let numbers: BTreeSet<_> = wanted.iter().map(|(about, _)| about.change).collect();
        let mut shared = HashMap::new();
        for number in numbers {
            let change = self.change(number);
            let (scope, id) = (self.scope, change.row.id);
            let read = self.context.db.read(move |view| {
                let signatures = rollout_change::signatures(view, &scope, id)?;
                Ok((signatures, deployment::scope_of(view, &scope, id)?))
            });
            let (signatures, hosts): (Vec<_>, Vec<HostId>) = read.await?;
            let signature = |one: rollout_change::ChangeSignature| Signature {
                key: one.key,
                signature: one.signature,
            };
            let of_change = Shared {
                approval: change.approval.clone(),
                bytes: change.row.approval.clone(),
                approved: change.row.approved,
                tree: Tree::over(&hosts),
                signatures: signatures.into_iter().map(signature).collect(),
                window: Window {
                    opens: change.row.opens,
                    closes: change.row.closes,
                },
            };
            shared.insert(number, of_change);
        }
        Ok(shared)
    }

    async fn transactions(
        &self,
        wanted: &[(About, TransactionNo)],
    ) -> Result<HashMap<TransactionNo, Transaction>, RolloutError> {
        let numbers: BTreeSet<TransactionNo> = wanted.iter().map(|(_, number)| *number).collect();
        let at = |number: &TransactionNo| usize::try_from(number.0).expect("a place in a list fits");
        let digests: Vec<Sha256Digest> = numbers
            .iter()
            .map(|number| self.known.transactions[at(number)])
            .collect();
        let (scope, asked) = (self.scope, digests.clone());
        let read = self
            .context
            .db
            .read(move |view| deployment::transactions(view, &scope, &asked));
        let texts: HashMap<Sha256Digest, String> = read.await?.into_iter().collect();
        let parsed = numbers.into_iter().zip(digests).map(|(number, digest)| {
            let text = texts.get(&digest);
            let text = text.ok_or(RolloutError::Gone("a transaction that a deployment refers to"))?;
            Ok((number, Transaction::parse(text)?))
        });
        parsed.collect()
    }

    /// Numbers that no order has or had; none where the plan is not current any more.
    async fn draw_numbers(&self, count: usize) -> Result<Option<Vec<u64>>, RolloutError> {
        let held = self.hold();
        let drawn = self.context.db.write(move |tx| {
            if !held.hold(tx)? {
                return Ok(None);
            }
            let mut numbers = Vec::with_capacity(count);
            for _ in 0..count {
                let number = epoch::next_order_number(tx, &Whole::server())?;
                let number = number.and_then(|number| u64::try_from(number).ok());
                numbers.push(number.ok_or(Error::Decode { what: "order number" })?);
            }
            Ok(Some(numbers))
        });
        Ok(drawn.await?)
    }

    /// Writes and signs an order; none for a host that is not in the approved scope.
    fn sign(&self, about: About, change: &Shared, transaction: &Transaction, number: u64) -> Option<Signed> {
        let inclusion = change.tree.prove(about.host)?;
        let rules = &change.approval.release.rules;
        let order = Order {
            number,
            epoch: u64::try_from(self.context.epoch.number).unwrap_or(1),
            tenant: self.scope.tenant(),
            host: about.host,
            change: self.change(about.change).row.id,
            deployment: about.deployment,
            approved: change.approved,
            direction: change.approval.direction,
            snapshots: transaction.snapshots(),
            packages: transaction.packages(),
            removals: transaction.removals(),
            window: change.window,
            needs: rules.needs,
            start: rules.start,
            reboot: rules.reboot,
        };
        let statement = seal(&OrderDocument::of(&order), self.context.authority.orders_key());
        let digest = protocol::sha256(&statement);
        let bundle = Bundle {
            order: statement,
            approval: change.bytes.clone(),
            signatures: change.signatures.clone(),
            inclusion,
        };
        let bundle = bundle.to_bytes();
        let new = NewOrder {
            number,
            deployment: about.deployment,
            host: about.host,
            digest,
            bundle: protocol::sha256(&bundle),
            bundle_bytes: bundle.len() as u64,
            may_begin_until: begins_alone(&order),
        };
        // The files that it names are granted to the change; this one is the host's alone.
        let grant = ContentGrant {
            owner: self.scope.owner(),
            digest: new.bundle,
            reason: GrantReason::PackageFile,
            reference: about.deployment.0,
            size_bytes: new.bundle_bytes,
        };
        Some(Signed {
            about,
            new,
            bundle,
            grant,
        })
    }

    /// Keeps orders with their bundles. Whether the plan is still current.
    async fn keep(&self, signed: Vec<Signed>) -> Result<bool, RolloutError> {
        let signed = Arc::new(signed);
        let (content, bundles) = (self.context.content.clone(), Arc::clone(&signed));
        let inserting = tokio::task::spawn_blocking(move || {
            for one in bundles.iter() {
                let expected = Expected::Exactly {
                    sha256: one.new.bundle,
                    size_bytes: one.new.bundle_bytes,
                };
                content.insert(one.bundle.as_slice(), expected)?;
            }
            Ok::<_, content::InsertError>(())
        });
        inserting.await.expect("keeping files does not panic")?;
        reach(Point::OrdersSigned);
        let about: Vec<About> = signed.iter().map(|one| one.about).collect();
        let (scope, held, now) = (self.scope, self.hold(), self.now);
        let records = self.records(&about, "ordered");
        let kept = self.context.db.write(move |tx| {
            if !held.hold(tx)? {
                return Ok(false);
            }
            for one in signed.iter() {
                keep_one(tx, &scope, one, now)?;
            }
            for (mark, record) in &records {
                crate::app::change::record_of_server(tx, mark, &scope, record)?;
            }
            Ok(true)
        });
        Ok(kept.await?)
    }
}

/// Until when a host may begin without anything more.
fn begins_alone(order: &Order) -> Option<Timestamp> {
    match order.start {
        Start::WithGo => None,
        Start::OfflineOk => Some(order.window.closes),
    }
}

/// Keeps one order, unless something was decided about its deployment or its host meanwhile.
fn keep_one(tx: &mut Tx, scope: &store::Scope, one: &Signed, now: Timestamp) -> Result<(), Error> {
    let host = host::get(tx, scope, one.about.host)?;
    if host.is_none_or(|host| host.state != HostState::Active) {
        return Ok(());
    }
    let (id, version, number) = (one.about.deployment, one.about.version, one.new.number);
    let decided = deployment::decide(tx, scope, id, version, Intent::Ordered, Some(number))?;
    if let Change::Changed(_) = decided {
        order::create(tx, scope, &one.new, now)?;
        content_grant::give(tx, &Whole::server(), &[one.grant], now)?;
    }
    Ok(())
}
