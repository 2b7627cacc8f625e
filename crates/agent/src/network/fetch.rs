//! Fetching one file of an order: what is here of it already, the rest from a server, and the digest over all of it.

use super::files::{KeepError, Partial};
use super::{Network, Round, edge, trouble_of};
use crate::executor::spool::Wish;
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
        let partial = self.partial.take();
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
        let here = match partial.filter(|partial| partial.is_of(&file)) {
            Some(partial) => Ok(partial),
            None => Partial::open(&network.places, file),
        };
        let fetched = here
            .map_err(NotFetched::from)
            .and_then(|partial| fetch(partial, more));
        match fetched {
            Ok(None) => Fetched::Whole,
            Ok(Some(partial)) => {
                self.partial = Some(partial);
                Fetched::Part
            }
            Err(error) => error.told(),
        }
    }
}

/// Fetches more of a file; gives it back if that was not all.
fn fetch(
    mut partial: Partial,
    more: impl FnOnce(&mut Partial) -> Result<Came, FetchError>,
) -> Result<Option<Partial>, NotFetched> {
    if !partial.is_whole() {
        if partial.is_full() {
            partial.begin_anew().map_err(FetchError::Keep)?;
        }
        match more(&mut partial) {
            Ok(Came::Whole) => {}
            Ok(Came::Part) => return Ok(Some(partial)),
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
    Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Places;

    #[test]
    fn a_file_that_comes_in_parts_goes_on_without_being_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places {
            state: folder.path().to_owned(),
            settings: folder.path().join("agent.toml"),
        };
        std::fs::create_dir(places.files()).expect("a folder");
        let file = Wish {
            digest: protocol::sha256(b"all of it"),
            size_bytes: 100,
        };
        let partial = Partial::open(&places, file).expect("there is room");
        let first = |partial: &mut Partial| {
            partial.take(b"all").map_err(FetchError::Keep)?;
            Ok(Came::Part)
        };
        let partial = fetch(partial, first)
            .expect("it is kept")
            .expect("more is to come");
        assert!(partial.is_of(&file) && partial.bytes == 3);
        let rest = |partial: &mut Partial| {
            partial.take(b" of it").map_err(FetchError::Keep)?;
            Ok(Came::Whole)
        };
        assert!(fetch(partial, rest).expect("it is kept").is_none());
        let kept = std::fs::read(places.files().join(file.digest.to_string()));
        assert_eq!(kept.expect("it has its name"), b"all of it");
    }
}
