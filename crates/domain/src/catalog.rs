//! What vendors publish: releases of sources, the listings in them, the packages that they offer, and the updates
//! that those packages belong to.

pub mod listing;
pub mod offer;
pub mod release;
pub mod source;
pub mod update;
