//! Load: agents that speak the real protocol over real connections.
