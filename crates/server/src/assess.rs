//! Which host is missing what: a fleet in memory, rebuilt from stored rows, its findings written as bitmaps.
