//! What the simulation shows, in continuous integration.

mod seeds;
