//! Opening the data directory and running everything that a server is, until it is told to stop.

/// A server, not yet running.
#[derive(Debug)]
pub struct Server;

/// A server that runs.
#[derive(Debug)]
pub struct Running;
