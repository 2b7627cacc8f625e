//! Version orders, one for each family of packages.

pub mod deb;
