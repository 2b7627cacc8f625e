//! What the crate promises, against tools that nobody here wrote and against input that means harm.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clearsign;
mod decompress;
mod details;
mod index;
mod openpgp;
mod release;
mod sync;
mod targets;
mod tools;
