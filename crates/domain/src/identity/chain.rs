//! A host's chain of check-ins. Each check-in hands back the link that the last one was answered with, and gets the
//! next; so of two agents with one identity only one can go on, and the other is known for a copy at its first
//! check-in. That the server issued a link at all is seen by its mark, before this rule is asked.

use super::{BootId, HardwareMark, Nonce};
use jiff::Timestamp;
use std::cmp::Ordering;

/// The computer and the boot that a check-in comes from, as the agent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The boot it is in.
    pub boot: BootId,
    /// Its hardware; absent where nothing tells it apart.
    pub hardware: Option<HardwareMark>,
}

/// A request as it was signed. An agent that asks again after a lost answer keeps the nonce and signs a later time; the
/// network can only deliver the same time again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The request's name.
    pub nonce: Nonce,
    /// The agent's count of requests: never the same for two of one computer, and higher for the later one.
    pub sequence: u64,
    /// When it was sent, by the agent's time.
    pub sent_at: Timestamp,
}

/// What the server remembers of a host's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The count of the last link issued; the next check-in must present it.
    issued: u64,
    /// The requests that were answered last, latest first, the one that got the last link before all.
    recent: [Option<Request>; RECENT],
    /// Who got the last link.
    bearer: Bearer,
    /// The latest request that was heard of it.
    heard: Mark,
    /// Who had the chain before, latest first: each came with a good link once.
    former: Vec<Former>,
}

/// Who had the chain before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Former {
    bearer: Bearer,
    /// The latest request that was heard of it.
    heard: Mark,
    /// The request by which the next bearer took the chain over. After a restart it may be one that this bearer had sent
    /// already, asked again under its name.
    next: Mark,
}

/// The place of a request among those of its computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    sequence: u64,
    sent_at: Timestamp,
}

impl Mark {
    /// Of no request.
    const NONE: Self = Self {
        sequence: 0,
        sent_at: Timestamp::UNIX_EPOCH,
    };
}

impl From<Request> for Mark {
    fn from(request: Request) -> Self {
        Self {
            sequence: request.sequence,
            sent_at: request.sent_at,
        }
    }
}

impl Former {
    /// Whether it sent this request after it was heard last: then it is alive, and not only delivered late.
    fn is_alive(&self, request: Mark) -> bool {
        let is_taken_over = request.sequence == self.next.sequence && request <= self.next;
        request > self.heard && !is_taken_over
    }
}

/// Former bearers that are remembered.
const FORMER: usize = 8;
/// Requests that are remembered, so that a late repetition by the network is not taken for a copy.
const RECENT: usize = 4;

/// What a presented link means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// The chain goes on.
    Next {
        /// The chain from now on; its last link goes into the answer.
        chain: Chain,
        /// How the link stood to what the server remembers.
        link: Standing,
    },
    /// The request that got the last link asks again, because its answer was lost. It gets the same link.
    Retry {
        /// The chain from now on.
        chain: Chain,
    },
    /// A request from before the last one, delivered again by the network: nothing changes. Nobody waits for its answer;
    /// should somebody do so after all, because a clock went back, it asks under a new name. Nothing says that there is a
    /// copy.
    Replay,
    /// A link that was used by another request: two agents have this identity, and this is not the original.
    Copy,
}

/// How a link that is taken stood to what the server remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the last one issued.
    Last,
    /// It is later than any this server remembers: it was issued after the backup that the server was restored from, or
    /// shortly before it stopped.
    Later,
    /// It was used, but by a copy: the one who had the chain before is back.
    Reclaimed,
}

impl Chain {
    /// The chain of a host that this request enrolled: link 1 is issued.
    pub fn begin(request: Request, bearer: Bearer) -> Self {
        Self::of(1, request, bearer)
    }

    /// The chain of a host that the server knows nothing of, from a link of its own that a request presents: after a
    /// restore from a backup that is older than the host. `None` at the end of all counts.
    pub fn take_up(count: u64, request: Request, bearer: Bearer) -> Option<Self> {
        Some(Self::of(count.checked_add(1)?, request, bearer))
    }

