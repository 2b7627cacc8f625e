//! What people and programs can do, one file a noun; called by the HTTP handlers and by the command line.
