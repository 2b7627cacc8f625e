//! The guard before every route: who asks, whether the route is for him, whether he asks too often, and whose turn it
//! is. A request that it lets through carries what was allowed; a handler has no other way to a tenant's rows.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{ConnectInfo, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::id::TenantId;

use super::admin::Api;
use super::admin::input::Allowed;
use super::admin::route::{Freshness, Needs};
use super::admin::session::address_of;
use super::limits::{LONGEST_ADDRESS, Party};
use super::problem::{Code, Problem};
use crate::app::caller::{Caller, Place, Who};
use crate::app::log_in::{self, Credential};
use crate::app::permission::Reach;
use crate::app::refusal::Refusal;
use crate::app::secret::{Kind, Secret};
use crate::clock::draw_below;
use crate::operations::metrics::Metric;

/// The cookie of a log-in. The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain` (RFC 6265bis, 4.1.3.2).
pub const SESSION_COOKIE: &str = "__Host-patchyard";

/// What the guard of one route knows.
#[derive(Clone, Debug)]
pub struct Door {
    /// What the route shares with all others.
    pub api: Api,
    /// What a caller needs.
    pub needs: Needs,
    /// How lately a person must have shown the second factor.
    pub freshness: Freshness,
    /// The parameters that the route knows.
    pub query_names: Arc<[String]>,
}

/// Lets a request through to its handler, or answers it with a problem.
pub async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let metrics = Arc::clone(&door.api.ctx.metrics);
    metrics.count(Metric::ApiRequests);
    let mut answer = match enter(&door, request, next).await {
        Ok(answer) => answer,
        Err(problem) => scatter(&door.api, problem).into_response(),
    };
    if answer.status().is_server_error() {
        metrics.count(Metric::ApiFailures);
    }
    protect(answer.headers_mut());
    answer
}

/// What every answer says to browsers and caches, whoever gives it.
pub async fn protected(mut answer: Response) -> Response {
    protect(answer.headers_mut());
    answer
}

async fn enter(door: &Door, mut request: Request, next: Next) -> Result<Response, Problem> {
    let address = peer(&request);
    check_address(request.uri(), &door.query_names)?;
    let tenant = match door.needs {
        Needs::Tenant(_) | Needs::Sites(_) => Some(tenant_of(&mut request).await?),
        _ => None,
    };
    if let Needs::Nothing(_) = door.needs {
        take_budget(door.api.desk.strangers.take(address, door.api.ctx.clock.now()))?;
        let turn = take_turn(&door.api, Party::Server).await?;
        let answer = next.run(request).await;
        drop(turn);
        return Ok(answer);
    }
    let shown = Shown::of(&request)?;
    let caller = authenticate(&door.api, shown, address).await?;
    take_budget(door.api.desk.callers.take(caller.who, door.api.ctx.clock.now()))?;
    let place = authorise(door, &caller, tenant).await?;
    if door.freshness == Freshness::Lately && !caller.is_fresh(door.api.ctx.clock.now()) {
        return Err(Problem::new(
            Code::SecondFactorNeeded,
            "Post a code to /api/v1/session/factor, then ask again.",
        ));
    }
    let cursors = {
        let uri = request.uri().clone();
        let pairs = query_pairs(&uri);
        let choosing = pairs
            .iter()
            .filter(|(name, _)| name != "cursor" && name != "limit");
        door.api.desk.cursors.list(
            uri.path(),
            choosing.map(|(name, value)| (name.as_str(), value.as_str())),
        )
    };
    let party = tenant.map_or(Party::Server, Party::Tenant);
    let turn = take_turn(&door.api, party).await?;
    request.extensions_mut().insert(Allowed {
        caller,
        place,
        cursors,
    });
    let answer = next.run(request).await;
    drop(turn);
    Ok(answer)
}

fn peer(request: &Request) -> IpAddr {
    address_of(request.extensions().get::<ConnectInfo<SocketAddr>>())
}

/// Refuses addresses that are too long, and parameters that the route does not know or that come twice.
fn check_address(uri: &Uri, known: &[String]) -> Result<(), Problem> {
    if uri
        .path_and_query()
        .is_some_and(|all| all.as_str().len() > LONGEST_ADDRESS)
    {
        return Err(Code::AddressTooLong.into());
    }
    let pairs = query_pairs(uri);
    for (at, (name, value)) in pairs.iter().enumerate() {
        let shown: String = name.chars().take(64).collect();
        if !known.contains(name) {
            let detail = match known {
                [] => format!("`{shown}` is not known here; this route takes no parameters."),
                _ => format!("`{shown}` is not known here; known are {}.", known.join(", ")),
            };
            return Err(Problem::new(Code::UnknownParameter, detail));
        }
        if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Problem::new(
                Code::UnknownParameter,
                format!("`{shown}` is given twice."),
            ));
        }
        if value.contains('\0') {
            return Err(Problem::new(
                Code::MalformedParameter,
                format!("`{shown}` holds a zero byte."),
            ));
        }
    }
    Ok(())
}

fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|pairs| pairs.0)
        .unwrap_or_default()
}

async fn tenant_of(request: &mut Request) -> Result<TenantId, Problem> {
    let names = request
        .extract_parts::<RawPathParams>()
        .await
        .map_err(|_not_text| Problem::plain(Code::NotFound))?;
    let text = names
        .iter()
        .find(|(name, _)| *name == "tenant")
        .map(|(_, text)| text.to_owned());
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Code::NotFound.into())
}

/// The credentials of a request, if it shows any.
struct Shown(Option<Credential>);

