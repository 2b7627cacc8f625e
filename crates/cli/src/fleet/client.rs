//! The API as the commands use it: one server, its pinned authority, one token. What a server refuses becomes an error
//! that says in its own words why.

mod download;
pub mod port;

use crate::progress::Progress;
use port::{Answer, Port, Tls};
use serde_json::Value;
use ureq::http::{Method, Request, header};

/// How many items are asked for at once.
const PAGE: &str = "200";

/// Which server, believed by which authority, asked with which token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `https://host:port`, without a slash at the end.
    pub url: String,
    /// The certificate of the server's root authority, PEM: no other is believed.
    pub root_pem: String,
    /// The API token.
    pub token: String,
}

/// Why the server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It could not be asked.
    #[error("ask {url} (is the server running, and is this its address? `patchyard up` starts one)")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        cause: Box<ureq::Error>,
    },
    /// It said no.
    #[error("{sentence} [{code}]")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem's stable code.
        code: String,
        /// What it says, and what to do next.
        sentence: String,
    },
    /// Its answer is not of the API.
    #[error("{url} gave an answer that is not of Patchyard's API: {what}")]
    Foreign {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The authority kept for it cannot be read.
    #[error("read the certificate of the server's authority: log in again with `patchyard login`")]
    BadAuthority(#[source] Box<ureq::Error>),
    /// A list was asked for, and this is none.
    #[error("this command gives no list, and changed nothing: --csv is for lists")]
    NoList,
}

impl ApiError {
    /// Whether the server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Everything.
    Change,
    /// Only what changes nothing.
    Read,
}

/// A connection to the API.
pub struct Client {
    port: Box<dyn Port>,
    target: Target,
    may: May,
}

/// An answer with the mark by which a change names the state that it was made for (RFC 9110, 8.8.3).
pub struct Tagged {
    /// The resource.
    pub body: Value,
    /// Its ETag; absent where it has none.
    pub etag: Option<String>,
}

impl Client {
    /// A client of this server.
    ///
    /// # Errors
    /// [`ApiError::BadAuthority`].
    pub fn new(target: Target, may: May) -> Result<Self, ApiError> {
        let port = Box::new(Tls::new(&target.root_pem)?);
        Ok(Self::through(port, target, may))
    }

    /// A client of the server behind a port.
    pub fn through(port: Box<dyn Port>, target: Target, may: May) -> Self {
        Self { port, target, may }
    }

    /// The address of the server.
    pub fn url(&self) -> &str {
        &self.target.url
    }

    /// The certificate of the authority by which the server is believed, PEM.
    pub fn root_pem(&self) -> &str {
        &self.target.root_pem
    }

    /// One resource or one page of a list.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, ApiError> {
        Ok(self.ask(Method::GET, path, query, &[], None)?.body)
    }

    /// The same with its ETag, for a change that follows.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get_tagged(&self, path: &str) -> Result<Tagged, ApiError> {
        self.ask(Method::GET, path, &[], &[], None)
    }

    /// All items of a list, page by page, at most `most` of them.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn list(&self, path: &str, query: &[(&str, &str)], most: usize) -> Result<Vec<Value>, ApiError> {
        self.pages(path, query, most, |asked| self.get(path, asked))
    }

    /// The same of a list that is the answer to a question too long for an address.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn ask_list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        question: &Value,
        most: usize,
    ) -> Result<Vec<Value>, ApiError> {
        self.pages(path, query, most, |asked| {
            Ok(self.ask(Method::POST, path, asked, &[], Some(question))?.body)
        })
    }

    fn pages(
        &self,
        path: &str,
        query: &[(&str, &str)],
        most: usize,
        get: impl Fn(&[(&str, &str)]) -> Result<Value, ApiError>,
    ) -> Result<Vec<Value>, ApiError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut asked = query.to_vec();
            asked.push(("limit", PAGE));
            asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let mut page = get(&asked)?;
            let Some(Value::Array(some)) = page.get_mut("items").map(Value::take) else {
                return Err(self.foreign(path, "a list without items"));
            };
            items.extend(some);
            items.truncate(most);
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            match next {
                // A server that hands out one page for ever must not keep a person waiting for ever.
                Some(next) if items.len() < most && cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// Makes something. `key` makes a repetition harmless (Idempotency-Key).
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn post(&self, path: &str, body: &Value, key: &str) -> Result<Value, ApiError> {
        self.change(Method::POST, path, &[("idempotency-key", key)], Some(body))
    }

    /// Changes the resource that was read with this ETag.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn patch(&self, path: &str, etag: &str, body: &Value) -> Result<Value, ApiError> {
        self.change(Method::PATCH, path, &[("if-match", etag)], Some(body))
    }

    /// Removes the resource that was read with this ETag.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn delete(&self, path: &str, etag: Option<&str>) -> Result<(), ApiError> {
        let headers: Vec<(&str, &str)> = etag.map(|etag| ("if-match", etag)).into_iter().collect();
        self.change(Method::DELETE, path, &headers, None).map(drop)
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Tagged, ApiError> {
        let url = address(&self.target.url, path, query);
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::ACCEPT, "application/json");
        // Logging in comes before there is a token.
        if !self.target.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.target.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(text)
            .map_err(|error| self.foreign(path, &error.to_string()))?;
        let _progress = Progress::begin(&format!("waiting for {}", self.target.url));
        let answer = self
            .port
            .exchange(request)
            .map_err(|cause| ApiError::Unreachable {
                url: self.target.url.clone(),
                cause,
            })?;
        self.read(path, answer)
    }

    fn read(&self, path: &str, answer: Answer) -> Result<Tagged, ApiError> {
        let Answer { status, etag, body } = answer;
        let body = match body.is_empty() {
            true => Ok(Value::Null),
            false => serde_json::from_slice::<Value>(&body),
        };
        match body {
            Ok(body) if (200..300).contains(&status) => Ok(Tagged { body, etag }),
            Ok(problem) => Err(refusal(status, &problem)),
            Err(error) => Err(self.foreign(path, &format!("status {status}, {error}"))),
        }
    }

    /// Asks for a change, where changes may be asked for.
    fn change(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        match self.may {
            May::Change => Ok(self.ask(method, path, &[], headers, body)?.body),
            May::Read => Err(ApiError::NoList),
        }
    }

    fn foreign(&self, path: &str, what: &str) -> ApiError {
        ApiError::Foreign {
            url: format!("{}{path}", self.target.url),
            what: what.to_owned(),
        }
    }
}

