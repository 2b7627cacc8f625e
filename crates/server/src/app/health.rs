//! Whether the server can do its work.

use store::{Whole, epoch};

use crate::Context;

/// Does the database answer?
pub async fn is_ready(ctx: &Context) -> bool {
    ctx.db
        .read(|view| epoch::current(view, &Whole::server()))
        .await
        .is_ok()
}
