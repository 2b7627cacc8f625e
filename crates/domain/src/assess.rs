//! What is a host missing, and why: priorities, verdicts, overlays, explanations, and the same for a whole fleet.
