//! How many may come in: bounds on connections, handshakes, requests at work and bytes of bodies, so that a storm costs
//! bounded memory and whoever cannot be served is told so at once.

use crate::clock::{Chance, draw_below};
use crate::settings::Limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// Bodies are counted in pieces of this many bytes.
const PIECE_BYTES: usize = 4096;
/// The soonest that somebody who was turned away may come again, in seconds.
const SOONEST_AGAIN_SECONDS: u64 = 3;
/// Over how many seconds those who were turned away are spread.
const SPREAD_SECONDS: u64 = 27;

/// The bounds of one listener, and what is taken of them.
#[derive(Debug)]
pub struct Gate {
    connections: Arc<Semaphore>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    per_address: usize,
    handshakes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    bodies: Arc<Semaphore>,
    chance: Arc<dyn Chance>,
}

/// A connection's place. Dropping it makes room.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

/// Room for bytes of a body. Dropping it makes room again.
#[derive(Debug, Default)]
pub struct Room {
    permit: Option<OwnedSemaphorePermit>,
    pieces: usize,
}

impl Gate {
    /// A gate with these bounds, open.
    pub fn new(limits: &Limits, chance: Arc<dyn Chance>) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.connections)),
            addresses: Mutex::default(),
            per_address: limits.connections_per_address,
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            requests: Arc::new(Semaphore::new(limits.requests)),
            waiting: AtomicUsize::new(0),
            queue: limits.queue,
            bodies: Arc::new(Semaphore::new(limits.body_bytes / PIECE_BYTES)),
            chance,
        }
    }

    /// A place for a connection from this address; `None` where all are taken, or all that the address may have.
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok()?;
        let address = Some(address.to_canonical()).filter(|address| !address.is_loopback());
        if let Some(address) = address {
            let mut addresses = self.addresses();
            let count = addresses.entry(address).or_default();
            if *count >= self.per_address {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            gate: Arc::clone(self),
            address,
            _permit: permit,
        })
    }

    /// A turn for one handshake.
    pub async fn handshake(&self) -> OwnedSemaphorePermit {
        turn(&self.handshakes).await
    }

    /// A turn for one request; `None`, at once, where too many are waiting already.
    pub async fn request(&self) -> Option<OwnedSemaphorePermit> {
        match Arc::clone(&self.requests).try_acquire_owned() {
            Ok(permit) => return Some(permit),
            Err(TryAcquireError::NoPermits) => {}
            Err(TryAcquireError::Closed) => return None,
        }
        let _waiting = Waiting::join(&self.waiting, self.queue)?;
        Some(turn(&self.requests).await)
    }

    /// In how many seconds somebody who was turned away may come again: spread by chance, so that they do not all come
    /// together.
    pub fn retry_after_seconds(&self) -> u32 {
        let seconds = SOONEST_AGAIN_SECONDS + draw_below(&*self.chance, SPREAD_SECONDS);
        u32::try_from(seconds).expect("both parts are small")
    }

    /// Connections that are open.
    pub fn open_connections(&self, limits: &Limits) -> usize {
        limits.connections - self.connections.available_permits()
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().expect("nobody panics while holding it")
    }
}

impl Room {
    /// Makes it room for at least this many bytes; `false` where there is not that much.
    #[must_use]
    pub fn grow_to(&mut self, gate: &Gate, bytes: usize) -> bool {
        let more = bytes.div_ceil(PIECE_BYTES).saturating_sub(self.pieces);
        let Ok(count) = u32::try_from(more) else {
            return false;
        };
        if count == 0 {
            return true;
        }
        let Ok(permit) = Arc::clone(&gate.bodies).try_acquire_many_owned(count) else {
            return false;
        };
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        self.pieces += more;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else {
            return;
        };
        let mut addresses = self.gate.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

async fn turn(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore)
        .acquire_owned()
        .await
        .expect("the gate never closes it")
}

/// One who waits for a turn.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let joined = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < limit).then_some(joined)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;

    fn gate(limits: &Limits) -> Arc<Gate> {
        Arc::new(Gate::new(limits, Arc::new(SeededChance::new(1))))
    }

    #[test]
    fn an_address_has_its_share_of_the_connections_and_loopback_is_bounded_by_the_whole_only() {
        let limits = Limits {
            connections: 4,
            connections_per_address: 2,
            ..Limits::default()
        };
        let gate = gate(&limits);
        let [one, other, loopback]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().expect("an address"));
        let first = gate.place(one).expect("its first");
        let _second = gate.place(one).expect("its second");
        assert!(gate.place(one).is_none(), "a third is one too many");
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert!(gate.place(mapped).is_none(), "the same address in another form");
        let _others = gate.place(other).expect("its own share");
        drop(first);
        let _again = gate.place(one).expect("the first made room");
        assert_eq!(gate.open_connections(&limits), 3);
        let _local = gate.place(loopback).expect("the last of four");
        assert!(gate.place(loopback).is_none(), "all are taken");
    }

    #[tokio::test]
    async fn above_the_queue_the_answer_is_no_at_once_and_a_turn_comes_in_the_end() {
        let limits = Limits {
            requests: 1,
            queue: 1,
            ..Limits::default()
        };
        let gate = gate(&limits);
        let working = gate.request().await.expect("the first works");
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.request().await.is_some() }
        });
        while gate.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(gate.request().await.is_none(), "the third is told at once");
        drop(working);
        assert!(waiting.await.expect("it ends"), "the second gets its turn");
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bodies_together_take_no_more_than_their_bytes() {
        let limits = Limits {
            body_bytes: 4 * PIECE_BYTES,
            ..Limits::default()
        };
        let gate = gate(&limits);
        let (mut first, mut second) = (Room::default(), Room::default());
        assert!(first.grow_to(&gate, 1) && first.grow_to(&gate, PIECE_BYTES));
        assert!(second.grow_to(&gate, 3 * PIECE_BYTES));
        assert!(!first.grow_to(&gate, PIECE_BYTES + 1));
        drop(second);
        assert!(first.grow_to(&gate, 4 * PIECE_BYTES));
        assert!(!first.grow_to(&gate, usize::MAX));
    }

    #[test]
    fn those_who_are_turned_away_come_again_spread_over_half_a_minute() {
        let gate = gate(&Limits::default());
        let mut counts = [0; 30];
        for _ in 0..3000 {
            counts[gate.retry_after_seconds() as usize] += 1;
        }
        assert!(counts[..3].iter().all(|&count| count == 0));
        assert!(counts[3..].iter().all(|&count| count > 50), "{counts:?}");
    }
}
