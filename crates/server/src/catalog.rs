//! Sources, snapshots and updates: what vendors publish, kept.
