//! Routes of changes and deployments.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use domain::id::{ChangeId, DeploymentId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Form, json, list, made, thing};
use super::input::{Edit, InPath, InTenant, Nothing, Paging, Plain, Post, Query};
use super::route::{Needs, Route};
use crate::app::deployment::{
    self, ApprovalPolicyRequest, ApprovalPolicyView, ApprovalView, BackOutRequest, ChangeView, DecisionView,
    DeployRequest, DeploymentView, PreviewView, SignatureRequest, Work,
};
use crate::app::permission::{Noun, Verb};
use crate::http::problem::{Code, Problem};

/// Which deployments.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct WorkQuery {
    /// `failed`, `not_in_effect` or `underway`; without it, those that failed or are not in effect.
    #[param(pattern = "^(failed|not_in_effect|underway)$")]
    state: Option<String>,
}

const CHANGES: &str = "/api/v1/tenants/{tenant}/changes";
const CHANGE: &str = "/api/v1/tenants/{tenant}/changes/{change}";
const DEPLOYMENTS: &str = "/api/v1/tenants/{tenant}/deployments";
const DEPLOYMENT: &str = "/api/v1/tenants/{tenant}/deployments/{deployment}";
const POLICY: &str = "/api/v1/tenants/{tenant}/approval-policy";

/// The routes.
pub fn routes() -> Vec<Route> {
    let mut routes = reading_routes();
    routes.extend(deciding_routes());
    routes.extend(approving_routes());
    routes
}

fn reading_routes() -> Vec<Route> {
    let read = Needs::tenant(Verb::Read, Noun::Change);
    vec![
        Route::get("list-changes", CHANGES, read, list_changes)
            .says("The tenant's changes, the last made first.")
            .pages::<ChangeView>("The changes."),
        Route::get("get-change", CHANGE, read, get_change)
            .says("One change, with how many of its hosts are how far.")
            .gives::<ChangeView>("200", "The change."),
        Route::get(
            "list-change-deployments",
            "/api/v1/tenants/{tenant}/changes/{change}/deployments",
            read,
            list_of_change,
        )
        .says("How far each host of a change is, and why it waits or failed.")
        .pages::<DeploymentView>("The deployments."),
        Route::get("list-deployments", DEPLOYMENTS, read, work_list)
            .says("The work list: deployments that somebody has to look at, the last ordered first.")
            .query::<WorkQuery>()
            .pages::<DeploymentView>("The deployments."),
        Route::get("get-deployment", DEPLOYMENT, read, get_deployment)
            .says("One deployment, with the stages of its orders.")
            .gives::<DeploymentView>("200", "The deployment."),
        Route::get(
            "get-deployment-output",
            "/api/v1/tenants/{tenant}/deployments/{deployment}/output",
            read,
            output,
        )
        .says("What the host's package manager said, word for word; not to be believed.")
        .gives_text("200", "text/plain", "The output."),
    ]
}

fn deciding_routes() -> Vec<Route> {
    let change = Needs::tenant(Verb::Change, Noun::Change);
    let approve = Needs::tenant(Verb::Approve, Noun::Change);
    vec![
        Route::bare_post(
            "preview-deployment",
            "/api/v1/tenants/{tenant}/deployments/preview",
            Needs::tenant(Verb::Create, Noun::Change),
            preview,
        )
        .says("What deploying updates would take on each host. Nothing is made.")
        .takes::<DeployRequest>()
        .gives::<PreviewView>("200", "What it would take."),
        Route::post("create-deployments", DEPLOYMENTS, approve, create)
            .says("Makes and approves the change that was previewed.")
            .lately()
            .takes::<DeployRequest>()
            .gives::<ChangeView>("201", "The change."),
        Route::post(
            "stop-change",
            "/api/v1/tenants/{tenant}/changes/{change}/stop",
            change,
            stop,
        )
        .says("Stops a change: nothing of it begins any more; what has begun is finished by its host.")
        .gives::<ChangeView>("200", "The change."),
        Route::post(
            "resume-change",
            "/api/v1/tenants/{tenant}/changes/{change}/resume",
            approve,
            resume,
        )
        .says("Lets a stopped change go on.")
        .lately()
        .gives::<ChangeView>("200", "The change."),
        Route::post(
            "cancel-deployment",
            "/api/v1/tenants/{tenant}/deployments/{deployment}/cancel",
            change,
            cancel,
        )
        .says("Takes a host out of its change, unless it has begun.")
        .gives::<DecisionView>("200", "What was decided."),
        Route::post(
            "retry-deployment",
            "/api/v1/tenants/{tenant}/deployments/{deployment}/retry",
            approve,
            retry,
        )
        .says("Tries a host again, with a new order of the same change.")
        .lately()
        .gives::<DecisionView>("200", "What was decided."),
        Route::post(
            "back-out-deployment",
            "/api/v1/tenants/{tenant}/deployments/{deployment}/back-out",
            approve,
            back_out,
        )
        .says("Makes and approves a change that takes a host back to the versions from before.")
        .lately()
        .takes::<BackOutRequest>()
        .gives::<ChangeView>("201", "The change."),
    ]
}

