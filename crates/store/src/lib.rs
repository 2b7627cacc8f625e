//! What the server keeps, in SQLite or PostgreSQL: the only SQL of Patchyard. Rules live in the domain; what is done with
//! them lives in the server.
