//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.
