//! The root authority and the one that takes its place: prepared with the present root's word for it, announced to agents,
//! switched to, and the former one retired. Each step is one durable write; what a crash leaves half done, the next start
//! completes or forgets.

use super::keys::{KeptKey, Keys};
use super::{Authority, AuthorityError, Listener, Root, SigningKeys};
use crate::clock::Chance;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use protocol::card::{self, KeyCertificate, Purpose};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};

/// The sealed file of the root that will follow.
const NEXT: &str = "root-next";
/// The sealed file that says which root follows which.
const SUCCESSION: &str = "succession";

/// The roots in force, and what the present one certifies.
pub(super) struct Roots {
    pub(super) present: Root,
    pub(super) stage: Stage,
    pub(super) answers: KeyCertificate,
    pub(super) orders: KeyCertificate,
    pub(super) audit: KeyCertificate,
}

/// Where the change of roots is.
pub(super) enum Stage {
    /// There is no other root.
    Alone,
    /// Another one will follow; agents learn it ahead of time.
    Announced {
        /// The root that will follow.
        next: Root,
        /// The present one's word for it.
        succession: Succession,
    },
    /// The present one followed another, whose word for it leads back those who know only that one.
    Following(Succession),
}

/// One root's word for the one that follows it.
#[derive(Clone)]
pub(super) struct Succession {
    /// The root that gives its word.
    pub(super) from: CertificateDer<'static>,
    /// The root that follows, endorsed by it: what stands on the card.
    pub(super) to: card::Authority,
    /// The certificate of the following root's key, signed by the other one: what stands in the chain of TLS.
    pub(super) cross: CertificateDer<'static>,
    /// When it was prepared: a host that was heard since then knows it.
    pub(super) prepared_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SuccessionText {
    from: String,
    to: card::Authority,
    cross: String,
    prepared_at_us: i64,
}

/// A root that was drawn and is kept nowhere yet.
pub struct Prepared {
    kept: KeptKey,
    succession: Succession,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({})", self.digest())
    }
}

impl Prepared {
    /// SHA-256 of its certificate.
    pub fn digest(&self) -> Sha256Digest {
        self.succession.to.digest()
    }
}

/// Which roots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootsShown {
    /// The present root: SHA-256 of its certificate.
    pub present: Sha256Digest,
    /// Until when it is valid.
    pub until: Timestamp,
    /// The other one.
    pub other: OtherRoot,
}

/// The root beside the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherRoot {
    /// There is none.
    None,
    /// One that will follow.
    Next {
        /// SHA-256 of its certificate.
        digest: Sha256Digest,
        /// Since when agents are told.
        announced_at: Timestamp,
    },
    /// One that the present one followed.
    Former {
        /// SHA-256 of its certificate.
        digest: Sha256Digest,
        /// Since when agents were told of the present one.
        announced_at: Timestamp,
    },
}

/// A step that the present stage does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongStage {
    /// A second change at a time.
    #[error("the former root authority is not retired yet: do that first")]
    FormerIsKept,
    /// Nothing was prepared, or another one.
    #[error("no such root authority is prepared")]
    NotPrepared,
    /// There is no former one.
    #[error("there is no former root authority")]
    NoFormer,
}

impl Succession {
    fn read(keys: &Keys<'_>) -> Result<Option<Self>, AuthorityError> {
        let Some(plain) = keys.sealer.read_file(keys.folder, SUCCESSION)? else {
            return Ok(None);
        };
        let damaged = || AuthorityError::Damaged { name: SUCCESSION };
        let text: SuccessionText = serde_json::from_slice(&plain).map_err(|_malformed| damaged())?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_malformed| damaged());
        Ok(Some(Self {
            from: decode(&text.from)?.into(),
            to: text.to,
            cross: decode(&text.cross)?.into(),
            prepared_at: Timestamp::from_microsecond(text.prepared_at_us)
                .map_err(|_out_of_range| damaged())?,
        }))
    }

    fn write(&self, keys: &Keys<'_>) -> Result<(), AuthorityError> {
        let text = SuccessionText {
            from: STANDARD.encode(&self.from),
            to: self.to.clone(),
            cross: STANDARD.encode(&self.cross),
            prepared_at_us: self.prepared_at.as_microsecond(),
        };
        let plain = serde_json::to_vec(&text).expect("texts and numbers are JSON");
        Ok(keys
            .sealer
            .write_file(keys.folder, SUCCESSION, &plain, keys.chance)?)
    }

    /// The root that gave its word, as it stands on the card.
    fn giver(&self) -> card::Authority {
        card::Authority::new(self.from.to_vec())
    }
}

impl Roots {
    /// Reads the roots of the folder, and has the present one certify the keys that sign for the server.
    pub(super) fn open(keys: &Keys<'_>) -> Result<(Self, SigningKeys), AuthorityError> {
        let succession = Succession::read(keys)?;
        let present = keys.root(succession.as_ref())?;
        let next = keys.read(NEXT)?;
        let stage = match (succession, next) {
            (Some(succession), _) if succession.to.digest() == present.digest => {
                keys.remove(NEXT)?;
                Stage::Following(succession)
            }
            (Some(succession), Some(kept)) if succession.from == present.certificate => {
                let next = Root::of_kept(kept)?;
                match next.digest == succession.to.digest() {
                    true => Stage::Announced { next, succession },
                    // A preparation that was cut short: whoever asked for it asks again.
                    false => Stage::Alone,
                }
            }
            (Some(succession), _) if succession.from != present.certificate => {
                return Err(AuthorityError::Damaged { name: SUCCESSION });
            }
            _ => Stage::Alone,
        };
        let signing = SigningKeys {
            answers: keys.certified(&present, "answers", Purpose::Answers)?,
            orders: keys.certified(&present, "orders", Purpose::Orders)?,
            audit: keys.certified(&present, "audit", Purpose::Audit)?,
        };
        let roots = Self {
            present,
            stage,
            answers: signing.answers.certificate.clone(),
            orders: signing.orders.certificate.clone(),
            audit: signing.audit.certificate.clone(),
        };
        Ok((roots, signing))
    }