    fn of(issued: u64, request: Request, bearer: Bearer) -> Self {
        Self {
            issued,
            recent: [Some(request), None, None, None],
            bearer,
            heard: request.into(),
            former: Vec::new(),
        }
    }

    /// The count of the last link issued.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// Who got the last link.
    pub fn bearer(&self) -> Bearer {
        self.bearer
    }

    /// Whether the bearer of this link may send what belongs to the last check-in. For messages that do not move the chain.
    pub fn is_last(&self, count: u64) -> bool {
        count == self.issued
    }

    /// Whether the chain has been on other hardware than now: then the present computer may be a copy of that one.
    pub fn has_moved(&self) -> bool {
        let mut former = self.former.iter();
        former.any(|former| differs(former.bearer.hardware, self.bearer.hardware))
    }

    /// Judges a link of ours that a check-in presents.
    ///
    /// The original keeps the chain even if its copy checks in first: a copy boots, so it comes with another boot than
    /// the one that the chain knew. When a used link then comes from the boot or hardware that had the chain before, an
    /// earlier boot is alive, which a mere restart cannot explain: the chain goes back to it. That it is alive is shown only
    /// by a request that is later than all that were heard of it, because the network may deliver old ones long after.
    pub fn present(&self, count: u64, request: Request, bearer: Bearer) -> Presented {
        let known = self
            .recent
            .iter()
            .position(|recent| recent.is_some_and(|recent| recent.nonce == request.nonce));
        if known == Some(0) && count < self.issued {
            return Presented::Retry {
                chain: self.heard_again(0, request, bearer),
            };
        }
        let is_old =
            |place: usize| self.recent[place].is_some_and(|recent| request.sent_at <= recent.sent_at);
        if known.is_some_and(|place| place == 0 || is_old(place)) {
            return Presented::Replay;
        }
        match count.cmp(&self.issued) {
            Ordering::Equal => self.next(count, request, bearer, Standing::Last),
            Ordering::Greater => self.next(count, request, bearer, Standing::Later),
            Ordering::Less => match self.former_place(bearer) {
                Some(place) if self.former[place].is_alive(request.into()) => {
                    self.next(self.issued, request, bearer, Standing::Reclaimed)
                }
                Some(_) => Presented::Replay,
                None => Presented::Copy,
            },
        }
    }

    fn next(&self, count: u64, request: Request, bearer: Bearer, link: Standing) -> Presented {
        let Some(issued) = count.checked_add(1) else {
            return Presented::Copy;
        };
        let mut former = self.former.clone();
        if link == Standing::Reclaimed {
            // Whoever came after it was the copy: none of them may take the chain back.
            former.drain(..=self.former_place(bearer).unwrap_or_default());
        } else if bearer != self.bearer {
            let last = Former {
                bearer: self.bearer,
                heard: self.heard,
                next: request.into(),
            };
            former.insert(0, last);
            former.truncate(FORMER);
        }
        let [first, second, third, _] = self.recent;
        let chain = Self {
            issued,
            recent: [Some(request), first, second, third],
            bearer,
            heard: request.into(),
            former,
        };
        Presented::Next { chain, link }
    }

    /// The chain with the later time of a request that is known already.
    fn heard_again(&self, place: usize, request: Request, bearer: Bearer) -> Self {
        let mut chain = self.clone();
        if bearer == self.bearer {
            chain.heard = chain.heard.max(request.into());
        }
        if let Some(recent) = &mut chain.recent[place] {
            recent.sent_at = recent.sent_at.max(request.sent_at);
        }
        chain
    }

    /// Where a bearer stands among the former ones: by its boot, or by hardware that is not that of the present one.
    fn former_place(&self, bearer: Bearer) -> Option<usize> {
        let is_other_boot = bearer.boot != self.bearer.boot;
        let is_other_hardware = differs(bearer.hardware, self.bearer.hardware);
        self.former.iter().position(|former| {
            (is_other_boot && former.bearer.boot == bearer.boot)
                || (is_other_hardware && former.bearer.hardware == bearer.hardware)
        })
    }
}

