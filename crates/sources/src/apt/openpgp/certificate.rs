//! A certificate: a primary key, the user ids and subkeys that it vouches for, and what its own signatures say of them.
//! All signatures are checked once, on demand; what they mean at some point in time is decided by the caller's `now`.
//!
//! Where GnuPG and the standard leave a choice, the stricter reading holds: the earliest of the ends that the newest
//! self-signatures name is the end; any revocation by the key itself counts, whatever its reason, date and digest.

use super::key::{self, PublicKey, Strength, Unusable};
use super::packet::tag;
use super::proven::Proven;
use super::refusal::{Fault, digest_name, revocation_reason};
use super::signature::{Criticals, Signature, end};
use jiff::Timestamp;
use std::cell::Cell;
use std::sync::{Arc, OnceLock};

/// How many signatures of one component's are checked at most.
const MAX_CHECKS: u32 = 64;
/// How far another clock may be ahead of ours, in seconds.
pub(crate) const CLOCK_SKEW_SECONDS: i64 = 24 * 3600;

/// A certificate as it stands in a keyring.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The primary key and what follows it, in order. The first is the primary key.
    components: Vec<Component>,
    primary: OnceLock<Primary>,
}

/// A key, user id or attribute with the signatures behind it.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) tag: u8,
    pub(crate) body: Box<[u8]>,
    pub(crate) signatures: Vec<Box<[u8]>>,
    /// Of a key: its fingerprint.
    pub(crate) fingerprint: Option<[u8; 20]>,
    proven: Arc<Proven>,
    key: OnceLock<Result<PublicKey, Unusable>>,
    standing: OnceLock<Standing>,
}

impl Component {
    /// `proven` is asked before a signature by it is computed.
    pub(crate) fn new(tag: u8, body: &[u8], proven: &Arc<Proven>) -> Self {
        let is_key = matches!(tag, tag::PUBLIC_KEY | tag::PUBLIC_SUBKEY);
        Self {
            tag,
            body: body.into(),
            signatures: Vec::new(),
            fingerprint: is_key.then(|| key::fingerprint(body)).flatten(),
            proven: Arc::clone(proven),
            key: OnceLock::new(),
            standing: OnceLock::new(),
        }
    }

    /// The key itself, if it is of an accepted algorithm.
    pub(crate) fn key(&self) -> Result<&PublicKey, &Unusable> {
        let parse = || PublicKey::parse(&self.body, Arc::clone(&self.proven));
        self.key.get_or_init(parse).as_ref()
    }

    /// As it is hashed in front of other content.
    fn hashed(&self) -> [Vec<u8>; 2] {
        [key::hash_prefix(&self.body).to_vec(), self.body.to_vec()]
    }
}

/// What a certificate says of one of its keys, apart from the time.
#[derive(Clone, Debug)]
struct Standing {
    /// The newest self-signature's date; the key is good from there.
    from: u32,
    /// The earliest end that a newest self-signature names, in seconds since 1970.
    expires: Option<u32>,
    /// What is wrong whatever the time.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Primary {
    standing: Standing,
    user_id: Option<String>,
}

/// What the newest self-signatures of one component say together.
#[derive(Default)]
struct Newest {
    from: Option<u32>,
    expires: Option<u32>,
    /// A strong signature binds it.
    is_bound: bool,
    /// The newest signature's digest where it is weak.
    weak: Option<u8>,
    /// No signature takes the right to sign away.
    flags: Option<u8>,
}

impl Certificate {
    pub(crate) fn new(components: Vec<Component>) -> Self {
        Self {
            components,
            primary: OnceLock::new(),
        }
    }

    pub(crate) fn components(&self) -> &[Component] {
        &self.components
    }

    /// The primary key.
    pub(crate) fn primary(&self) -> &Component {
        &self.components[0]
    }

    /// The user id whose self-signature is the newest, with control characters taken out.
    pub(crate) fn user_id(&self) -> Option<&str> {
        self.facts().user_id.as_deref()
    }

