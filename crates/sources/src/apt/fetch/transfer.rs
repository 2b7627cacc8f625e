//! What is done with an answer: into memory, or into a file of the store that can be resumed.

use super::address::Address;
use super::pace::Pace;
use super::{
    FetchConfig, FetchError, Fetcher, Presence, Question, Reply, Small, Validators, http, local, pace,
};
use content::InsertError;
use content::store::Partial;
use std::io::{self, Read};

/// Bytes taken from the network at a time.
const PIECE_BYTES: usize = 64 * 1024;

impl Fetcher {
    /// A fetcher whose total time begins now.
    pub fn new(config: FetchConfig) -> Self {
        let client = http::Client::new(&config);
        let deadline = pace::now() + config.limits.total;
        Self {
            config,
            client,
            deadline,
        }
    }

    /// Fetches a file of at most `limit_bytes` into memory; with validators, only if it changed.
    pub fn small(
        &self,
        uri: &str,
        validators: Option<&Validators>,
        limit_bytes: u64,
    ) -> Result<Small, FetchError> {
        self.at_any_address(uri, |address| {
            let question = Question {
                validators,
                from_byte: 0,
            };
            let (reader, declared, validators) = match self.ask(address, question)? {
                Reply::Unchanged => return Ok(Small::Unchanged),
                Reply::Missing | Reply::NoSuchRange => return Ok(Small::Missing),
                Reply::Body {
                    reader,
                    declared_bytes,
                    validators,
                    ..
                } => (reader, declared_bytes, validators),
            };
            let too_long = || FetchError::TooLong {
                uri: address.to_string(),
                limit_bytes,
            };
            if declared.is_some_and(|declared| declared > limit_bytes) {
                return Err(too_long());
            }
            let mut body = self.body(address, reader);
            let mut bytes = Vec::new();
            while let Some(piece) = body.next_piece()? {
                if (bytes.len() + piece.len()) as u64 > limit_bytes {
                    return Err(too_long());
                }
                bytes.extend_from_slice(piece);
            }
            Ok(Small::Body(bytes, validators))
        })
    }

    /// Fetches the rest of a file of known digest and size into the store. A transfer that breaks is taken up again
    /// where it broke; what is complete and wrong is thrown away, and fetched once more if a part of it was older.
    /// `begin` gives what was fetched so far, or `None` if somebody else stored it meanwhile.
    pub fn into_store(
        &self,
        uri: &str,
        size_bytes: u64,
        begin: impl Fn() -> Result<Option<Partial>, InsertError>,
    ) -> Result<Presence, FetchError> {
        self.at_any_address(uri, |address| {
            let mut tries = 0;
            loop {
                let stored = |cause| FetchError::Store {
                    uri: address.to_string(),
                    cause,
                };
                let Some(partial) = begin().map_err(stored)? else {
                    return Ok(Presence::Fetched);
                };
                let before = partial.size_bytes();
                let error = match self.resume(address, partial, size_bytes) {
                    Ok(presence) => return Ok(presence),
                    Err(error) => error,
                };
                let may_help = match &error {
                    FetchError::Transfer { .. } => true,
                    FetchError::Store {
                        cause: InsertError::TooShort { .. },
                        ..
                    } => true,
                    error => before > 0 && error.is_wrong_content(),
                };
                tries += 1;
                if !may_help || tries > self.config.limits.resumptions {
                    return Err(error);
                }
            }
        })
    }

    fn resume(
        &self,
        address: &Address,
        mut partial: Partial,
        size_bytes: u64,
    ) -> Result<Presence, FetchError> {
        let uri = || address.to_string();
        let stored = |cause| FetchError::Store { uri: uri(), cause };
        let restart = |partial: &mut Partial| {
            partial
                .restart()
                .map_err(|cause| stored(InsertError::Disk(cause)))
        };
        if partial.size_bytes() < size_bytes {
            let mut reply = self.ask(
                address,
                Question {
                    validators: None,
                    from_byte: partial.size_bytes(),
                },
            )?;
            if matches!(reply, Reply::NoSuchRange) {
                restart(&mut partial)?;
                reply = self.ask(address, Question::default())?;
            }
            let Reply::Body {
                reader,
                start_byte,
                declared_bytes,
                ..
            } = reply
            else {
                return Ok(Presence::Missing);
            };
            if start_byte != partial.size_bytes() {
                restart(&mut partial)?;
            }
            if let Some(declared) = declared_bytes
                && start_byte + declared != size_bytes
            {
                let declared_bytes = start_byte + declared;
                return Err(FetchError::WrongLength {
                    uri: uri(),
                    declared_bytes,
                    expected_bytes: size_bytes,
                });
            }
            let mut body = self.body(address, reader);
            while let Some(piece) = body.next_piece()? {
                partial.write(piece).map_err(stored)?;
            }
        }
        partial.finish().map_err(stored)?;
        Ok(Presence::Fetched)
    }

    /// Tries the addresses that a configured one stands for, in order, until one answers.
    fn at_any_address<T>(
        &self,
        uri: &str,
        fetch: impl Fn(&Address) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let addresses = match Address::parse(uri)? {
            Address::MirrorList { list, path } => local::mirrors(&self.config.files, &list, &path)?,
            address => vec![address],
        };
        let (last, others) = addresses.split_last().expect("a list of mirrors is never empty");
        for address in others {
            if let Ok(fetched) = fetch(address) {
                return Ok(fetched);
            }
        }
        fetch(last)
    }

    fn ask(&self, address: &Address, question: Question<'_>) -> Result<Reply, FetchError> {
        match address {
            Address::Http(http) => self.client.ask(http, question, &self.config, self.deadline),
            Address::Local { path } => local::ask(&self.config.files, path, question),
            Address::MirrorList { .. } => unreachable!("a list of mirrors was resolved before"),
        }
    }

    fn body<'a>(&'a self, address: &'a Address, reader: Box<dyn Read>) -> Body<'a> {
        let pace = Pace::new(self.config.limits, self.deadline);
        Body {
            reader,
            pace,
            address,
            config: &self.config,
            buffer: vec![0; PIECE_BYTES],
        }
    }
}

/// A body that is read at a pace.
struct Body<'a> {
    reader: Box<dyn Read>,
    pace: Pace,
    address: &'a Address,
    config: &'a FetchConfig,
    buffer: Vec<u8>,
}

impl Body<'_> {
    /// The next bytes; `None` at the end.
    fn next_piece(&mut self) -> Result<Option<&[u8]>, FetchError> {
        let count = loop {
            match self.reader.read(&mut self.buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        };
        if count == 0 {
            return Ok(None);
        }
        self.pace
            .took(count)
            .map_err(|failing| failing.of(self.address, &self.config.limits))?;
        Ok(Some(&self.buffer[..count]))
    }

    fn read_error(&self, error: io::Error) -> FetchError {
        match self.address {
            Address::Local { path } => FetchError::Local {
                path: path.into(),
                cause: error,
            },
            address => http::transfer_error(address, error.into(), &self.config.limits),
        }
    }
}