impl Shown {
    /// Refuses a cookie that another page made the browser send.
    fn of(request: &Request) -> Result<Self, Problem> {
        let credential = credential(request.headers());
        let is_by_cookie = credential.is_some() && !request.headers().contains_key(header::AUTHORIZATION);
        match is_by_cookie && !is_from_our_page(request) {
            true => Err(Code::ForeignRequest.into()),
            false => Ok(Self(credential)),
        }
    }
}

/// Who asks. Credentials that do not hold count against the address; ones that hold never do.
async fn authenticate(api: &Api, shown: Shown, address: IpAddr) -> Result<Caller, Problem> {
    let caller = match shown.0 {
        Some(credential) => log_in::authenticate(&api.ctx, credential).await?,
        None => None,
    };
    if let Some(caller) = caller {
        return Ok(caller);
    }
    take_budget(api.desk.strangers.take(address, api.ctx.clock.now()))?;
    Err(Code::NotLoggedIn.into())
}

fn credential(headers: &HeaderMap) -> Option<Credential> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // A request that shows a token is judged by it alone, whatever cookies it carries.
        let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        let text = Some(text.trim()).filter(|_| is_bearer)?;
        return Some(
            match (
                Secret::parse(Kind::Token, text),
                Secret::parse(Kind::Session, text),
            ) {
                (Some(token), _) => Credential::Token(token),
                (None, Some(session)) => Credential::Session(session),
                (None, None) => Credential::Local(text.to_owned()),
            },
        );
    }
    cookie_session(headers).map(Credential::Session)
}

/// The session that a request shows, in a header or a cookie.
pub fn session_secret(headers: &HeaderMap) -> Option<Secret> {
    match credential(headers)? {
        Credential::Session(secret) => Some(secret),
        Credential::Token(_) | Credential::Local(_) => None,
    }
}

fn cookie_session(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut values = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, text) = values.find(|(name, _)| *name == SESSION_COOKIE)?;
    Secret::parse(Kind::Session, text)
}

/// May this request change something on the strength of a cookie? Only if the browser says that our own page sent it.
pub fn is_from_our_page(request: &Request) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return true;
    }
    // A second value of one of them is one too many to know which counts.
    let text = |name: &str| {
        let mut values = request.headers().get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        value.filter(|_| values.next().is_none())
    };
    let names = ["origin", "host", "sec-fetch-site"];
    if names
        .iter()
        .any(|name| request.headers().contains_key(*name) && text(name).is_none())
    {
        return false;
    }
    match (text("origin"), text("host"), text("sec-fetch-site")) {
        (Some(origin), Some(host), site) => {
            origin.strip_prefix("https://") == Some(host) && site.is_none_or(|site| site == "same-origin")
        }
        (None, _, Some(site)) => site == "same-origin",
        _ => false,
    }
}

/// May the caller do what the route does, and where?
async fn authorise(door: &Door, caller: &Caller, tenant: Option<TenantId>) -> Result<Option<Place>, Problem> {
    let (permission, tenant) = match (door.needs, tenant) {
        (Needs::Nothing(_) | Needs::LogIn, _) => return Ok(None),
        (Needs::Local, _) => {
            return match caller.who {
                Who::Local => Ok(None),
                Who::User(_) | Who::Token(_) => Err(Problem::new(
                    Code::NotAllowed,
                    "This is done on the server's own machine, with the `patchyard` command.",
                )),
            };
        }
        (Needs::Server(permission), _) => {
            return match caller.rights.allow(permission, Reach::Server) {
                true => Ok(None),
                false => Err(Refusal::NotAllowed(permission).into()),
            };
        }
        (Needs::Anywhere(permission), _) => {
            return match caller.rights.pairs().any(|(held, _)| held == permission) {
                true => Ok(None),
                false => Err(Refusal::NotAllowed(permission).into()),
            };
        }
        (Needs::Tenant(permission) | Needs::Sites(permission), Some(tenant)) => (permission, tenant),
        (Needs::Tenant(_) | Needs::Sites(_), None) => return Err(Code::NotFound.into()),
    };
    let (scope, within) = caller.scope(permission, tenant)?;
    if matches!(door.needs, Needs::Tenant(_)) && within != crate::app::permission::Within::Everywhere {
        return Err(Refusal::NotAllowed(permission).into());
    }
    crate::app::tenant::enter(&door.api.ctx, caller, permission, scope).await?;
    Ok(Some(Place { scope, within }))
}

fn take_budget(taken: Result<(), u32>) -> Result<(), Problem> {
    taken.map_err(|seconds| Problem::plain(Code::TooMany).after(seconds))
}

async fn take_turn(api: &Api, party: Party) -> Result<super::limits::Turn, Problem> {
    api.desk.turns.take(party).await.map_err(|_full| match party {
        Party::Tenant(_) => Problem::plain(Code::TooMany).after(1),
        Party::Server => {
            api.ctx.metrics.count(Metric::Busy);
            Problem::plain(Code::Busy).after(1)
        }
    })
}

/// Spreads the times at which those who were told to wait come back: up to twice the wait and two seconds more.
fn scatter(api: &Api, mut problem: Problem) -> Problem {
    if let Some(seconds) = &mut problem.retry_after_seconds {
        let more = draw_below(api.ctx.chance.as_ref(), u64::from(*seconds) + 3);
        *seconds = seconds.saturating_add(u32::try_from(more).unwrap_or(0));
    }
    problem
}

/// What every answer says to browsers and caches.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("strict-transport-security", "max-age=31536000"),
    ] {
        if !headers.contains_key(name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
