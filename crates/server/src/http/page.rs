//! The one page that there is until the console comes: logging in, and choosing name and password behind a one-time link.
//! Plain forms, no script, everything escaped.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::admin::Api;
use super::admin::session::address_of;
use super::auth::{SESSION_COOKIE, is_from_our_page};
use super::problem::{Code, Problem};
use crate::app::link;
use crate::app::log_in::{self, Gatehouse, LogIn};
use crate::app::refusal::Refusal;
use crate::app::user::{self, Choice, Welcome};

/// Longest form, in bytes.
const LONGEST_FORM: usize = 4096;

/// No script, no foreign content, no frames; forms go to us alone.
const POLICY: &str = "default-src 'none'; style-src 'sha256-J5hIprfNVAAoma7n1Dru0TimJ5KuT8uvnZjmBpGRbjg='; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "body{font:1.1rem/1.5 sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}label,input,button{display:block;font:inherit}input{width:100%;padding:.4rem;margin:0 0 1rem}code{overflow-wrap:anywhere}";

/// The routes of the page. They need no permission: they are how one comes to have any.
pub fn router() -> Router<Api> {
    Router::new()
        .route("/login", get(show).post(take))
        .layer(from_fn(protect))
}

async fn protect(request: Request, next: Next) -> Response {
    let mut answer = match request.method().is_safe() || is_from_our_page(&request) {
        true => next.run(request).await,
        false => Problem::plain(Code::ForeignRequest).into_response(),
    };
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        // Not no-referrer: with it browsers send `Origin: null` beside our own form.
        ("referrer-policy", "same-origin"),
        ("strict-transport-security", "max-age=31536000"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// The text of one field; none when it is missing or given twice.
fn field(form: &[(String, String)], name: &str) -> Option<String> {
    let mut values = form
        .iter()
        .filter(|(of, _)| of == name)
        .map(|(_, value)| value.clone());
    values.next().filter(|_| values.next().is_none())
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|pairs| pairs.0)
        .unwrap_or_default()
}

async fn show(State(api): State<Api>, uri: Uri) -> Response {
    let query = pairs(&uri);
    if let Some(secret) = field(&query, "link") {
        return match link::is_good(&api.ctx, &secret) {
            true => page(
                StatusCode::OK,
                "Welcome to Patchyard",
                &choose("link", &secret, AskName::Yes),
            ),
            false => refused(&Refusal::Spent),
        };
    }
    if let Some(invitation) = field(&query, "invitation") {
        return match user::is_invitation_good(&api.ctx, &invitation).await {
            Ok(true) => page(
                StatusCode::OK,
                "Welcome to Patchyard",
                &choose("invitation", &invitation, AskName::No),
            ),
            Ok(false) => refused(&Refusal::Spent),
            Err(refusal) => refused(&refusal),
        };
    }
    page(StatusCode::OK, "Log in to Patchyard", LOG_IN)
}

async fn take(
    State(api): State<Api>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let address = address_of(peer.as_ref().map(|peer| &peer.0));
    if let Err(seconds) = api.desk.strangers.take(address, api.ctx.clock.now()) {
        return Problem::plain(Code::TooMany).after(seconds).into_response();
    }
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if media_type.split(';').next() != Some("application/x-www-form-urlencoded") {
        return Problem::plain(Code::WrongMediaType).into_response();
    }
    if body.len() > LONGEST_FORM {
        return Problem::plain(Code::BodyTooLarge).into_response();
    }
    // A form's body is a query without the question mark.
    let as_uri = std::str::from_utf8(&body)
        .ok()
        .and_then(|text| Uri::try_from(format!("/?{text}")).ok());
    let form = as_uri.as_ref().map(pairs).unwrap_or_default();
    let text = |name| field(&form, name).unwrap_or_default();
    let passwords = &api.desk.passwords;
    if let Some(link) = field(&form, "link") {
        let choice = Choice {
            link,
            name: text("name"),
            password: text("password"),
        };
        return welcome(user::become_administrator(&api.ctx, passwords, choice).await);
    }
    if let Some(link) = field(&form, "invitation") {
        let choice = Choice {
            link,
            name: String::new(),
            password: text("password"),
        };
        return welcome(user::accept_invitation(&api.ctx, passwords, choice).await);
    }
    let gate = Gatehouse {
        passwords,
        slow_down: &api.desk.slow_down,
        address,
    };
    let wanted = LogIn {
        name: text("name"),
        password: text("password"),
        code: field(&form, "code"),
    };
    match log_in::log_in(&api.ctx, gate, wanted).await {
        Ok(logged_in) => {
            let cookie = format!(
                "{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
                logged_in.session
            );
            let mut answer = page(
                StatusCode::OK,
                "You are logged in",
                "<p>The console comes with a later version. Until then ask on the server's machine, for instance \
                 <code>patchyard host list</code>, or from another one after <code>patchyard login</code>.</p>",
            );
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(refusal) => refused(&refusal),
    }
}

fn welcome(outcome: Result<Welcome, Refusal>) -> Response {
    match outcome {
        Ok(welcome) => {
            let body = format!(
                "<p>You log in as <b>{}</b>. Put this into your authenticator now; it is not shown again:</p>\
                 <p><code>{}</code></p><p><code>{}</code></p><p><a href=\"/login\">Log in</a></p>",
                escape(&welcome.name),
                escape(&welcome.factor.text()),
                escape(&welcome.factor.address(&welcome.name)),
            );
            page(StatusCode::OK, "Your second factor", &body)
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let (status, words) = match refusal {
        Refusal::Spent => (StatusCode::GONE, refusal.to_string()),
        Refusal::LogInRefused => (StatusCode::UNAUTHORIZED, refusal.to_string()),
        Refusal::Invalid { detail, .. } => (StatusCode::UNPROCESSABLE_ENTITY, detail.clone()),
        Refusal::AlreadyExists { .. } => (StatusCode::CONFLICT, refusal.to_string()),
        Refusal::SlowDown { .. } => (StatusCode::TOO_MANY_REQUESTS, refusal.to_string()),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the server cannot do this now; its log says why".to_owned(),
        ),
    };
    let mut answer = page(
        status,
        "That did not work",
        &format!("<p>{}.</p>", escape(&words)),
    );
    if let Refusal::SlowDown { seconds } = refusal {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    answer
}

const LOG_IN: &str = "<form method=\"post\" action=\"/login\">\
    <label for=\"name\">Name</label><input id=\"name\" name=\"name\" autocomplete=\"username\" required>\
    <label for=\"password\">Password</label>\
    <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\
    <label for=\"code\">Six digits of your authenticator</label>\
    <input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\">\
    <button>Log in</button></form>";

/// Whether the person chooses a name too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskName {
    Yes,
    No,
}

fn choose(field: &str, secret: &str, ask: AskName) -> String {
    let name = match ask {
        AskName::Yes => {
            "<label for=\"name\">Your name, to log in with</label>\
             <input id=\"name\" name=\"name\" autocomplete=\"username\" required>"
        }
        AskName::No => "",
    };
    format!(
        "<form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"{field}\" value=\"{}\">{name}\
         <label for=\"password\">A password of at least 12 characters</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" required>\
         <button>Go on</button></form>",
        escape(secret)
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1>{body}</body></html>"
    );
    (status, Html(html)).into_response()
}

/// Text for the inside of an element or of a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other if domain::text::is_steering(other) => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn the_policy_allows_this_very_style_and_no_script() {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        assert!(
            POLICY.contains(&format!("'sha256-{hash}'")),
            "the policy needs 'sha256-{hash}'"
        );
        assert!(POLICY.starts_with("default-src 'none'") && !POLICY.contains("script"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_page() {
        for hostile in testkit::hostile::texts() {
            let shown = escape(&hostile.text);
            assert!(!shown.contains(['<', '>', '"', '\'']), "{shown:?}");
            assert!(!shown.chars().any(domain::text::is_steering), "{shown:?}");
            let ampersands = shown.match_indices('&').map(|(at, _)| &shown[at..]);
            let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            assert!(
                ampersands
                    .into_iter()
                    .all(|rest| known.iter().any(|entity| rest.starts_with(entity))),
                "{shown:?}"
            );
        }
    }
}
