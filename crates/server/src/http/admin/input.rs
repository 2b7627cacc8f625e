//! What handlers are given: the caller and the place that the guard has allowed, ids of the path, parameters, and bodies.
//! Everything is read here, once, into types that cannot be wrong.

use std::collections::HashMap;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use ring::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::Api;
use crate::app::caller::{Caller, Place};
use crate::app::change::Once;
use crate::app::shape::When;
use crate::http::cursor::Cursors;
use crate::http::limits::{LARGEST_PAGE, USUAL_PAGE};
use crate::http::problem::{Code, Problem};

/// What the guard allowed; it stands in every request that reaches a handler with needs.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Who asks.
    pub caller: Caller,
    /// The tenant of the path and where in it, on routes of a tenant.
    pub place: Option<Place>,
    /// The cursors of this very list.
    pub cursors: Cursors,
}

impl<S: Sync> FromRequestParts<S> for Allowed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Code::NotLoggedIn.into())
    }
}

/// On a route of a tenant: who asks, and where.
#[derive(Clone, Debug)]
pub struct InTenant {
    /// Who asks.
    pub caller: Caller,
    /// The tenant, and where in it.
    pub place: Place,
    /// The cursors of this very list.
    pub cursors: Cursors,
}

impl<S: Sync> FromRequestParts<S> for InTenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let allowed = Allowed::from_request_parts(parts, state).await?;
        let place = allowed.place.ok_or(Code::NotFound)?;
        Ok(Self {
            caller: allowed.caller,
            place,
            cursors: allowed.cursors,
        })
    }
}

/// The names in the path.
#[derive(Clone, Debug)]
pub struct InPath(HashMap<String, String>);

impl InPath {
    /// The id of this name.
    ///
    /// # Errors
    /// `not-found`: a text that is no id names nothing.
    pub fn id<I: FromStr>(&self, name: &str) -> Result<I, Problem> {
        let text = self.0.get(name).ok_or(Code::NotFound)?;
        text.parse().map_err(|_no_id| Code::NotFound.into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        use axum::extract::RawPathParams;
        let names = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_not_text| Problem::plain(Code::NotFound))?;
        Ok(Self(
            names
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        ))
    }
}

/// The parameters behind the question mark. The guard has refused unknown and doubled ones already.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(refused) => Err(Problem::new(
                Code::MalformedParameter,
                shorten(&refused.body_text()),
            )),
        }
    }
}

/// How much of a list, from where. A parameter of its own beside those that choose what is in the list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
pub struct Paging {
    /// `next` of the page before.
    #[param(max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<String>,
    /// Items of the page: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

impl Paging {
    /// The most items that are wanted.
    ///
    /// # Errors
    /// As [`Limit::of`].
    pub fn limit(&self) -> Result<u32, Problem> {
        Limit::of(self.limit)
    }

    /// The key in the cursor, if one was sent.
    ///
    /// # Errors
    /// `bad-cursor`.
    pub fn key<K: DeserializeOwned>(&self, cursors: &Cursors) -> Result<Option<K>, Problem> {
        self.cursor
            .as_deref()
            .map(|cursor| cursors.read(cursor))
            .transpose()
    }

