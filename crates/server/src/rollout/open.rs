//! The orders of which something may still come, by host: a note of what the database says, so that a host without any costs
//! no query. Where other nodes write to the same database it is read anew every few seconds.

use crate::context::Context;
use domain::id::{HostId, TenantId};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::order::{self, Order};
use store::{Db, Error, Scope, Whole};

/// How long the note is believed where other nodes write to the same database.
const BELIEVED: SignedDuration = SignedDuration::from_secs(5);

/// What is known of one host's orders.
type OfHost = (TenantId, Arc<[Order]>);

/// All open orders.
#[derive(Debug, Default)]
pub struct OpenOrders {
    hosts: Mutex<HashMap<HostId, OfHost>>,
    /// When all of them were read; held while any are, so that nothing older replaces what is newer.
    read_at: tokio::sync::Mutex<Option<Timestamp>>,
}

impl OpenOrders {
    /// Reads all of them.
    ///
    /// # Errors
    /// Of the database.
    pub async fn load(&self, db: &Db, now: Timestamp) -> Result<(), Error> {
        let mut read_at = self.read_at.lock().await;
        self.replace(db).await?;
        *read_at = Some(now);
        Ok(())
    }

    /// The open orders of a host of this tenant.
    ///
    /// # Errors
    /// Of the database, which is asked only where other nodes write to it.
    pub async fn of(&self, context: &Context, scope: Scope, host: HostId) -> Result<Arc<[Order]>, Error> {
        if !context.db.is_embedded() {
            let mut read_at = self.read_at.lock().await;
            let now = context.clock.now();
            let is_believed = |at: Timestamp| now.duration_since(at).abs() < BELIEVED;
            if !read_at.is_some_and(is_believed) {
                for changed in self.replace(&context.db).await? {
                    context.wake_ups.wake_host(changed);
                }
                *read_at = Some(now);
            }
        }
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match hosts.get(&host) {
            Some((tenant, orders)) if *tenant == scope.tenant() => Arc::clone(orders),
            _ => Arc::default(),
        })
    }

    /// Reads those of these hosts again, after a commit that concerns them, and wakes their check-ins.
    ///
    /// # Errors
    /// Of the database.
    pub async fn refresh(&self, context: &Context, scope: Scope, hosts: &[HostId]) -> Result<(), Error> {
        let _turn = self.read_at.lock().await;
        let asked = hosts.to_vec();
        let read = context.db.read(move |view| {
            let each = asked.into_iter();
            each.map(|host| Ok((host, order::open_of_host(view, &scope, host)?)))
                .collect::<Result<Vec<_>, Error>>()
        });
        let read = read.await?;
        let mut known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, orders) in read {
            match orders.is_empty() {
                true => known.remove(&host),
                false => known.insert(host, (scope.tenant(), orders.into())),
            };
        }
        drop(known);
        hosts.iter().for_each(|host| context.wake_ups.wake_host(*host));
        Ok(())
    }

    /// Reads all of them; the hosts for which something is otherwise than it was known.
    async fn replace(&self, db: &Db) -> Result<Vec<HostId>, Error> {
        let rows = db.read(|view| order::open(view, &Whole::server())).await?;
        let mut by_host: HashMap<HostId, (TenantId, Vec<Order>)> = HashMap::new();
        for (tenant, order) in rows {
            let (_, orders) = by_host.entry(order.host).or_insert((tenant, Vec::new()));
            orders.push(order);
        }
        let mut known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new: HashMap<HostId, OfHost> = by_host
            .into_iter()
            .map(|(host, (tenant, orders))| (host, (tenant, orders.into())))
            .collect();
        let mut changed: Vec<HostId> = new
            .iter()
            .filter(|(host, orders)| known.get(host) != Some(orders))
            .map(|(host, _)| *host)
            .collect();
        changed.extend(known.keys().filter(|host| !new.contains_key(host)));
        *known = new;
        Ok(changed)
    }
}
