//! Who an agent is over time: the chain of its check-ins, by which a copy of it is told from itself, and the time
//! that it goes by. Keys, signatures and messages are in `protocol`.

pub mod chain;
pub mod time;

use std::fmt;

/// Chance with which a request is named, so that its answer and its repetition are known. Never used for two requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

/// The boot that a host is in (`/proc/sys/kernel/random/boot_id`): another at each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub [u8; 16]);

/// A digest over what tells one computer's hardware from another's (serial, product id, network addresses).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardwareMark(pub [u8; 16]);

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), ":{}"), self)
            }
        }
    )*};
}

shown_as_hex!(Nonce, BootId, HardwareMark);
