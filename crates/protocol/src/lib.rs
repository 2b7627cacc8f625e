//! What agents, relays and the server say to each other: wire shapes, the signed envelopes that carry them, and
//! conversions to the words of the domain. No transport, no storage, no clock.
