//! Routes of the root authority: which roots there are, and the steps by which the next one takes the present one's place.

use axum::extract::State;
use axum::http::StatusCode;

use super::Api;
use super::answer::{Answer, json, made};
use super::input::{Allowed, Nothing, Post};
use super::route::{Needs, Route};
use crate::app::authority::{self, AuthorityView, RetireRequest, StepView, SwitchRequest};
use crate::app::permission::{Noun, Verb};

/// The routes.
pub fn routes() -> Vec<Route> {
    let see = Needs::server(Verb::Read, Noun::Authority);
    let change = Needs::server(Verb::Change, Noun::Authority);
    vec![
        Route::get("get-authority", "/api/v1/authority", see, show)
            .says("The root authority, the one that will follow or the one before, and the hosts that do not know both.")
            .gives::<AuthorityView>("200", "The authority."),
        Route::post("prepare-authority", "/api/v1/authority/prepare", change, prepare)
            .says("Makes the next root authority, and tells every agent of it ahead of time.")
            .lately()
            .gives::<StepView>("200", "The next root."),
        Route::post("switch-authority", "/api/v1/authority/switch", change, switch)
            .says("Lets the prepared root take the present one's place; hosts that were away come back by the former one's word.")
            .lately()
            .takes::<SwitchRequest>()
            .gives::<StepView>("200", "The present root."),
        Route::post("retire-authority", "/api/v1/authority/retire", change, retire)
            .says("Forgets the former root; hosts that know only that one have to be enrolled anew.")
            .lately()
            .takes::<RetireRequest>()
            .gives::<StepView>("200", "The root that was retired."),
    ]
}

async fn show(State(api): State<Api>) -> Answer {
    Ok(json(StatusCode::OK, &authority::show(&api.ctx).await?))
}

async fn prepare(State(api): State<Api>, allowed: Allowed, post: Post<Nothing>) -> Answer {
    Ok(made(
        authority::prepare(&api.ctx, &allowed.caller, post.once).await?,
    ))
}

async fn switch(State(api): State<Api>, allowed: Allowed, post: Post<SwitchRequest>) -> Answer {
    Ok(made(
        authority::switch(&api.ctx, &allowed.caller, post.once, post.body).await?,
    ))
}

async fn retire(State(api): State<Api>, allowed: Allowed, post: Post<RetireRequest>) -> Answer {
    Ok(made(
        authority::retire(&api.ctx, &allowed.caller, post.once, post.body).await?,
    ))
}