/// Whether two marks are known and are not of one computer.
fn differs(one: Option<HardwareMark>, other: Option<HardwareMark>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// Bytes that are no chain as [`Chain::to_bytes`] writes it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the kept chain of check-ins is damaged")]
pub struct NotAChain;

/// The first byte of a kept chain.
const FORM: u8 = 2;

impl Chain {
    /// The chain as it is kept: at most 711 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        bytes.extend(self.issued.to_be_bytes());
        for request in self.recent {
            put(&mut bytes, request.map(|request| request.nonce.0));
            put_mark(&mut bytes, request.map_or(Mark::NONE, Mark::from));
        }
        put_bearer(&mut bytes, self.bearer);
        put_mark(&mut bytes, self.heard);
        bytes.push(self.former.len() as u8);
        for former in &self.former {
            put_bearer(&mut bytes, former.bearer);
            put_mark(&mut bytes, former.heard);
            put_mark(&mut bytes, former.next);
        }
        bytes
    }

    /// Reads what [`Chain::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`NotAChain`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAChain> {
        let rest = &mut bytes.strip_prefix(&[FORM]).ok_or(NotAChain)?;
        let issued = u64::from_be_bytes(take(rest)?);
        let mut recent = [None; RECENT];
        for request in &mut recent {
            let nonce = take_optional(rest)?.map(Nonce);
            let mark = take_mark(rest)?;
            if nonce.is_none() && mark != Mark::NONE {
                return Err(NotAChain);
            }
            *request = nonce.map(|nonce| Request {
                nonce,
                sequence: mark.sequence,
                sent_at: mark.sent_at,
            });
        }
        let bearer = take_bearer(rest)?;
        let heard = take_mark(rest)?;
        let [count] = take(rest)?;
        if usize::from(count) > FORMER {
            return Err(NotAChain);
        }
        let former = (0..count).map(|_| take_former(rest)).collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err(NotAChain);
        }
        Ok(Self {
            issued,
            recent,
            bearer,
            heard,
            former,
        })
    }
}

fn put(bytes: &mut Vec<u8>, value: Option<[u8; 16]>) {
    bytes.push(u8::from(value.is_some()));
    bytes.extend(value.unwrap_or_default());
}

fn put_bearer(bytes: &mut Vec<u8>, bearer: Bearer) {
    bytes.extend(bearer.boot.0);
    put(bytes, bearer.hardware.map(|mark| mark.0));
}

fn put_mark(bytes: &mut Vec<u8>, mark: Mark) {
    bytes.extend(mark.sequence.to_be_bytes());
    bytes.extend(mark.sent_at.as_microsecond().to_be_bytes());
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NotAChain> {
    let (first, after) = rest.split_first_chunk().ok_or(NotAChain)?;
    *rest = after;
    Ok(*first)
}

fn take_optional(rest: &mut &[u8]) -> Result<Option<[u8; 16]>, NotAChain> {
    let [is_there] = take(rest)?;
    let value = take(rest)?;
    match is_there {
        0 if value == [0; 16] => Ok(None),
        1 => Ok(Some(value)),
        _ => Err(NotAChain),
    }
}

fn take_bearer(rest: &mut &[u8]) -> Result<Bearer, NotAChain> {
    Ok(Bearer {
        boot: BootId(take(rest)?),
        hardware: take_optional(rest)?.map(HardwareMark),
    })
}

fn take_mark(rest: &mut &[u8]) -> Result<Mark, NotAChain> {
    let sequence = u64::from_be_bytes(take(rest)?);
    let sent_at = i64::from_be_bytes(take(rest)?);
    Ok(Mark {
        sequence,
        sent_at: Timestamp::from_microsecond(sent_at).map_err(|_| NotAChain)?,
    })
}

fn take_former(rest: &mut &[u8]) -> Result<Former, NotAChain> {
    Ok(Former {
        bearer: take_bearer(rest)?,
        heard: take_mark(rest)?,
        next: take_mark(rest)?,
    })
}