    /// The moment in the cursor of a list in the order of time, if one was sent.
    ///
    /// # Errors
    /// `bad-cursor`.
    pub fn moment(&self, cursors: &Cursors) -> Result<Option<Timestamp>, Problem> {
        let micros: Option<i64> = self.key(cursors)?;
        micros
            .map(Timestamp::from_microsecond)
            .transpose()
            .map_err(|_range| Problem::plain(Code::BadCursor))
    }
}

/// As of when.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
pub struct AsOf {
    /// What was known at this time (RFC 3339); now, without it.
    #[param(value_type = Option<When>)]
    as_of: Option<When>,
}

impl AsOf {
    /// The moment that is asked about; none for now.
    pub fn moment(self) -> Option<Timestamp> {
        self.as_of.map(|when| when.0)
    }
}

/// How much of a list, from where.
#[derive(Clone, Copy, Debug)]
pub enum Limit {}

impl Limit {
    /// The limit that was asked for, 1 to 1,000; 100 when nobody says.
    ///
    /// # Errors
    /// `malformed-parameter` for any other.
    pub fn of(asked: Option<u32>) -> Result<u32, Problem> {
        match asked.unwrap_or(USUAL_PAGE) {
            limit @ 1..=LARGEST_PAGE => Ok(limit),
            _ => Err(Problem::new(
                Code::MalformedParameter,
                format!("`limit` is 1 to {LARGEST_PAGE}."),
            )),
        }
    }
}

/// The body of a POST, and the key that makes its repetition harmless.
#[derive(Clone, Debug)]
pub struct Post<T> {
    /// What is wanted.
    pub body: T,
    /// Which request this is.
    pub once: Once,
}

/// A POST that says nothing but its path.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl<T: DeserializeOwned> FromRequest<Api> for Post<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts.headers)?;
        let bytes = read_body(body).await?;
        // What is kept of a body that holds a password must not let anybody try passwords who has the database alone.
        let mut hash = hmac::Context::with_key(&api.desk.requests);
        for part in [
            parts.method.as_str().as_bytes(),
            parts.uri.to_string().as_bytes(),
            &bytes,
        ] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let request = hash.sign().as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok(Self {
            body: parse(&parts.headers, &bytes)?,
            once: Once { key, request },
        })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    if (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    let detail =
        "Send `Idempotency-Key` with 1 to 128 visible ASCII characters, a new one for each new request.";
    Err(Problem::new(Code::KeyNeeded, detail))
}

/// The body of a change, and the version that it was made for.
#[derive(Clone, Debug)]
pub struct Edit<T> {
    /// What is to be.
    pub body: T,
    /// What was there when the caller decided.
    pub version: i64,
}

impl<T: DeserializeOwned> FromRequest<Api> for Edit<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let version = version(&parts.headers)?;
        let bytes = read_body(body).await?;
        Ok(Self {
            body: parse(&parts.headers, &bytes)?,
            version,
        })
    }
}

/// The version in If-Match: a tag that one of our answers had. A tag of any other form matches nothing.
fn version(headers: &HeaderMap) -> Result<i64, Problem> {
    let tag = headers.get(header::IF_MATCH).ok_or_else(|| {
        Problem::new(
            Code::VersionNeeded,
            "Send `If-Match` with the ETag of what you read and decided on.",
        )
    })?;
    let number = tag
        .to_str()
        .ok()
        .and_then(|tag| tag.strip_prefix("\"v")?.strip_suffix('"'));
    let version = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    version.and_then(|number| number.parse().ok()).ok_or_else(|| {
        Problem::new(
            Code::ChangedMeanwhile,
            "`If-Match` takes one ETag, as it was given.",
        )
    })
}

async fn read_body(body: axum::body::Body) -> Result<Bytes, Problem> {
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    let whole = Limited::new(body, super::super::limits::LONGEST_BODY)
        .collect()
        .await;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Code::BodyTooLarge.into()),
        Err(_broken) => Err(Problem::new(
            Code::MalformedBody,
            "The body did not arrive as a whole.",
        )),
    }
}

/// The body of a POST that needs no key: a question, or logging in and out.
#[derive(Clone, Copy, Debug)]
pub struct Plain<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Plain<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body).await?;
        parse(&parts.headers, &bytes).map(Self)
    }
}

/// Reads a JSON body; a missing one stands for `{}`.
fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() {
        b"{}"
    } else {
        is_json(headers).map(|()| bytes)?
    };
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::MalformedBody, shorten(&error.to_string())))
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Code::WrongMediaType.into()),
    }
}

/// What a parser says may repeat what it was given: only the beginning of that is sent back.
fn shorten(text: &str) -> String {
    text.chars().take(300).collect()
}
