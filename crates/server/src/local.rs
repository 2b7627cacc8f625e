//! What the command line on this machine uses instead of a log-in: a token in the data directory, and a one-time link.
