//! Session tickets of the listener (RFC 8446, section 4.6.1; RFC 5077). Their keys are sealed with the others, so that a fleet
//! which comes back after the server was restarted resumes its sessions instead of shaking hands anew; they are changed twice
//! a day, and the old ones destroyed, so that whoever gets them reads no old session of TLS 1.2.

use super::sealed::{SealError, Sealer};
use crate::clock::{Chance, SystemChance, draw};
use jiff::{SignedDuration, Timestamp};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::server::ProducesTickets;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// How long a key makes tickets.
const MAKES: SignedDuration = SignedDuration::from_hours(12);
/// For how long a ticket counts, in seconds.
const LIFETIME_SECONDS: u32 = 24 * 60 * 60;
/// The key that makes tickets, and those whose tickets may still count.
const KEYS: usize = 3;
/// The name of their sealed file.
const NAME: &str = "tickets";
/// Bytes of one key in it: name, secret, and since when it makes tickets, in microseconds since 1970 UTC.
const KEPT_BYTES: usize = 16 + 32 + 8;

/// Makes and reads tickets.
pub struct Tickets(RwLock<Arc<[Key]>>);

struct Key {
    name: [u8; 16],
    secret: Zeroizing<[u8; 32]>,
    since: Timestamp,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(secret)")
    }
}

impl Tickets {
    /// The keys of this folder, changed if that is due. A file that does not hold any is replaced: sessions are no treasure.
    pub(super) fn open(
        sealer: &Sealer,
        folder: &Path,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Self, SealError> {
        let kept = sealer.read_file(folder, NAME)?;
        let keys = kept.and_then(|bytes| read(&bytes)).unwrap_or_default();
        let tickets = Self(RwLock::new(keys.into()));
        tickets.change_if_due(sealer, folder, now, chance)?;
        Ok(tickets)
    }

    /// Begins a new key if the last one has made tickets for long enough, or since a time that has not come yet, and destroys
    /// the oldest.
    pub(super) fn change_if_due(
        &self,
        sealer: &Sealer,
        folder: &Path,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<(), SealError> {
        let keys = self.keys();
        let is_due = |key: &Key| now.duration_since(key.since).abs() >= MAKES;
        if keys.first().is_some_and(|newest| !is_due(newest)) {
            return Ok(());
        }
        let newest = Key {
            name: draw(chance),
            secret: Zeroizing::new(draw(chance)),
            since: now,
        };
        let older = keys.iter().take(KEYS - 1).map(Key::again);
        let keys: Arc<[Key]> = std::iter::once(newest).chain(older).collect();
        let kept = Zeroizing::new(keys.iter().flat_map(Key::to_bytes).collect::<Vec<u8>>());
        sealer.write_file(folder, NAME, &kept, chance)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    /// Name of the key, nonce, and the session sealed for that name.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys();
        let newest = keys.first()?;
        let nonce: [u8; NONCE_LEN] = draw(&SystemChance::default());
        let mut ticket = [newest.name.as_slice(), &nonce, plain].concat();
        let tag = newest
            .cipher()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(newest.name),
                &mut ticket[newest.name.len() + NONCE_LEN..],
            )
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<16>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys();
        let key = keys.iter().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let length = key
            .cipher()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name), &mut plain)
            .ok()?
            .len();
        plain.truncate(length);
        Some(plain)
    }
}

impl Key {
    fn again(&self) -> Self {
        Self {
            secret: self.secret.clone(),
            ..*self
        }
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*self.secret).expect("the key has 32 bytes"))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let since = self.since.as_microsecond().to_be_bytes();
        [self.name.as_slice(), &*self.secret, &since].concat()
    }
}

/// The keys of a file, the newest first; `None` if these bytes are none.
fn read(bytes: &[u8]) -> Option<Vec<Key>> {
    let (kept, []) = bytes.as_chunks::<KEPT_BYTES>() else {
        return None;
    };
    let key = |kept: &[u8; KEPT_BYTES]| {
        let (name, rest) = kept.split_first_chunk::<16>()?;
        let (secret, since) = rest.split_first_chunk::<32>()?;
        let since = i64::from_be_bytes(since.try_into().ok()?);
        Some(Key {
            name: *name,
            secret: Zeroizing::new(*secret),
            since: Timestamp::from_microsecond(since).ok()?,
        })
    };
    kept.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;

    struct World {
        folder: tempfile::TempDir,
        sealer: Sealer,
        chance: SeededChance,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let chance = SeededChance::new(1);
            let sealer = Sealer::open(folder.path(), &chance).expect("a master key");
            Self {
                folder,
                sealer,
                chance,
            }
        }

        fn open(&self, hours: i64) -> Tickets {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
            Tickets::open(&self.sealer, self.folder.path(), now, &self.chance)
                .expect("the folder is writable")
        }
    }

    #[test]
    fn a_ticket_counts_after_restarts_and_not_after_its_key_was_destroyed() {
        let world = World::new();
        let ticket = world.open(0).encrypt(b"a session").expect("it has a key");
        for hours in [0, 11, 12, 23, 24, 35] {
            let read = world.open(hours).decrypt(&ticket);
            assert_eq!(
                read.as_deref(),
                Some(b"a session".as_slice()),
                "after {hours} hours"
            );
        }
        assert_eq!(world.open(36).decrypt(&ticket), None);
        let kept = world
            .sealer
            .read_file(world.folder.path(), NAME)
            .expect("it opens");
        assert_eq!(kept.expect("it is there").len(), KEYS * KEPT_BYTES);
    }

    #[test]
    fn a_ticket_altered_at_any_byte_or_of_another_server_is_none() {
        let (world, other) = (World::new(), World::new());
        let tickets = world.open(0);
        let ticket = tickets.encrypt(b"a session").expect("it has a key");
        for at in 0..ticket.len() {
            let mut altered = ticket.clone();
            altered[at] ^= 1;
            assert_eq!(tickets.decrypt(&altered), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "cut at {at}");
        }
        let _used = draw::<7>(&other.chance);
        assert_eq!(other.open(0).decrypt(&ticket), None);
    }

    #[test]
    fn a_key_of_a_time_that_has_not_come_makes_no_more_tickets() {
        let world = World::new();
        let of_the_future = world.open(9_000).encrypt(b"").expect("it has a key");
        let of_today = world.open(0).encrypt(b"").expect("it has a key");
        assert_ne!(of_the_future[..16], of_today[..16]);
        assert!(world.open(1).decrypt(&of_today).is_some());
    }

    #[test]
    fn a_file_that_holds_no_keys_is_replaced() {
        let world = World::new();
        let written = world
            .sealer
            .write_file(world.folder.path(), NAME, b"no keys", &world.chance);
        written.expect("the folder is writable");
        let ticket = world.open(0).encrypt(b"a session").expect("it has a key");
        assert!(world.open(1).decrypt(&ticket).is_some());
    }
}
