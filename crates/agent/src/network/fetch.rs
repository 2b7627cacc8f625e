//! Fetching one file of an order: what is here of it already, the rest from a server, and the digest over all of it.

use super::files::{KeepError, Partial};
use super::{Network, Round, edge, trouble_of};
use crate::executor::spool::Wish;
use crate::service::Places;
use crate::session::{Fault, Fetched, Ticket};
use crate::transport::{AskedFile, Came, FetchError, Sink as _};
use protocol::address::ServerAddress;
use std::time::Duration;

/// A file is fetched for so long at once; then the server is heard, and the rest comes afterwards.
const AT_ONCE: Duration = Duration::from_secs(20);

impl Round {
    /// Fetches a file, or more of it. A check-in went before, so that the time is that of the server.
    pub(super) fn fetch(
        &mut self,
        network: &Network,
        from: &ServerAddress,
        file: Wish,
        ticket: &Ticket,
    ) -> Fetched {
        let moment = edge::moment();
        let now = self
            .session
            .memory()
            .estimate(moment.boot_clock, moment.wall_clock);
        let transport = match self.transport(network) {
            Ok(transport) => transport,
            Err(trouble) => {
                return Fetched::Failed {
                    trouble,
                    fault: Fault::Here,
                };
            }
        };
        let more = |partial: &mut Partial| {
            let asked = AskedFile {
                sha256: file.digest,
                most_bytes: file.size_bytes,
                from: partial.bytes,
                ticket: &ticket.0,
            };
            transport.fetch(&from.to_string(), &asked, now, AT_ONCE, partial)
        };
        match fetch(&network.places, file, more) {
            Ok(Came::Whole) => Fetched::Whole,
            Ok(Came::Part) => Fetched::Part,
            Err(error) => error.told(),
        }
    }
}

fn fetch(
    places: &Places,
    file: Wish,
    more: impl FnOnce(&mut Partial) -> Result<Came, FetchError>,
) -> Result<Came, NotFetched> {
    let mut partial = Partial::open(places, file)?;
    if !partial.is_whole() {
        if partial.bytes == file.size_bytes {
            partial.begin_anew().map_err(FetchError::Keep)?;
        }
        match more(&mut partial) {
            Ok(Came::Whole) => {}
            Ok(Came::Part) => return Ok(Came::Part),
            Err(error) => {
                if matches!(error, FetchError::OtherBytes { .. }) {
                    // Perhaps it is what was here that is wrong.
                    partial.begin_anew().map_err(FetchError::Keep)?;
                }
                return Err(error.into());
            }
        }
    }
    partial.finish()?;
    Ok(Came::Whole)
}

/// A file that is not here, for whichever reason.
#[derive(Debug, thiserror::Error)]
enum NotFetched {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl NotFetched {
    fn told(&self) -> Fetched {
        let (next_step, fault) = match self {
            Self::Fetch(error) => {
                let fault = match error {
                    FetchError::NotAllowed { .. } => Fault::Ticket,
                    FetchError::Keep(_) => Fault::Here,
                    _ => Fault::Way,
                };
                (error.next_step(), fault)
            }
            Self::Keep(KeepError::OtherDigest(_)) => (
                "run `patchyard doctor` on the server, which looks into its files".to_owned(),
                Fault::Way,
            ),
            Self::Keep(_) => ("make room there, or mend the disk".to_owned(), Fault::Here),
        };
        Fetched::Failed {
            trouble: trouble_of(self, next_step),
            fault,
        }
    }
}
