//! What the protocol promises, seen from outside.

mod card;
mod documents;
mod envelope;
mod golden;
mod key;
mod messages;
mod orders;
mod samples;
mod token;
