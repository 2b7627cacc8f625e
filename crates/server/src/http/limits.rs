//! How requests share the server: a budget for each caller and each address, and turns between tenants, so that one
//! tenant's flood is served beside the others and not before them.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use domain::id::TenantId;
use jiff::Timestamp;
use tokio::sync::oneshot;

/// Longest body of a request, in bytes.
pub const LONGEST_BODY: usize = 1 << 20;
/// Longest path and query, in bytes.
pub const LONGEST_ADDRESS: usize = 8 << 10;
/// Most items of a page.
pub const LARGEST_PAGE: u32 = 1000;
/// Items of a page when nobody says.
pub const USUAL_PAGE: u32 = 100;

/// How often somebody may ask.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Requests a second, on and on.
    pub per_second: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// Each token's and each person's share.
pub const CALLER_RATE: Rate = Rate {
    per_second: 50,
    burst: 200,
};
/// The share of an address that shows no credentials, or ones that do not hold.
pub const STRANGER_RATE: Rate = Rate {
    per_second: 5,
    burst: 50,
};

/// How many callers are remembered. Beyond them those are forgotten who have their whole budget back.
const MOST_CALLERS: usize = 1 << 16;

#[derive(Clone, Copy, Debug)]
struct Budget {
    /// Requests left, in thousandths.
    left_milli: u64,
    at: Timestamp,
}

/// Budgets of many callers: token buckets in a bounded table.
#[derive(Debug)]
pub struct Budgets<K> {
    rate: Rate,
    callers: Mutex<Callers<K>>,
}

#[derive(Debug)]
struct Callers<K> {
    budgets: HashMap<K, Budget>,
    swept: Timestamp,
}

impl<K: Eq + Hash> Budgets<K> {
    /// Budgets of this rate.
    pub fn new(rate: Rate) -> Self {
        let callers = Callers {
            budgets: HashMap::new(),
            swept: Timestamp::MIN,
        };
        Self {
            rate,
            callers: Mutex::new(callers),
        }
    }

    /// Takes one request from the caller's budget.
    ///
    /// # Errors
    /// With an empty budget, the seconds (at least 1) until it has a request again.
    pub fn take(&self, caller: K, now: Timestamp) -> Result<(), u32> {
        let whole = u64::from(self.rate.burst) * 1000;
        let mut held = self.callers.lock().expect("nobody panics while holding it");
        if held.budgets.len() >= MOST_CALLERS && !held.budgets.contains_key(&caller) {
            // At most once a second, because looking at everybody costs.
            if now.duration_since(held.swept).as_millis().unsigned_abs() >= 1000 {
                held.swept = now;
                held.budgets
                    .retain(|_, budget| self.refilled(budget, now) < whole);
            }
            if held.budgets.len() >= MOST_CALLERS {
                // Everybody in the table is asking at this moment: a newcomer waits, the memory does not grow.
                return Err(1);
            }
        }
        let budget = held.budgets.entry(caller).or_insert(Budget {
            left_milli: whole,
            at: now,
        });
        budget.left_milli = self.refilled(budget, now);
        budget.at = now;
        match budget.left_milli.checked_sub(1000) {
            Some(left) => {
                budget.left_milli = left;
                Ok(())
            }
            None => {
                let missing = 1000 - budget.left_milli;
                Err(
                    u32::try_from(missing.div_ceil(u64::from(self.rate.per_second) * 1000))
                        .unwrap_or(1)
                        .max(1),
                )
            }
        }
    }

    fn refilled(&self, budget: &Budget, now: Timestamp) -> u64 {
        let millis = u64::try_from(now.duration_since(budget.at).as_millis()).unwrap_or(0);
        let gained = millis.saturating_mul(u64::from(self.rate.per_second));
        budget
            .left_milli
            .saturating_add(gained)
            .min(u64::from(self.rate.burst) * 1000)
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Requests about the server as a whole.
    Server,
    /// Requests about a tenant.
    Tenant(TenantId),
}

/// Turns between tenants: a bounded number of requests at work; those that wait are taken from one party after the
/// other, each party in its own order.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<Hall>>);

#[derive(Debug)]
struct Hall {
    free: usize,
    most_waiting: usize,
    waiting: HashMap<Party, VecDeque<oneshot::Sender<Turn>>>,
    /// Parties with somebody waiting, the next one first.
    order: VecDeque<Party>,
}

/// The party has as many requests waiting as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HallFull;

/// A request's turn: until it is dropped, the request is at work.
#[derive(Debug)]
pub struct Turn(Option<Arc<Mutex<Hall>>>);

impl Turns {
    /// A hall for `at_work` requests, where each party may have `most_waiting` more.
    pub fn new(at_work: usize, most_waiting: usize) -> Self {
        let hall = Hall {
            free: at_work,
            most_waiting,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        };
        Self(Arc::new(Mutex::new(hall)))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`HallFull`] at once, when the party has as many waiting as it may.
    pub async fn take(&self, party: Party) -> Result<Turn, HallFull> {
        let waiting = {
            let mut hall = lock(&self.0);
            if hall.free > 0 {
                hall.free -= 1;
                return Ok(Turn(Some(Arc::clone(&self.0))));
            }
            let most = hall.most_waiting;
            let queue = hall.waiting.entry(party).or_default();
            queue.retain(|waiting| !waiting.is_closed());
            if queue.len() >= most {
                return Err(HallFull);
            }
            let (sender, receiver) = oneshot::channel();
            let is_first = queue.is_empty();
            queue.push_back(sender);
            if is_first && !hall.order.contains(&party) {
                hall.order.push_back(party);
            }
            receiver
        };
        waiting.await.map_err(|_gone| HallFull)
    }
}

impl Hall {
    /// The one whose turn is next; those who went away meanwhile are passed over.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(party) = self.order.pop_front() {
            let Some(queue) = self.waiting.get_mut(&party) else {
                continue;
            };
            while let Some(waiting) = queue.pop_front() {
                if waiting.is_closed() {
                    continue;
                }
                if !queue.is_empty() {
                    self.order.push_back(party);
                } else {
                    self.waiting.remove(&party);
                }
                return Some(waiting);
            }
            self.waiting.remove(&party);
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(hall) = self.0.take() else { return };
        loop {
            let next = {
                let mut held = lock(&hall);
                let Some(next) = held.next() else {
                    held.free += 1;
                    return;
                };
                next
            };
            if hand_over(next, &hall) {
                return;
            }
        }
    }
}

