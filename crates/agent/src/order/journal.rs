//! What the executor must not forget of its orders, in root's own folder: one journal of how far each is, written whole before
//! every effect, and beside it one file for each order with its evidence, which is written once. Both outlive a power cut.

use super::{Accepted, Bound, Done, Open, Orders, Phase, Restarted};
use crate::kept::{Form, KeptError, PrivateFolder};
use crate::service::Places;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use jiff::Timestamp;
use protocol::limits;
use protocol::message::orders::{FailureKind, OrderReport, Stage, Took};
use protocol::order::{ApprovalDocument, Bundle, OrderDocument};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The journal's name.
const JOURNAL: &str = "journal";
const JOURNAL_FORM: Form = Form {
    word: "orders",
    version: 1,
    longest: 1 << 20,
};
/// The name of an order's file in its folder.
const ORDER: &str = "order";
const ORDER_FORM: Form = Form {
    word: "order",
    version: 1,
    longest: 4 * limits::BUNDLE_BYTES as u64,
};

/// The journal of the executor's orders.
#[derive(Debug)]
pub struct OrdersJournal {
    places: Places,
    folder: PrivateFolder,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptOrders {
    #[serde(with = "crate::text::one")]
    host: HostId,
    highest: u64,
    epoch: u64,
    heard_at: Option<i64>,
    open: Vec<KeptOpen>,
    ended: Vec<OrderReport>,
    #[serde(with = "crate::text::list")]
    heard: Vec<Sha256Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptOpen {
    number: u64,
    #[serde(with = "crate::text::one")]
    digest: Sha256Digest,
    phase: KeptPhase,
    since: i64,
    is_touched: bool,
    cuts: u8,
    bound: Option<KeptBound>,
    took: Took,
    #[serde(with = "crate::text::option")]
    output: Option<Sha256Digest>,
    detail: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
enum KeptPhase {
    Fetching,
    Installing,
    Verifying { has_restarted: bool },
    Rebooting { boot: [u8; 16], micros: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptBound {
    time: i64,
    boot: [u8; 16],
    micros: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptOrder {
    #[serde(with = "crate::text::one")]
    digest: Sha256Digest,
    order: OrderDocument,
    /// As it came: the evidence.
    bundle: Bundle,
}

impl OrdersJournal {
    /// Opens the folder, which is made if it is missing (for the caller only).
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn open(places: &Places) -> Result<Self, KeptError> {
        Ok(Self {
            places: places.clone(),
            folder: PrivateFolder::open(&places.work())?,
        })
    }

    /// The orders of this host as they were written last; none if there were none, or if they were those of another identity.
    ///
    /// # Errors
    /// [`KeptError`] if the journal itself cannot be read. An order whose own file cannot has failed.
    pub fn read(&self, host: HostId) -> Result<Orders, KeptError> {
        let Some(body) = self.folder.read(JOURNAL, JOURNAL_FORM)? else {
            return Ok(Orders::default());
        };
        let kept: KeptOrders = understood(&body, self.places.work().join(JOURNAL))?;
        if kept.host != host {
            return Ok(Orders::default());
        }
        let mut orders = Orders {
            highest: kept.highest,
            epoch: kept.epoch,
            heard_at: kept.heard_at.map(time),
            open: Vec::new(),
            ended: kept.ended,
            heard: kept.heard.into(),
        };
        for one in kept.open {
            match accepted(&self.places, one.number) {
                Ok(accepted) => orders.open.push(one.into_open(accepted)),
                Err(error) => orders.ended.push(one.into_end(&error)),
            }
        }
        Ok(orders)
    }

    /// Replaces the journal. When this returns, a power cut brings back these orders or later ones.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn write(&self, host: HostId, orders: &Orders) -> Result<(), KeptError> {
        let kept = KeptOrders {
            host,
            highest: orders.highest,
            epoch: orders.epoch,
            heard_at: orders.heard_at.map(Timestamp::as_microsecond),
            open: orders.open.iter().map(KeptOpen::of).collect(),
            ended: orders.ended.clone(),
            heard: orders.heard.iter().copied().collect(),
        };
        let body = serde_json::to_vec(&kept).expect("orders hold nothing that JSON cannot");
        self.folder.write(JOURNAL, JOURNAL_FORM, &body)
    }

    /// Keeps an order with its evidence; before the journal speaks of it.
    ///
    /// # Errors
    /// [`KeptError`]; a bundle that it was not made from is one.
    pub fn keep(&self, accepted: &Accepted, bundle: &[u8]) -> Result<(), KeptError> {
        let folder = order_folder(&self.places, accepted.order.number);
        let bundle = Bundle::parse(bundle).map_err(|error| KeptError::Foreign {
            path: folder.join(ORDER),
            why: error.to_string(),
        })?;
        let kept = KeptOrder {
            digest: accepted.digest,
            order: OrderDocument::of(&accepted.order),
            bundle,
        };
        let body = serde_json::to_vec(&kept).expect("an order holds nothing that JSON cannot");
        PrivateFolder::open(&folder)?.write(ORDER, ORDER_FORM, &body)?;
        self.folder.flush()
    }

    /// Removes everything that is here of an order.
    ///
    /// # Errors
    /// [`KeptError::Io`].
    pub fn forget(&self, number: u64) -> Result<(), KeptError> {
        let path = order_folder(&self.places, number);
        match std::fs::remove_dir_all(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(KeptError::Io {
                attempt: "remove",
                path,
                cause,
            }),
            _ => Ok(()),
        }
    }
}

/// The folder of an order: root's own, with its file, its private world, and what its transaction leaves.
pub fn order_folder(places: &Places, number: u64) -> PathBuf {
    places.work().join(number.to_string())
}

/// An order that was believed when it was taken.
///
/// # Errors
/// [`KeptError`]: then it is carried out by nobody.
pub fn accepted(places: &Places, number: u64) -> Result<Accepted, KeptError> {
    let folder = order_folder(places, number);
    let path = folder.join(ORDER);
    let absent = || KeptError::Foreign {
        path: path.clone(),
        why: "there is no such order here".to_owned(),
    };
    let kept = PrivateFolder::look(&folder)?.ok_or_else(absent)?;
    let body = kept.read(ORDER, ORDER_FORM)?.ok_or_else(absent)?;
    let kept: KeptOrder = understood(&body, path.clone())?;
    let approved = ApprovalDocument::parse(&kept.bundle.approval).map_err(|error| KeptError::Foreign {
        path: path.clone(),
        why: error.to_string(),
    })?;
    let order = kept.order.into_order();
    if order.number != number {
        let why = format!("it holds order {}", order.number);
        return Err(KeptError::Foreign { path, why });
    }
    Ok(Accepted {
        order,
        approval: approved.approval,
        digest: kept.digest,
    })
}

impl KeptOpen {
    fn of(open: &Open) -> Self {
        Self {
            number: open.number(),
            digest: open.accepted.digest,
            phase: match open.phase.as_kept() {
                Phase::Installing => KeptPhase::Installing,
                Phase::Verifying(restarted) | Phase::Settling(restarted) => KeptPhase::Verifying {
                    has_restarted: restarted == Restarted::Once,
                },
                Phase::Rebooting { boot, micros } => KeptPhase::Rebooting { boot: boot.0, micros },
                Phase::Fetching | Phase::Preparing | Phase::Prepared(_) => KeptPhase::Fetching,
            },
            since: open.since.as_microsecond(),
            is_touched: open.done == Done::Something,
            cuts: open.cuts,
            bound: open.bound.map(|bound| KeptBound {
                time: bound.time.as_microsecond(),
                boot: bound.at.boot.0,
                micros: bound.at.micros,
            }),
            took: open.took,
            output: open.output,
            detail: open.detail.clone(),
        }
    }

    /// The end of an order that cannot be gone on with.
    fn into_end(self, error: &KeptError) -> OrderReport {
        OrderReport {
            order: self.digest,
            number: self.number,
            stage: Stage::Failed,
            since: time(self.since),
            failure: Some(FailureKind::Interrupted),
            detail: super::report::sentence(&crate::problem::chain(error)),
            last_line: String::new(),
            output: self.output,
            asks: None,
            took: self.took,
        }
    }

    fn into_open(self, accepted: Accepted) -> Open {
        Open {
            phase: match self.phase {
                KeptPhase::Fetching => Phase::Fetching,
                KeptPhase::Installing => Phase::Installing,
                KeptPhase::Verifying { has_restarted: true } => Phase::Verifying(Restarted::Once),
                KeptPhase::Verifying { has_restarted: false } => Phase::Verifying(Restarted::NotYet),
                KeptPhase::Rebooting { boot, micros } => Phase::Rebooting {
                    boot: BootId(boot),
                    micros,
                },
            },
            since: time(self.since),
            done: match self.is_touched {
                true => Done::Something,
                false => Done::Nothing,
            },
            cuts: self.cuts,
            bound: self.bound.map(|bound| Bound {
                time: time(bound.time),
                at: BootClock {
                    boot: BootId(bound.boot),
                    micros: bound.micros,
                },
            }),
            took: self.took,
            output: self.output,
            detail: self.detail,
            last_line: String::new(),
            ..Open::new(Arc::new(accepted), Timestamp::UNIX_EPOCH)
        }
    }
}

/// A time as it was kept; the digest of the file says that it was one.
fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn understood<T: serde::de::DeserializeOwned>(body: &[u8], path: PathBuf) -> Result<T, KeptError> {
    serde_json::from_slice(body).map_err(|error| KeptError::Foreign {
        path,
        why: error.to_string(),
    })
}
