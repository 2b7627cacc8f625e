//! Getting files of an archive onto this computer, within limits: size, rate, time, redirects, headers. What arrives is
//! not believed here; the caller knows its digest or verifies its signature. What opens a private archive is in [`access`],
//! addresses are in [`address`], HTTP in `http`, local files in [`local`], pace and deadline in `pace`, proxies in [`proxy`],
//! what is done with an answer in `transfer`.

pub mod access;
pub mod address;
mod forward;
mod http;
pub mod local;
mod pace;
pub mod proxy;
mod transfer;

use access::Access;
use address::AddressError;
use content::InsertError;
use local::LocalFiles;
use proxy::{BadProxy, Proxies};
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a fetch may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until the header of an answer has arrived.
    pub answer: Duration,
    /// The lowest rate that is put up with, in bytes a second.
    pub min_bytes_per_second: u64,
    /// The time over which the rate is taken; the longest silence is the larger of it and `answer`.
    pub rate_window: Duration,
    /// For everything that one [`Fetcher`] fetches.
    pub total: Duration,
    /// Redirects followed for one file.
    pub redirects: u32,
    /// Length of an answer's header in bytes.
    pub header_bytes: usize,
    /// How often a broken transfer of one file is taken up again.
    pub resumptions: u32,
}

impl Default for FetchLimits {
    /// 10 s to connect, 30 s for an answer, 10 KiB/s over 10 s, 15 minutes for all, 5 redirects, 16 KiB of header,
    /// 3 resumptions.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            min_bytes_per_second: 10 * 1024,
            rate_window: Duration::from_secs(10),
            total: Duration::from_secs(15 * 60),
            redirects: 5,
            header_bytes: 16 * 1024,
            resumptions: 3,
        }
    }
}

/// How to fetch. The shell reads environment and apt.conf(5) and fills it.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// What a fetch may cost.
    pub limits: FetchLimits,
    /// Which proxy for which address.
    pub proxies: Proxies,
    /// A local file of certificate authorities in PEM (`Acquire::https::CaInfo`); absent means the computer's own bundle, and where it
    /// has none, Mozilla's.
    pub authorities: Option<String>,
    /// What opens a private archive.
    pub access: Option<Access>,
    /// Where `file:` and `copy:` addresses and `authorities` lie.
    pub files: LocalFiles,
    /// `User-Agent`.
    pub user_agent: String,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            limits: FetchLimits::default(),
            proxies: Proxies::default(),
            authorities: None,
            access: None,
            files: LocalFiles::default(),
            user_agent: concat!("patchyard/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// What tells whether a file changed since it was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
}

/// A small file, fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Small {
    /// Its bytes, and what to ask with next time.
    Body(Vec<u8>, Validators),
    /// The same as when the validators were given.
    Unchanged,
    /// There is none.
    Missing,
}

/// Whether a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, and was fetched.
    Fetched,
    /// There is none.
    Missing,
}

/// Why a file was not fetched. Addresses in it carry no password.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// An address that this program cannot use.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A proxy that this program cannot use.
    #[error(transparent)]
    Proxy(#[from] BadProxy),
    /// The file of certificate authorities.
    #[error("read the certificate authorities in {}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// No connection, or it broke.
    #[error("fetch {uri}")]
    Transfer {
        /// The address.
        uri: String,
        /// Why.
        #[source]
        cause: Box<ureq::Error>,
    },
    /// Connected, and then nothing came.
    #[error("{uri} does not answer within {} s", limit.as_secs_f32())]
    NoAnswer {
        /// The address.
        uri: String,
        /// The limit.
        limit: Duration,
    },
    /// The server answered with an error.
    #[error("{uri} answers with status {status}")]
    Status {
        /// The address.
        uri: String,
        /// The HTTP status.
        status: u16,
    },
    /// More redirects than allowed, or a loop of them.
    #[error("{uri} is redirected more than {limit} times")]
    TooManyRedirects {
        /// The first address.
        uri: String,
        /// The limit.
        limit: u32,
    },
    /// A redirect to somewhere unusable.
    #[error("{uri} is redirected to {target:?}, which is no usable address")]
    BadRedirect {
        /// Who redirects.
        uri: String,
        /// Where to, cut to 200 characters.
        target: String,
    },
    /// A redirect from https to http.
    #[error("{uri} is redirected away from https to {target}; that is refused")]
    Downgrade {
        /// Who redirects.
        uri: String,
        /// Where to.
        target: String,
    },
    /// Longer than it may be.
    #[error("{uri} is longer than {limit_bytes} bytes")]
    TooLong {
        /// The address.
        uri: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The server declares another length than the signed release file gives.
    #[error("{uri} is {declared_bytes} bytes long and not {expected_bytes}")]
    WrongLength {
        /// The address.
        uri: String,
        /// What the server says.
        declared_bytes: u64,
        /// What was expected.
        expected_bytes: u64,
    },
    /// Below the lowest rate.
    #[error("{uri} comes at less than {limit} bytes a second")]
    TooSlow {
        /// The address.
        uri: String,
        /// The limit.
        limit: u64,
    },
    /// The time for all fetching is over.
    #[error("{uri} was not fetched: the time for fetching ({} s) is over", limit.as_secs())]
    Deadline {
        /// The address.
        uri: String,
        /// The limit.
        limit: Duration,
    },
    /// A file of this computer.
    #[error("read {}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It arrived, and could not be stored or was not what was expected.
    #[error("store {uri}")]
    Store {
        /// The address.
        uri: String,
        /// Why.
        #[source]
        cause: InsertError,
    },
}

impl FetchError {
    /// Whether the same file may be whole elsewhere or at another try of the archive.
    pub fn is_wrong_content(&self) -> bool {
        matches!(
            self,
            Self::WrongLength { .. }
                | Self::TooLong { .. }
                | Self::Store {
                    cause: InsertError::WrongDigest { .. }
                        | InsertError::TooLong { .. }
                        | InsertError::TooShort { .. },
                    ..
                }
        )
    }
}

/// Fetches files; its total time runs from when it is made. Usable from many threads.
#[derive(Debug)]
pub struct Fetcher {
    config: FetchConfig,
    client: http::Client,
    deadline: Instant,
}

/// An answer, before its body is read.
enum Reply {
    Body {
        reader: Box<dyn Read>,
        /// At which byte of the file the body starts.
        start_byte: u64,
        /// The body's length, as declared.
        declared_bytes: Option<u64>,
        validators: Validators,
    },
    Unchanged,
    Missing,
    /// The range that was asked for cannot be had: ask for all of it.
    NoSuchRange,
}

/// What is asked for.
#[derive(Clone, Copy, Default)]
struct Question<'a> {
    validators: Option<&'a Validators>,
    from_byte: u64,
}
