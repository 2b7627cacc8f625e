//! The server's keys: the authorities, the listener's certificate, the key that signs answers to agents; sealed at rest
//! under a master key outside the database.
