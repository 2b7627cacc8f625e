//! What the simulation shows, in continuous integration.

mod authority;
mod load;
mod seeds;