    /// The certificates above the issuing authority's, as a server shows them: the root, and for those who know only the
    /// former one what leads to that.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let mut chain = vec![self.present.certificate.clone()];
        if let Stage::Following(succession) = &self.stage {
            chain.extend([succession.cross.clone(), succession.from.clone()]);
        }
        chain
    }

    /// The authorities on the server's card, the present one first.
    pub(super) fn on_the_card(&self) -> Vec<card::Authority> {
        let present = card::Authority::new(self.present.certificate.to_vec());
        match &self.stage {
            Stage::Alone => vec![present],
            Stage::Announced { succession, .. } => vec![present, succession.to.clone()],
            Stage::Following(succession) => vec![succession.to.clone(), succession.giver()],
        }
    }

    fn shown(&self) -> RootsShown {
        RootsShown {
            present: self.present.digest,
            until: self.present.validity.until,
            other: match &self.stage {
                Stage::Alone => OtherRoot::None,
                Stage::Announced { next, succession } => OtherRoot::Next {
                    digest: next.digest,
                    announced_at: succession.prepared_at,
                },
                Stage::Following(succession) => OtherRoot::Former {
                    digest: succession.giver().digest(),
                    announced_at: succession.prepared_at,
                },
            },
        }
    }
}

impl Authority {
    /// Which roots there are.
    pub fn roots_shown(&self) -> RootsShown {
        self.roots().shown()
    }

    /// Draws the root authority that will follow, with the present one's word for it; keeps nothing.
    ///
    /// # Errors
    /// Where a former one is not retired yet, or the present one's key is kept elsewhere.
    pub fn draw_next_root(&self, now: Timestamp, chance: &dyn Chance) -> Result<Prepared, AuthorityError> {
        let roots = self.roots();
        if matches!(roots.stage, Stage::Following(_)) {
            return Err(WrongStage::FormerIsKept.into());
        }
        let present = roots
            .present
            .key
            .as_ref()
            .ok_or(AuthorityError::RootOffline { name: "root" })?;
        let keys = self.keys(now, chance);
        let kept = keys.draw_root()?;
        let next = Root::of_kept(kept.clone())?;
        let to = card::Authority::new(next.certificate.to_vec());
        let succession = Succession {
            from: roots.present.certificate.clone(),
            to: to.endorsed(&roots.present.certificate, present),
            cross: keys.cross(&roots.present, present, &next)?,
            prepared_at: now,
        };
        Ok(Prepared { kept, succession })
    }

    /// Keeps a root that was drawn: from now on it is on the card, and every agent that is answered knows it ahead of time.
    /// One that was prepared before is forgotten.
    ///
    /// # Errors
    /// Of the folder of keys.
    pub fn prepare_next_root(
        &self,
        prepared: Prepared,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<(), AuthorityError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys(now, chance);
        prepared.succession.write(&keys)?;
        keys.write(NEXT, &prepared.kept)?;
        self.reopen(&keys)
    }

    /// Lets the prepared root take the place of the present one. Nothing is done where it has taken it already.
    ///
    /// # Errors
    /// Where no root with this digest was prepared, and of the folder of keys.
    pub fn switch_root(
        &self,
        to: Sha256Digest,
        names: &[String],
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<(), AuthorityError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let roots = self.roots();
        if roots.present.digest == to {
            return Ok(());
        }
        match &roots.stage {
            Stage::Announced { next, .. } if next.digest == to => {}
            _ => return Err(WrongStage::NotPrepared.into()),
        }
        let keys = self.keys(now, chance);
        let kept = keys.read(NEXT)?.ok_or(WrongStage::NotPrepared)?;
        // From this write on the next root is the present one, whatever happens.
        keys.write("root", &kept)?;
        self.reopen(&keys)?;
        self.renew_under_the_root(&keys, names)
    }

    /// Forgets the former root: who knows only that one has to be enrolled anew. Nothing is done where there is none.
    ///
    /// # Errors
    /// While another root is announced, and of the folder of keys.
    pub fn retire_former_root(
        &self,
        names: &[String],
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<(), AuthorityError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.roots().stage {
            Stage::Alone => return Ok(()),
            Stage::Announced { .. } => return Err(WrongStage::NoFormer.into()),
            Stage::Following(_) => {}
        }
        let keys = self.keys(now, chance);
        keys.remove(SUCCESSION)?;
        self.reopen(&keys)?;
        self.renew_under_the_root(&keys, names)
    }

    fn reopen(&self, keys: &Keys<'_>) -> Result<(), AuthorityError> {
        let (roots, ..) = Roots::open(keys)?;
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(roots);
        Ok(())
    }

    /// The issuing authority and the listener's certificate as the present root wants them; connections that are open stay.
    fn renew_under_the_root(&self, keys: &Keys<'_>, names: &[String]) -> Result<(), AuthorityError> {
        let roots = self.roots();
        let issuing = keys.issuing(&roots.present)?;
        let listener: Listener = keys.listener(&roots, &issuing, names)?;
        *self.issuing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuing);
        *self.listener.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(listener);
        Ok(())
    }

    pub(super) fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.roots.read().unwrap_or_else(PoisonError::into_inner))
    }
}
