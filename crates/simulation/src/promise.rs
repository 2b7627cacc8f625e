//! What is promised whatever happens, and who was promised it.

use crate::computer::Computer;
use crate::executor::Deed;
use crate::site::Site;
use crate::site::orders::Results;
use anyhow::Result;
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, HostId};
use domain::identity::time::AgentTime;
use domain::order::LEASE_SECONDS;
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::sha256;
use std::collections::{BTreeMap, BTreeSet};
use store::host::HostState;

/// A promise that was broken.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A document that the server said it has is gone, or another one.
    #[error("the acknowledged document {0} is lost")]
    Lost(Sha256Digest),
    /// An answer that no key of the server signed.
    #[error("the server gave an answer that it did not sign")]
    Unsigned,
    /// An agent went by an answer that was not signed, or to something else.
    #[error("{0} believed an answer that was not its own")]
    BelievedWrongAnswer(String),
    /// An agent's time went back.
    #[error("{name} relied on {later} and then on {earlier}")]
    TimeWentBack {
        /// The computer.
        name: String,
        /// The later time, which came first.
        later: Timestamp,
        /// The earlier one.
        earlier: Timestamp,
    },
    /// The original of a copy lost its identity.
    #[error("{0} lost its identity to its copy")]
    LostIdentity(String),
    /// Two computers have one identity.
    #[error("{one} and {other} are both the host {host}")]
    TwoOfOne {
        /// A computer.
        one: String,
        /// Another one.
        other: String,
        /// What both are.
        host: HostId,
    },
    /// An order began after its change was stopped and all that was permitted before had run out.
    #[error("{name} began order {number} {late_seconds} s after the stop and the lease")]
    BeganAfterStop {
        /// The computer.
        name: String,
        /// The order.
        number: u64,
        /// How late.
        late_seconds: i64,
    },
    /// An order began that needs more than the host allows.
    #[error("{name} began order {number}, which needs more than it allows")]
    AboveCeiling {
        /// The computer.
        name: String,
        /// The order.
        number: u64,
    },
    /// Two orders at once.
    #[error("{name} began order {number} beside another one")]
    TwoAtOnce {
        /// The computer.
        name: String,
        /// The later order.
        number: u64,
    },
    /// An order restarted its host again.
    #[error("{name} was restarted twice by order {number}")]
    RestartedTwice {
        /// The computer.
        name: String,
        /// The order.
        number: u64,
    },
    /// An order that had ended at the server has another end there.
    #[error("order {number} ended as {first}, and then as {then}")]
    TwoResults {
        /// The order.
        number: u64,
        /// Its end.
        first: String,
        /// Its other end.
        then: String,
    },
    /// A computer that the network reaches did not come right.
    #[error("{name} did not come right: {why}")]
    Unsettled {
        /// The computer.
        name: String,
        /// What is missing.
        why: String,
    },
}

/// Everything that was promised.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    acknowledged: BTreeSet<Sha256Digest>,
    /// Originals by name: the identity that each had when it was copied first.
    originals: BTreeMap<String, HostId>,
    /// Computers that lost their identity by a person's doing, or because the server forgot it in a restore.
    given_up: BTreeSet<String>,
    /// Changes that were stopped, and when.
    stopped: BTreeMap<ChangeId, Timestamp>,
    /// Computers that an order restarted.
    restarted: BTreeSet<(String, u64)>,
    /// The end of each order, as the server kept it.
    ends: BTreeMap<u64, String>,
}

impl Promises {
    /// The server said that it has these.
    pub fn acknowledged(&mut self, digests: &[Sha256Digest]) {
        self.acknowledged.extend(digests);
    }

    /// A computer was copied.
    pub fn copied(&mut self, original: &str, host: HostId, copy: &str) {
        self.originals.entry(original.to_owned()).or_insert(host);
        self.given_up.insert(copy.to_owned());
    }

    /// Whether a computer has copies, or is one.
    pub fn is_copied(&self, name: &str) -> bool {
        self.originals.contains_key(name)
    }

    /// The computer's identity is no longer promised.
    pub fn given_up(&mut self, name: &str) {
        self.given_up.insert(name.to_owned());
    }

    /// Whether the computer's identity is not promised.
    pub fn is_given_up(&self, name: &str) -> bool {
        self.given_up.contains(name)
    }

    /// The server was set back to when these were its promises. What agents are is as it was before.
    pub fn restored(&mut self, then: Self) {
        self.acknowledged = then.acknowledged;
        self.ends = then.ends;
        // Who stopped something that the server forgot will stop it again.
        self.stopped = then.stopped;
    }

    /// A change was stopped; the first time counts.
    pub fn stopped(&mut self, change: ChangeId, now: Timestamp) {
        self.stopped.entry(change).or_insert(now);
    }

    /// Whether an order may do what it has just done.
    pub fn check_deed(&mut self, name: &str, mode: Mode, deed: &Deed, now: Timestamp) -> Result<()> {
        let name = name.to_owned();
        match deed {
            Deed::Restarts { number } => match self.restarted.insert((name.clone(), *number)) {
                true => Ok(()),
                false => Err(Broken::RestartedTwice {
                    name,
                    number: *number,
                }
                .into()),
            },
            Deed::Beside { number } => Err(Broken::TwoAtOnce {
                name,
                number: *number,
            }
            .into()),
            Deed::Permitted { accepted } if accepted.order.needs > mode => Err(Broken::AboveCeiling {
                name,
                number: accepted.order.number,
            }
            .into()),
            Deed::Permitted { .. } => Ok(()),
            Deed::Began { accepted } => {
                let number = accepted.order.number;
                let stopped = self.stopped.get(&accepted.order.change);
                let lease = SignedDuration::from_secs(LEASE_SECONDS.into());
                let late = stopped.map_or(SignedDuration::ZERO, |stopped| {
                    now.duration_since(*stopped + lease)
                });
                match late.is_positive() {
                    true => Err(Broken::BeganAfterStop {
                        name,
                        number,
                        late_seconds: late.as_secs(),
                    }
                    .into()),
                    false => Ok(()),
                }
            }
        }
    }

