//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and says why")]

use server as _;