    /// Whether its owner revoked it as a whole.
    pub(crate) fn is_revoked(&self) -> bool {
        matches!(self.facts().standing.fault, Some(Fault::KeyRevoked { .. }))
    }

    /// Whether the component's key may sign at `now`, and until when it may.
    pub(crate) fn may_sign(&self, component: &Component, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        let primary = &self.facts().standing;
        let mut end = good_until(primary, now, component.tag == tag::PUBLIC_KEY)?;
        if component.tag == tag::PUBLIC_SUBKEY {
            let standing = component.standing.get_or_init(|| self.examine_subkey(component));
            let subkey_end = good_until(standing, now, true)?;
            end = [end, subkey_end].into_iter().flatten().min();
        }
        Ok(end)
    }

    fn facts(&self) -> &Primary {
        self.primary.get_or_init(|| self.examine_primary())
    }

    fn examine_primary(&self) -> Primary {
        let component = self.primary();
        let faulty = |fault| Standing {
            from: 0,
            expires: None,
            fault: Some(fault),
        };
        let key = match component.key() {
            Ok(key) => key,
            Err(unusable) => {
                let standing = faulty(Fault::Algorithm {
                    algorithm: unusable.algorithm,
                });
                return Primary {
                    standing,
                    user_id: self.first_user_id(),
                };
            }
        };
        let checks = Checks::default();
        let own = component.hashed();
        let own: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
        let revoked = self.revocation(component, key, &own, 0x20, &checks);
        let direct = self.newest(component, key, &own, &[0x1f], &checks);
        let (names, user_id) = self.examine_user_ids(key, &own, &checks);
        let expires = [direct.expires, names.expires].into_iter().flatten().min();
        let from = [direct.from, names.from].into_iter().flatten().max().unwrap_or(0);
        let may_sign = [direct.flags, names.flags]
            .into_iter()
            .flatten()
            .all(|flags| flags & 2 != 0);
        let fault = match (revoked, names.weak) {
            (Some(reason), _) => Some(Fault::KeyRevoked {
                reason: revocation_reason(reason),
            }),
            _ if checks.are_exhausted() => Some(Fault::TooManySelfSignatures),
            _ if matches!(key.strength(), Strength::TooFewBits(_)) => small(key),
            (None, Some(digest)) if !names.is_bound => Some(Fault::WeakBinding {
                digest: digest_name(digest),
            }),
            _ if !names.is_bound => Some(Fault::Unbound),
            _ if !may_sign => Some(Fault::MayNotSign),
            _ => None,
        };
        Primary {
            standing: Standing { from, expires, fault },
            user_id: user_id.or_else(|| self.first_user_id()),
        }
    }

    /// What the user ids that are in force say together, and the newest of them.
    fn examine_user_ids(&self, key: &PublicKey, own: &[&[u8]], checks: &Checks) -> (Newest, Option<String>) {
        let mut together = Newest::default();
        let mut name = None;
        for user_id in self
            .components
            .iter()
            .filter(|component| component.tag == tag::USER_ID)
        {
            let length = u32::try_from(user_id.body.len())
                .expect("a packet's length has 32 bits")
                .to_be_bytes();
            let content = [own, &[&[0xb4], &length, &user_id.body]].concat();
            let newest = self.newest(user_id, key, &content, &[0x10, 0x11, 0x12, 0x13], checks);
            let revoked = self.newest(user_id, key, &content, &[0x30], checks).from;
            let Some(from) = newest
                .from
                .filter(|from| revoked.is_none_or(|revoked| revoked < *from))
            else {
                continue;
            };
            if together.from.is_none_or(|earlier| earlier < from) {
                name = Some(printable(&user_id.body));
            }
            together = together.join(newest);
        }
        (together, name)
    }