    /// Whether each order that has ended at the server has the one end that it had.
    pub fn check_results(&mut self, results: &Results) -> Result<()> {
        for (number, end) in results {
            let Some(end) = end else { continue };
            let first = self.ends.entry(*number).or_insert_with(|| end.clone());
            if first != end {
                return Err(Broken::TwoResults {
                    number: *number,
                    first: first.clone(),
                    then: end.clone(),
                }
                .into());
            }
        }
        Ok(())
    }

    /// Whether the server still has every document that it acknowledged.
    pub async fn check_kept(&self, site: &Site) -> Result<()> {
        for digest in &self.acknowledged {
            let kept = site.document(*digest).await?;
            if kept.map(|bytes| sha256(&bytes)) != Some(*digest) {
                return Err(Broken::Lost(*digest).into());
            }
        }
        Ok(())
    }

    /// Whether time on a computer only ever goes on, for whoever relies on it.
    pub fn check_time(&self, computer: &mut Computer, now: Timestamp) -> Result<()> {
        let clock = computer.boot_clock(now);
        let Some(heard) = computer.heard() else {
            return Ok(());
        };
        let time = match computer.time {
            Some(time) if time.heard == heard => time,
            Some(time) => time.hear(heard, clock),
            None => AgentTime::first(heard, clock),
        };
        computer.time = Some(time);
        let Ok((time, relied)) = time.rely(clock) else {
            return Ok(());
        };
        computer.time = Some(time);
        let before = computer.relied.replace(relied);
        match before.filter(|before| *before > relied) {
            Some(later) => Err(Broken::TimeWentBack {
                name: computer.name.clone(),
                later,
                earlier: relied,
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Whether no two computers are the same host.
    pub async fn check_identities(&self, site: &Site, computers: &[Computer]) -> Result<()> {
        let mut seen: BTreeMap<HostId, &str> = BTreeMap::new();
        for computer in computers {
            let Some(host) = computer.journal.host() else {
                continue;
            };
            let is_retired = site
                .host(host)
                .await?
                .is_none_or(|host| host.state == HostState::Retired);
            if is_retired {
                continue;
            }
            if let Some(other) = seen.insert(host, &computer.name) {
                return Err(Broken::TwoOfOne {
                    one: other.to_owned(),
                    other: computer.name.clone(),
                    host,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Whether a computer that was copied is who it was. One that gave its identity up does not get it back, so this is asked
    /// as soon as that may have happened.
    pub fn check_original(&self, computer: &Computer) -> Result<()> {
        let promised = self.originals.get(&computer.name);
        let promised = promised.filter(|_| !self.is_given_up(&computer.name));
        let is_kept = promised.is_none_or(|promised| computer.journal.host() == Some(*promised));
        match is_kept {
            true => Ok(()),
            false => Err(Broken::LostIdentity(computer.name.clone()).into()),
        }
    }

    /// What is still missing until every host has told the server everything since a moment, if anything is.
    pub async fn unsettled(
        &self,
        site: &Site,
        computers: &[Computer],
        since: Timestamp,
    ) -> Result<Option<Broken>> {
        for computer in computers {
            if let Some(why) = unsettled(site, computer, since).await? {
                return Ok(Some(Broken::Unsettled {
                    name: computer.name.clone(),
                    why,
                }));
            }
        }
        Ok(None)
    }
}

async fn unsettled(site: &Site, computer: &Computer, since: Timestamp) -> Result<Option<String>> {
    let because = |why: &str| Ok(Some(format!("{why}; its agent says {:?}", computer.trouble())));
    let Some(id) = computer.journal.host() else {
        return because("it is not enrolled");
    };
    let Some(host) = site.host(id).await? else {
        return because("the server does not know it");
    };
    if host.state == HostState::Retired {
        return because("it was retired and nobody enrolled it again");
    }
    let checked_in = computer.journal.last_check_in.unwrap_or(i64::MIN);
    if checked_in < since.as_microsecond() {
        return because("it has not checked in");
    }
    let is_itself = computer.executor.is(&computer.journal);
    if is_itself && !computer.executor.is_at_rest() {
        return because(&format!(
            "its orders are not done with: {}",
            computer.executor.says()
        ));
    }
    let kept = [
        (DocumentKind::Inventory, host.inventory),
        (DocumentKind::ChannelConfig, host.channel_config),
        (DocumentKind::Facts, host.facts),
        (DocumentKind::KeyFile, computer.digest(DocumentKind::KeyFile)),
    ];
    for (kind, kept) in kept {
        let own = computer.documents.get(&kind);
        let bytes = match kept {
            Some(digest) => site.document(digest).await?,
            None => None,
        };
        if bytes.as_ref() != own {
            return because(&format!("the server's {} is not its own", kind.name()));
        }
    }
    Ok(None)
}
