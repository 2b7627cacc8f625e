//! One-time links that only this machine gives out: the first administrator comes by one.

use super::shape::When;
use crate::Context;
use crate::local::{LINK_LIFE, LinkUse};
use serde::Serialize;
use utoipa::ToSchema;

/// A one-time link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LinkView {
    /// Path and query, below the server's address: a secret.
    pub path: String,
    /// When it ends.
    pub expires_at: When,
}

/// Makes one.
pub fn make(ctx: &Context) -> LinkView {
    let now = ctx.clock.now();
    let secret = ctx.local.new_link(now, &*ctx.chance);
    LinkView {
        path: format!("/login?link={}", *secret),
        expires_at: When(now + LINK_LIFE),
    }
}

/// Whether the secret of one is good still. It is not spent by that.
pub fn is_good(ctx: &Context, secret: &str) -> bool {
    ctx.local.look_at_link(secret, ctx.clock.now()) == LinkUse::Good
}
