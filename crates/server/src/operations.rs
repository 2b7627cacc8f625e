//! What running a server for a year takes: backup, restore, storage, doctor, support bundle, metrics, logs.