fn approving_routes() -> Vec<Route> {
    let read = Needs::tenant(Verb::Read, Noun::Change);
    let approve = Needs::tenant(Verb::Approve, Noun::Change);
    vec![
        Route::get(
            "get-change-approval",
            "/api/v1/tenants/{tenant}/changes/{change}/approval",
            read,
            approval,
        )
        .says("What approvers sign of a change.")
        .gives::<ApprovalView>("200", "The approval."),
        Route::post(
            "sign-change",
            "/api/v1/tenants/{tenant}/changes/{change}/signatures",
            approve,
            sign,
        )
        .says("Keeps an approver's own signature over a change.")
        .takes::<SignatureRequest>()
        .gives::<ChangeView>("200", "The change."),
        Route::get("get-approval-policy", POLICY, read, policy)
            .says("Whose signatures the tenant's changes need.")
            .gives::<ApprovalPolicyView>("200", "The policy."),
        Route::patch("set-approval-policy", POLICY, approve, set_policy)
            .says(
                "Decides whose signatures the tenant's changes need. Each host knows its approvers besides.",
            )
            .lately()
            .takes::<ApprovalPolicyRequest>()
            .gives::<ApprovalPolicyView>("200", "The policy."),
    ]
}

async fn list_changes(
    State(api): State<Api>,
    at: InTenant,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let before: Option<ChangeId> = id_key(paging.key(&at.cursors)?)?;
    let part = deployment::changes(&api.ctx, &at.place, before, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

/// The id that a cursor stands for.
fn id_key<I: std::str::FromStr>(key: Option<String>) -> Result<Option<I>, Problem> {
    let key = key.map(|text| text.parse()).transpose();
    key.map_err(|_no_id| Problem::plain(Code::BadCursor))
}

async fn get_change(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let change = deployment::change(&api.ctx, &at.place, path.id("change")?).await?;
    Ok(thing(&change, change.version))
}

async fn list_of_change(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after: Option<DeploymentId> = id_key(paging.key(&at.cursors)?)?;
    let (id, limit) = (path.id("change")?, paging.limit()?);
    let part = deployment::deployments(&api.ctx, &at.place, id, after, limit).await?;
    Ok(list(form, &at.cursors, part))
}

async fn work_list(
    State(api): State<Api>,
    at: InTenant,
    Query(query): Query<WorkQuery>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let work = match query.state.as_deref() {
        None => Work::ForPeople,
        Some("failed") => Work::Failed,
        Some("not_in_effect") => Work::NotInEffect,
        Some("underway") => Work::Underway,
        Some(_) => {
            let why = "`state` is failed, not_in_effect or underway.";
            return Err(Problem::new(Code::MalformedParameter, why));
        }
    };
    let before: Option<u64> = paging.key(&at.cursors)?;
    let part = deployment::work_list(&api.ctx, &at.place, work, before, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn get_deployment(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let found = deployment::deployment(&api.ctx, &at.place, path.id("deployment")?).await?;
    Ok(thing(&found, found.version))
}

async fn output(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let text = deployment::output(&api.ctx, &at.place, path.id("deployment")?).await?;
    let mut answer = (StatusCode::OK, text).into_response();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    Ok(answer)
}

async fn preview(State(api): State<Api>, at: InTenant, Plain(request): Plain<DeployRequest>) -> Answer {
    let view = deployment::preview(&api.ctx, &at.place, request).await?;
    Ok(json(StatusCode::OK, &view))
}

async fn create(State(api): State<Api>, at: InTenant, post: Post<DeployRequest>) -> Answer {
    Ok(made(
        deployment::create(&api.ctx, &at.caller, &at.place, post.once, post.body).await?,
    ))
}

async fn stop(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    let id = path.id("change")?;
    Ok(made(
        deployment::stop(&api.ctx, &at.caller, &at.place, id, post.once).await?,
    ))
}

async fn resume(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    let id = path.id("change")?;
    Ok(made(
        deployment::resume(&api.ctx, &at.caller, &at.place, id, post.once).await?,
    ))
}

async fn cancel(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    let id = path.id("deployment")?;
    Ok(made(
        deployment::cancel(&api.ctx, &at.caller, &at.place, id, post.once).await?,
    ))
}

async fn retry(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    let id = path.id("deployment")?;
    Ok(made(
        deployment::retry(&api.ctx, &at.caller, &at.place, id, post.once).await?,
    ))
}

async fn back_out(State(api): State<Api>, at: InTenant, path: InPath, post: Post<BackOutRequest>) -> Answer {
    let id = path.id("deployment")?;
    Ok(made(
        deployment::back_out(&api.ctx, &at.caller, &at.place, id, post.once, post.body).await?,
    ))
}

async fn approval(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let approval = deployment::approval(&api.ctx, &at.place, path.id("change")?).await?;
    Ok(json(StatusCode::OK, &approval))
}

async fn sign(State(api): State<Api>, at: InTenant, path: InPath, post: Post<SignatureRequest>) -> Answer {
    let id = path.id("change")?;
    Ok(made(
        deployment::sign(&api.ctx, &at.caller, &at.place, id, post.once, post.body).await?,
    ))
}

async fn policy(State(api): State<Api>, at: InTenant) -> Answer {
    let policy = deployment::policy(&api.ctx, &at.place).await?;
    Ok(thing(&policy, policy.version))
}

async fn set_policy(State(api): State<Api>, at: InTenant, wanted: Edit<ApprovalPolicyRequest>) -> Answer {
    let (caller, place) = (&at.caller, &at.place);
    let policy = deployment::set_policy(&api.ctx, caller, place, wanted.version, wanted.body).await?;
    Ok(thing(&policy, policy.version))
}