    fn examine_subkey(&self, component: &Component) -> Standing {
        let faulty = |fault| Standing {
            from: 0,
            expires: None,
            fault: Some(fault),
        };
        let (primary, subkey) = match (self.primary().key(), component.key()) {
            (Ok(primary), Ok(subkey)) => (primary, subkey),
            (Err(unusable), _) | (_, Err(unusable)) => {
                return faulty(Fault::Algorithm {
                    algorithm: unusable.algorithm,
                });
            }
        };
        let checks = Checks::default();
        let both = [self.primary().hashed(), component.hashed()].concat();
        let both: Vec<&[u8]> = both.iter().map(Vec::as_slice).collect();
        let revoked = self.revocation(component, primary, &both, 0x28, &checks);
        let newest = self.newest(component, primary, &both, &[0x18], &checks);
        let is_confirmed = || {
            let binding = self.bindings(component, &[0x18]).into_iter();
            let binding = binding.filter(|binding| checks.count() && binding.is_by(primary, &both));
            binding
                .take(1)
                .any(|binding| confirms(&binding, component, subkey, &both))
        };
        let fault = match (revoked, newest.weak) {
            (Some(reason), _) => Some(Fault::KeyRevoked {
                reason: revocation_reason(reason),
            }),
            _ if checks.are_exhausted() => Some(Fault::TooManySelfSignatures),
            _ if matches!(subkey.strength(), Strength::TooFewBits(_)) => small(subkey),
            (None, Some(digest)) if !newest.is_bound => Some(Fault::WeakBinding {
                digest: digest_name(digest),
            }),
            _ if !newest.is_bound => Some(Fault::Unbound),
            _ if newest.flags.is_none_or(|flags| flags & 2 == 0) => Some(Fault::MayNotSign),
            _ if !is_confirmed() => Some(Fault::NoBackSignature),
            _ => None,
        };
        Standing {
            from: newest.from.unwrap_or(0),
            expires: newest.expires,
            fault,
        }
    }

    /// The reason code of a revocation by the key itself, or of one by a key that it named for that.
    fn revocation(
        &self,
        of: &Component,
        key: &PublicKey,
        content: &[&[u8]],
        kind: u8,
        checks: &Checks,
    ) -> Option<u8> {
        let revokers: Vec<_> = self
            .readable(self.primary())
            .flat_map(|signature| signature.revokers)
            .collect();
        let named = |signature: &Signature<'_>| {
            let issuer = signature.issuer;
            revokers.iter().any(|revoker| {
                issuer.fingerprint == Some(*revoker) || issuer.key_id.is_some_and(|id| revoker.ends_with(&id))
            })
        };
        let mut revocations = self.readable(of).filter(|signature| signature.kind == kind);
        let found =
            revocations.find(|signature| named(signature) || checks.count() && signature.is_by(key, content));
        found.map(|signature| signature.reason.unwrap_or(0))
    }

    /// What the newest self-signatures of these kinds say: the newest of all, and the newest with a strong digest.
    fn newest(
        &self,
        of: &Component,
        key: &PublicKey,
        content: &[&[u8]],
        kinds: &[u8],
        checks: &Checks,
    ) -> Newest {
        let mut newest = Newest::default();
        for signature in self.bindings(of, kinds) {
            if !checks.count() || !signature.is_by(key, content) {
                continue;
            }
            let expiring = if of.fingerprint.is_some() {
                of
            } else {
                self.primary()
            };
            let ends = end(key::created(&expiring.body), signature.key_expires_after);
            let says = Newest {
                from: Some(signature.made),
                expires: [ends, signature.expires()].into_iter().flatten().min(),
                is_bound: signature.has_strong_digest(),
                weak: (!signature.has_strong_digest()).then_some(signature.digest),
                flags: signature.key_flags,
            };
            newest = newest.join(says);
            if newest.is_bound {
                break;
            }
        }
        newest
    }

    /// The signatures of these kinds that the primary key may have made, newest first.
    fn bindings<'certificate>(
        &'certificate self,
        of: &'certificate Component,
        kinds: &[u8],
    ) -> Vec<Signature<'certificate>> {
        let created = key::created(&self.primary().body).max(if of.fingerprint.is_some() {
            key::created(&of.body)
        } else {
            0
        });
        let mut bindings: Vec<_> = self
            .readable(of)
            .filter(|signature| kinds.contains(&signature.kind) && self.is_issuer(signature))
            .filter(|signature| signature.criticals == Criticals::Understood && signature.made >= created)
            .collect();
        bindings.sort_by_key(|signature| std::cmp::Reverse(signature.made));
        bindings
    }

    fn readable<'certificate>(
        &self,
        of: &'certificate Component,
    ) -> impl Iterator<Item = Signature<'certificate>> {
        of.signatures
            .iter()
            .filter_map(|body| Signature::parse(body).ok())
    }

    /// Whether the signature names the primary key as its maker. It must do so by key id: GnuPG 2.2 overlooks
    /// self-signatures that give a fingerprint only.
    fn is_issuer(&self, signature: &Signature<'_>) -> bool {
        let own = self.primary().fingerprint.unwrap_or_default();
        let issuer = signature.issuer;
        issuer.key_id.is_some_and(|id| own.ends_with(&id))
            && issuer.fingerprint.is_none_or(|print| print == own)
    }

    fn first_user_id(&self) -> Option<String> {
        let user_id = self
            .components
            .iter()
            .find(|component| component.tag == tag::USER_ID)?;
        Some(printable(&user_id.body))
    }
}

