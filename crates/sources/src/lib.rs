//! What vendors publish: fetched, verified with the keys of each source, kept as snapshots by digest, indexed.

pub mod apt;