fn hand_over(to: oneshot::Sender<Turn>, hall: &Arc<Mutex<Hall>>) -> bool {
    match to.send(Turn(Some(Arc::clone(hall)))) {
        Ok(()) => true,
        Err(mut back) => {
            // He went away: the turn is still ours, and must not hand itself over a second time.
            back.0 = None;
            false
        }
    }
}

fn lock(hall: &Mutex<Hall>) -> MutexGuard<'_, Hall> {
    hall.lock().expect("nobody panics while holding it")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_budget_allows_its_burst_and_then_its_rate() {
        let budgets = Budgets::new(Rate {
            per_second: 5,
            burst: 50,
        });
        let mut now = Timestamp::UNIX_EPOCH;
        assert_eq!((0..60).filter(|_| budgets.take("a", now).is_ok()).count(), 50);
        assert_eq!(budgets.take("a", now), Err(1));
        assert_eq!(budgets.take("b", now), Ok(()), "another caller has his own");
        now += SignedDuration::from_secs(2);
        assert_eq!((0..60).filter(|_| budgets.take("a", now).is_ok()).count(), 10);
        now += SignedDuration::from_hours(24);
        assert_eq!(
            (0..60).filter(|_| budgets.take("a", now).is_ok()).count(),
            50,
            "no more than its burst"
        );
        now -= SignedDuration::from_hours(24);
        assert!(budgets.take("a", now).is_err(), "a clock set back gives nothing");
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let budgets = Budgets::new(STRANGER_RATE);
        let now = Timestamp::UNIX_EPOCH;
        for caller in 0..MOST_CALLERS as u64 + 10_000 {
            let _full = budgets.take(caller, now);
        }
        assert_eq!(
            budgets.callers.lock().expect("not poisoned").budgets.len(),
            MOST_CALLERS
        );
        let later = now + SignedDuration::from_mins(1);
        assert_eq!(
            budgets.take(u64::MAX, later),
            Ok(()),
            "those with a whole budget are forgotten"
        );
        assert_eq!(budgets.callers.lock().expect("not poisoned").budgets.len(), 1);
    }

    fn tenant(number: u8) -> Party {
        Party::Tenant(TenantId([number; 16]))
    }

    #[tokio::test]
    async fn a_flood_of_one_tenant_is_served_beside_the_others_and_not_before_them() {
        let turns = Turns::new(1, 64);
        let busy = turns.take(tenant(1)).await.expect("the hall is empty");
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in [1; 60].into_iter().chain([2, 2, 3]) {
            let (turns, served) = (turns.clone(), Arc::clone(&served));
            tasks.push(tokio::spawn(async move {
                let turn = turns.take(tenant(number)).await.expect("fewer than may wait");
                served.lock().expect("not poisoned").push(number);
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        drop(busy);
        for task in tasks {
            task.await.expect("it ends");
        }
        let served = served.lock().expect("not poisoned");
        assert_eq!(served.len(), 63);
        assert_eq!(
            served[..6],
            [1, 2, 3, 1, 2, 1],
            "in turn, though tenant 1 had asked sixty times before"
        );
    }

    #[tokio::test]
    async fn a_party_with_too_many_waiting_is_refused_and_nobody_else() {
        let turns = Turns::new(1, 2);
        let _busy = turns.take(Party::Server).await.expect("the hall is empty");
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take(tenant(1)).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(turns.take(tenant(1)).await.map(drop), Err(HallFull));
        let other = turns.clone();
        let other = tokio::spawn(async move { other.take(tenant(2)).await.map(drop) });
        tokio::task::yield_now().await;
        assert!(!other.is_finished(), "another tenant waits for its turn");
        // Those who go away leave their places.
        for one in waiting {
            one.abort();
            let _cancelled = one.await;
        }
        drop(_busy);
        assert_eq!(other.await.expect("it ends"), Ok(()));
        assert_eq!(lock(&turns.0).free, 1);
    }
}