impl Newest {
    /// Both together: the later beginning, the earlier end, the lesser right; bound if either is.
    fn join(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            expires: [self.expires, other.expires].into_iter().flatten().min(),
            is_bound: self.is_bound || other.is_bound,
            weak: self.weak.or(other.weak),
            flags: match (self.flags, other.flags) {
                (Some(one), Some(two)) => Some(one & two),
                (one, two) => one.or(two),
            },
        }
    }
}

/// Counts the signatures that are checked, so that no certificate takes for ever.
#[derive(Default)]
struct Checks(Cell<u32>);

impl Checks {
    /// Whether one more may be checked.
    fn count(&self) -> bool {
        self.0.set(self.0.get() + 1);
        !self.are_exhausted()
    }

    fn are_exhausted(&self) -> bool {
        self.0.get() > MAX_CHECKS
    }
}

/// Whether the binding carries the subkey's own consent (RFC 9580 §5.2.1.9).
fn confirms(binding: &Signature<'_>, component: &Component, subkey: &PublicKey, both: &[&[u8]]) -> bool {
    let back = binding.embedded.and_then(|body| Signature::parse(body).ok());
    back.is_some_and(|back| {
        back.kind == 0x19
            && back.has_strong_digest()
            && back.criticals == Criticals::Understood
            && back.expires_after == 0
            && back.made >= key::created(&component.body)
            && back.is_by(subkey, both)
    })
}

fn small(key: &PublicKey) -> Option<Fault> {
    match key.strength() {
        Strength::TooFewBits(bits) => Some(Fault::SmallKey { bits }),
        Strength::Enough => None,
    }
}

/// Until when a standing is good; `signs` tells whether the right to sign matters.
fn good_until(standing: &Standing, now: Timestamp, signs: bool) -> Result<Option<Timestamp>, Fault> {
    match &standing.fault {
        Some(Fault::MayNotSign) if !signs => {}
        Some(fault) => return Err(fault.clone()),
        None => {}
    }
    let from = seconds(standing.from);
    if i64::from(standing.from) > now.as_second() + CLOCK_SKEW_SECONDS {
        return Err(Fault::KeyNotYetValid { from });
    }
    match standing.expires.map(seconds) {
        Some(since) if since <= now => Err(Fault::KeyExpired { since }),
        end => Ok(end),
    }
}

/// A moment of OpenPGP's: seconds since 1970.
pub(crate) fn seconds(number: u32) -> Timestamp {
    Timestamp::from_second(number.into()).expect("32 bits end in 2106")
}

/// A user id for people: no control characters, at most 200 characters.
fn printable(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .filter(|letter| !letter.is_control())
        .take(200)
        .collect()
}
