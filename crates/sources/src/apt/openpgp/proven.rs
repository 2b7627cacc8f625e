//! What was computed before: signatures whose numbers were seen to fit a key and a digest. Only arithmetic is remembered,
//! which gives the same answer for ever; whether the key, the digest's algorithm, the dates and the scope make a signature
//! count is judged anew each time. A signature that does not fit is never remembered.

use content::{Store, StoreError};
use domain::digest::Sha256Digest;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// Most signatures that are kept from one run to the next: a host's sources need about twenty.
const MOST_KEPT: usize = 1024;
/// Length of one entry of the state.
const PROOF_BYTES: usize = 32;
/// Name of the state; another number for another meaning of its bytes.
const STATE: &str = "signatures-1";

/// Signatures that were computed and hold. Shared by everything that verifies in one run.
#[derive(Debug, Default)]
pub struct Proven {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    proofs: BTreeMap<[u8; PROOF_BYTES], Use>,
    has_new: bool,
}

/// Whether this run asked for a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Kept,
    Asked,
}

/// One computation: a key's material, what was hashed by which algorithm, and the signature's numbers.
pub(crate) struct Claim<'a> {
    /// The body of the key packet, which names the algorithm and holds all numbers of the key.
    pub(crate) key: &'a [u8],
    /// Number of the digest algorithm (RFC 9580 §9.5).
    pub(crate) digest: u8,
    /// What was signed, hashed by it.
    pub(crate) hash: &'a [u8],
    /// The signature.
    pub(crate) numbers: &'a [&'a [u8]],
}

impl Claim<'_> {
    /// SHA-256 over all of it, each part behind its length so that no two claims read alike, and over this version of the
    /// program: what an older one computed wrongly is computed again.
    fn proof(&self) -> [u8; PROOF_BYTES] {
        let mut bytes = vec![self.digest];
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        for part in [version, self.key, self.hash].iter().chain(self.numbers) {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(*part);
        }
        let Sha256Digest(proof) = content::sha256(&bytes);
        proof
    }
}

impl Proven {
    /// What earlier runs computed, out of a store that nobody but its owner can write. A state that cannot be read is as
    /// good as none.
    pub fn load(store: &Store) -> Self {
        let limit_bytes = (MOST_KEPT * PROOF_BYTES) as u64;
        let bytes = store.read_state(STATE, limit_bytes).ok().flatten();
        let bytes = bytes.unwrap_or_default();
        let (proofs, rest) = bytes.as_chunks::<PROOF_BYTES>();
        let proofs = if rest.is_empty() { proofs } else { &[] };
        Self {
            known: Mutex::new(Known {
                proofs: proofs.iter().map(|proof| (*proof, Use::Kept)).collect(),
                has_new: false,
            }),
        }
    }

    /// Keeps what this run computed, if it computed anything. Where there is too much, what this run did not need goes.
    pub fn save(&self, store: &Store) -> Result<(), StoreError> {
        let known = self.known();
        if !known.has_new {
            return Ok(());
        }
        let in_use = |wanted| known.proofs.iter().filter(move |(_, used)| **used == wanted);
        let kept = in_use(Use::Asked).chain(in_use(Use::Kept)).take(MOST_KEPT);
        let bytes: Vec<u8> = kept.flat_map(|(proof, _)| *proof).collect();
        store.write_state(STATE, &bytes)
    }

    /// Whether the claim holds: by an earlier computation, or by this one.
    pub(crate) fn holds(&self, claim: &Claim<'_>, compute: impl FnOnce() -> bool) -> bool {
        let proof = claim.proof();
        if let Some(used) = self.known().proofs.get_mut(&proof) {
            *used = Use::Asked;
            return true;
        }
        let holds = compute();
        if holds {
            let mut known = self.known();
            known.proofs.insert(proof, Use::Asked);
            known.has_new = true;
        }
        holds
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim<'a>(key: &'a [u8], hash: &'a [u8], numbers: &'a [&'a [u8]]) -> Claim<'a> {
        Claim {
            key,
            digest: 8,
            hash,
            numbers,
        }
    }

    /// Whether the claim has to be computed.
    fn is_new(proven: &Proven, claim: &Claim<'_>) -> bool {
        let mut is_computed = false;
        proven.holds(claim, || {
            is_computed = true;
            false
        });
        is_computed
    }

    #[test]
    fn only_what_holds_is_remembered_and_only_for_the_very_same_claim() {
        let proven = Proven::default();
        let numbers: [&[u8]; 2] = [b"12", b"34"];
        let right = claim(b"key", b"hash", &numbers);
        assert!(!proven.holds(&right, || false));
        assert!(is_new(&proven, &right), "a failure is not remembered");
        assert!(proven.holds(&right, || true));
        assert!(!is_new(&proven, &right));
        assert!(proven.holds(&right, || false), "remembered, so not computed");
        let others = [
            claim(b"kex", b"hash", &numbers),
            claim(b"key", b"hasg", &numbers),
            claim(b"keyh", b"ash", &numbers),
            claim(b"key", b"hash", &[b"12", b"35"]),
            claim(b"key", b"hash", &[b"123", b"4"]),
            claim(b"key", b"hash", &[b"1234"]),
            claim(b"key", b"hash", &[b"12", b"34", b""]),
            Claim { digest: 10, ..right },
        ];
        for (number, other) in others.iter().enumerate() {
            assert!(is_new(&proven, other), "claim {number} is another one");
        }
    }

    #[test]
    fn what_holds_is_kept_in_the_store_and_a_torn_state_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("cache")).expect("a new folder");
        let right = claim(b"key", b"hash", &[b"1"]);
        let first = Proven::default();
        first.save(&store).expect("nothing to keep");
        assert_eq!(store.read_state(STATE, 1 << 20).expect("readable"), None);
        first.holds(&right, || true);
        first.save(&store).expect("the store is writable");
        assert!(!is_new(&Proven::load(&store), &right));
        let mut kept = store.read_state(STATE, 1 << 20).expect("readable").expect("kept");
        assert_eq!(kept, right.proof());
        kept.push(0);
        store.write_state(STATE, &kept).expect("the store is writable");
        assert!(is_new(&Proven::load(&store), &right));
    }

    #[test]
    fn what_a_run_needed_outlives_what_it_did_not_where_there_is_too_much() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("cache")).expect("a new folder");
        let keys: Vec<[u8; 4]> = (0..MOST_KEPT as u32).map(u32::to_be_bytes).collect();
        let full = Proven::default();
        for key in &keys {
            full.holds(&claim(key, b"hash", &[b"1"]), || true);
        }
        full.save(&store).expect("the store is writable");
        let next = Proven::load(&store);
        let (needed, new) = (claim(&keys[7], b"hash", &[b"1"]), claim(b"new", b"hash", &[b"1"]));
        next.holds(&needed, || true);
        next.holds(&new, || true);
        next.save(&store).expect("the store is writable");
        let last = Proven::load(&store);
        assert!(!is_new(&last, &needed) && !is_new(&last, &new));
        let gone = keys
            .iter()
            .filter(|key| is_new(&last, &claim(&key[..], b"hash", &[b"1"])));
        assert_eq!(gone.count(), 1, "one had to make room");
    }
}
