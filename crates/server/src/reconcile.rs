//! Periodic leased work: takes no input, is idempotent, runs by itself and when nudged.
