//! How a request is refused: one shape (RFC 9457, problem details) and one table of codes that programs may rely on.
//! What a refusal means to a person stands in its detail; what leads to it is in `admin` and `auth`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::refusal::{Refusal, StoreFault};
use domain::text::is_steering;

/// One row of the table: a code is never renamed, never reused for something else and never removed.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        /// Why a request is refused. The text form is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {$($(#[$doc])* $name,)*}

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text, such as `not-found`.
            pub const fn text(self) -> &'static str {
                match self {$(Self::$name => $code),*}
            }

            /// The status that it is answered with.
            pub const fn status(self) -> StatusCode {
                match self {$(Self::$name => StatusCode::$status),*}
            }

            /// What it means, in a few words.
            pub const fn title(self) -> &'static str {
                match self {$(Self::$name => $title),*}
            }
        }
    };
}

codes! {
    /// The body is no JSON, or not of the shape that the route takes.
    MalformedBody = BAD_REQUEST, "malformed-body", "The body cannot be read";
    /// A query parameter that the route does not know, or one given twice.
    UnknownParameter = BAD_REQUEST, "unknown-parameter", "A query parameter is not known here";
    /// A query or path parameter with a value that it cannot have.
    MalformedParameter = BAD_REQUEST, "malformed-parameter", "A parameter cannot be read";
    /// A cursor that this server did not give out for this list.
    BadCursor = BAD_REQUEST, "bad-cursor", "The cursor is not one of this list";
    /// A POST without the header Idempotency-Key.
    KeyNeeded = BAD_REQUEST, "idempotency-key-needed", "The header Idempotency-Key is missing or malformed";
    /// No credentials, or credentials that do not hold.
    NotLoggedIn = UNAUTHORIZED, "not-logged-in", "Log in, or send a token";
    /// A name, password or code that does not fit; which one is not said.
    LogInRefused = UNAUTHORIZED, "log-in-refused", "Name, password or code do not fit";
    /// Credentials hold, but not for this.
    NotAllowed = FORBIDDEN, "not-allowed", "Your roles do not allow this";
    /// A log-in whose second factor was shown too long ago for this.
    SecondFactorNeeded = FORBIDDEN, "second-factor-needed", "Show your second factor again";
    /// A request by a browser that does not carry the session's form token.
    ForeignRequest = FORBIDDEN, "foreign-request", "The request does not come from our own page";
    /// Nothing there, or nothing that the caller may know of.
    NotFound = NOT_FOUND, "not-found", "There is nothing of this name";
    /// The path exists, the method does not.
    NoSuchMethod = METHOD_NOT_ALLOWED, "no-such-method", "The path does not take this method";
    /// The request took too long to arrive.
    TooSlow = REQUEST_TIMEOUT, "too-slow", "The request did not arrive in time";
    /// Something of this name is there already.
    AlreadyExists = CONFLICT, "already-exists", "Something of this name is there already";
    /// The thing is in a state that does not allow this.
    WrongState = CONFLICT, "wrong-state", "Its state does not allow this";
    /// What would be approved is not what was previewed.
    PreviewChanged = CONFLICT, "preview-changed", "Something else would be approved than was seen";
    /// The same key is being worked on at this moment.
    KeyInUse = CONFLICT, "idempotency-key-in-use", "A request with this key is under way";
    /// A one-time link or code that was used, or is too old.
    Spent = GONE, "spent", "The link was used already, or is too old";
    /// If-Match names another version than the one that is there.
    ChangedMeanwhile = PRECONDITION_FAILED, "changed-meanwhile", "Somebody changed it meanwhile";
    /// The body is above the limit.
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body-too-large", "The body is above the limit";
    /// The path or the query is above the limit.
    AddressTooLong = URI_TOO_LONG, "address-too-long", "The address is above the limit";
    /// A body of another media type than application/json.
    WrongMediaType = UNSUPPORTED_MEDIA_TYPE, "wrong-media-type", "The body is not application/json";
    /// A value that reads well and may not be.
    InvalidValue = UNPROCESSABLE_ENTITY, "invalid-value", "A value is not allowed";
    /// An Idempotency-Key that came with another request before.
    KeyReused = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key belongs to another request";
    /// A change without the header If-Match.
    VersionNeeded = PRECONDITION_REQUIRED, "if-match-needed", "Say with If-Match which version you change";
    /// More requests than the caller's share.
    TooMany = TOO_MANY_REQUESTS, "too-many-requests", "More requests than your share";
    /// A fault of the server, which its log tells more about.
    Fault = INTERNAL_SERVER_ERROR, "fault", "The server failed";
    /// The database does not answer, or takes no writes.
    StoreUnavailable = SERVICE_UNAVAILABLE, "store-unavailable", "The database does not answer";
    /// The server has more to do than it can.
    Busy = SERVICE_UNAVAILABLE, "busy", "The server is busy";
    /// The disk or the database's limit is reached.
    StorageFull = INSUFFICIENT_STORAGE, "storage-full", "There is no room left";
}

/// One value that may not be, for a form that shows it beside its field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// JSON pointer into the body (RFC 6901), or the name of the parameter.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