/// A problem (RFC 9457) as an error.
fn refusal(status: u16, problem: &Value) -> ApiError {
    let member = |name: &str| problem.get(name).and_then(Value::as_str);
    let sentence = member("detail").or_else(|| member("title")).unwrap_or("refused");
    let at_fault = problem["fields"].as_array().into_iter().flatten();
    let at_fault = at_fault.filter_map(|field| {
        let name = field["field"].as_str()?.trim_start_matches('/');
        let detail = field["detail"].as_str()?;
        (!sentence.contains(detail)).then(|| format!("; {name}: {detail}"))
    });
    ApiError::Refused {
        status,
        code: member("code").unwrap_or("unknown").to_owned(),
        sentence: std::iter::once(sentence.to_owned()).chain(at_fault).collect(),
    }
}

/// The address of a resource, with its query escaped (RFC 3986, 2.1).
fn address(base: &str, path: &str, query: &[(&str, &str)]) -> String {
    let mut url = format!("{base}{path}");
    for (at, (name, value)) in query.iter().enumerate() {
        url.push(if at == 0 { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        url.push_str(&escaped(value));
    }
    url
}

/// A piece of an address: everything but unreserved characters as percent and two digits.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_cannot_leave_its_place_in_an_address() {
        assert_eq!(
            address("https://h:1", "/api/v1/hosts", &[("name", "a&b=c/../d e")]),
            "https://h:1/api/v1/hosts?name=a%26b%3Dc%2F..%2Fd%20e"
        );
    }

    #[test]
    fn a_problem_is_told_in_the_servers_words() {
        let error = refusal(
            409,
            &json!({"title": "Conflict", "detail": "the host has changed", "code": "changed"}),
        );
        assert_eq!(error.to_string(), "the host has changed [changed]");
        assert_eq!(refusal(500, &json!(null)).to_string(), "refused [unknown]");
    }
}
