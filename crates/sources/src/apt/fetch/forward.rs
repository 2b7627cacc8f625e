//! Plain HTTP through a proxy: the request line names the whole address (RFC 9112 3.2.2, absolute form), as caches for
//! packages expect it. Tunnels by CONNECT, which proxies often refuse for port 80, are for https only.

use std::fmt;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Wraps connections to a proxy, for requests to one host.
pub(super) struct ForwardTo {
    /// Scheme and authority of the host: `http://deb.example`.
    pub(super) origin: String,
}

impl fmt::Debug for ForwardTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForwardTo({})", self.origin)
    }
}

impl<In: Transport> Connector<In> for ForwardTo {
    type Out = Forwarding<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Forwarding<In>>, Error> {
        Ok(chained.map(|proxy| Forwarding {
            proxy,
            origin: self.origin.clone(),
        }))
    }
}

/// A connection to a proxy.
#[derive(Debug)]
pub(super) struct Forwarding<T> {
    proxy: T,
    origin: String,
}

impl<T: Transport> Transport for Forwarding<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.proxy.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        const METHOD: &[u8] = b"GET ";
        let output = self.proxy.buffers().output();
        let is_request = output[..amount].starts_with(b"GET /");
        if !is_request {
            return self.proxy.transmit_output(amount, timeout);
        }
        let longer = amount + self.origin.len();
        if longer > output.len() {
            return Err(Error::Io(std::io::ErrorKind::InvalidInput.into()));
        }
        output.copy_within(METHOD.len()..amount, METHOD.len() + self.origin.len());
        output[METHOD.len()..][..self.origin.len()].copy_from_slice(self.origin.as_bytes());
        self.proxy.transmit_output(longer, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.proxy.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.proxy.is_open()
    }

    fn is_tls(&self) -> bool {
        self.proxy.is_tls()
    }
}