/// A refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which one.
    pub code: Code,
    /// A sentence for a person: what happened and what to do next. Never holds a secret.
    pub detail: String,
    /// The values at fault.
    pub fields: Vec<FieldProblem>,
    /// When to come again, in seconds; sent as Retry-After.
    pub retry_after_seconds: Option<u32>,
}

/// What a refusal looks like: `application/problem+json` (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:patchyard:problem:` and the code.
    r#type: String,
    /// What the code means.
    title: &'a str,
    /// The status of the answer.
    status: u16,
    /// The code, which does not change.
    code: &'a str,
    /// What happened, and what to do next.
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    /// The values at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldProblem],
}

impl Problem {
    /// A refusal with a sentence of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        // A detail may repeat what was sent: nothing in it steers a terminal or hides.
        let detail: String = detail.into();
        let shown = |letter| if is_steering(letter) { '\u{fffd}' } else { letter };
        Self {
            code,
            detail: detail.chars().map(shown).collect(),
            fields: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// A refusal that its title says enough about.
    pub fn plain(code: Code) -> Self {
        Self::new(code, "")
    }

    /// One value may not be; `field` is its JSON pointer or parameter name.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            code: Code::InvalidValue,
            detail: String::new(),
            fields: vec![FieldProblem {
                field: field.into(),
                detail,
            }],
            retry_after_seconds: None,
        }
    }

    /// The same refusal, to be tried again after so many seconds.
    #[must_use]
    pub const fn after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::plain(code)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = sentence(&refusal.to_string());
        match refusal {
            Refusal::NotFound { .. } => Self::new(Code::NotFound, detail),
            Refusal::NotAllowed(_) | Refusal::MoreThanYours(_) => Self::new(Code::NotAllowed, detail),
            Refusal::AlreadyExists { .. } => Self::new(Code::AlreadyExists, detail),
            Refusal::ChangedMeanwhile => Self::new(Code::ChangedMeanwhile, detail),
            Refusal::WrongState(_) => Self::new(Code::WrongState, detail),
            Refusal::PreviewChanged => Self::new(Code::PreviewChanged, detail),
            Refusal::Invalid { field, detail } => Self::invalid(field, detail),
            Refusal::LogInRefused => Self::plain(Code::LogInRefused),
            Refusal::SlowDown { seconds } => Self::new(Code::TooMany, detail).after(seconds),
            Refusal::Spent => Self::new(Code::Spent, detail),
            Refusal::KeyReused => Self::new(Code::KeyReused, detail),
            Refusal::KeyInUse => Self::new(Code::KeyInUse, detail).after(1),
            Refusal::Store(error) => of_fault(StoreFault::of(&error), &error),
            Refusal::Fault(what) => {
                tracing::error!(what, "A request failed: {what}.");
                Self::plain(Code::Fault)
            }
        }
    }
}

/// What a person is told of a fault of the database. What the engine says stays in the log: it may show more of the
/// database than the caller may see.
fn of_fault(fault: StoreFault, error: &(dyn std::error::Error + 'static)) -> Problem {
    let code = match fault {
        StoreFault::Full => Code::StorageFull,
        StoreFault::Unfit => Code::WrongState,
        StoreFault::Unavailable => Code::StoreUnavailable,
        StoreFault::Other => Code::Fault,
    };
    tracing::warn!(
        error,
        code = code.text(),
        "The database refused a request: {error}."
    );
    let problem = Problem::plain(code);
    match fault {
        StoreFault::Unavailable => problem.after(2),
        StoreFault::Full | StoreFault::Unfit | StoreFault::Other => problem,
    }
}

/// A sentence of its own, from words that continue one.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:patchyard:problem:{}", self.code.text()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code.text(),
            detail: &self.detail,
            fields: &self.fields,
        };
        let json = serde_json::to_vec(&body).expect("a struct of texts and numbers always serialises");
        let mut answer = (self.code.status(), json).into_response();
        let headers = answer.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if self.code == Code::NotLoggedIn || self.code == Code::LogInRefused {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"patchyard\""),
            );
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_refusals_share_a_code() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }

    #[test]
    fn every_code_is_in_the_manual_with_its_status() {
        let manual = include_str!("../../../../docs/api.md");
        for code in Code::ALL {
            let row = format!(
                "| `{}` | {} | {} |",
                code.text(),
                code.status().as_u16(),
                code.title()
            );
            assert!(manual.contains(&row), "docs/api.md lacks {row}");
        }
        let rows = manual
            .lines()
            .filter(|line| line.starts_with("| `") && line.matches('|').count() == 4);
        let codes = rows.filter(|row| {
            row.split('|')
                .nth(2)
                .is_some_and(|cell| cell.trim().parse::<u16>().is_ok())
        });
        assert_eq!(
            codes.count(),
            Code::ALL.len(),
            "docs/api.md names a code that is not there"
        );
    }

    #[test]
    fn a_problem_is_the_json_of_the_rfc() {
        let problem = Problem::invalid("/name", "a name has 1 to 64 characters").after(3);
        let answer = problem.into_response();
        assert_eq!(answer.status(), 422);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["retry-after"], "3");
    }
}
