//! A server that answers every request as the API's own document promises, with hostile texts wherever it promises a text.

use super::super::client::port::{Answer, Port};
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use ureq::http::{Method, Request};

/// What the product's API promises.
const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");

/// The fake, shared with the test that looks at what it was asked.
#[derive(Clone)]
pub struct Fake(Rc<Inner>);

struct Inner {
    document: Value,
    texts: Vec<String>,
    next_text: Cell<usize>,
    next_id: Cell<u32>,
    asked: RefCell<Vec<Method>>,
}

/// The name of the first item of every list, by which commands find it.
pub const NAME: &str = "web3";

impl Fake {
    /// A server that says these texts in turn.
    pub fn new(texts: Vec<String>) -> Self {
        Self(Rc::new(Inner {
            document: serde_json::from_str(DOCUMENT).expect("the API's document is JSON"),
            texts,
            next_text: Cell::new(0),
            next_id: Cell::new(0),
            asked: RefCell::new(Vec::new()),
        }))
    }

    /// What it answers to this question.
    pub fn get(&self, path: &str) -> Value {
        self.0.answer(&Method::GET, path).1
    }

    /// How many texts were said by now.
    pub fn said(&self) -> usize {
        self.0.next_text.get()
    }

    /// How it was asked since the last call.
    pub fn asked(&self) -> Vec<Method> {
        self.0.asked.take()
    }
}

impl Port for Fake {
    fn exchange(&self, request: Request<String>) -> Result<Answer, Box<ureq::Error>> {
        let method = request.method().clone();
        let (status, body) = self.0.answer(&method, request.uri().path());
        self.0.asked.borrow_mut().push(method);
        Ok(Answer {
            status,
            etag: Some("\"1\"".to_owned()),
            body: match body {
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            },
        })
    }

    fn stream(
        &self,
        request: Request<String>,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Answer, Box<ureq::Error>> {
        let answer = self.exchange(request)?;
        take(&answer.body).map_err(|error| Box::new(error.into()))?;
        Ok(answer)
    }
}

impl Inner {
    fn answer(&self, method: &Method, path: &str) -> (u16, Value) {
        let paths = self.document["paths"]
            .as_object()
            .expect("the document has paths");
        let fits = |route: &str| {
            let same = |(part, asked): (&str, &str)| part.starts_with('{') || part == asked;
            route.split('/').count() == path.split('/').count()
                && route.split('/').zip(path.split('/')).all(same)
        };
        // `/hosts/mine` before `/hosts/{host}`.
        let route = paths
            .keys()
            .filter(|route| fits(route))
            .min_by_key(|route| route.matches('{').count());
        let Some(route) = route else {
            return (404, json!({ "code": "not-found", "title": self.text() }));
        };
        let operation = &paths[route][method.as_str().to_ascii_lowercase()];
        let good = operation["responses"].as_object().and_then(|responses| {
            let mut good = responses.iter().filter(|(status, _)| status.starts_with('2'));
            good.next()
        });
        let Some((status, response)) = good else {
            return (405, json!({ "code": "method-not-allowed", "title": self.text() }));
        };
        let status = status.parse().expect("a status is a number");
        let schema = &response["content"]["application/json"]["schema"];
        let body = match schema.is_null() {
            true => Value::Null,
            false => self.example(schema, ""),
        };
        (status, body)
    }

    /// Something that the schema allows.
    fn example(&self, schema: &Value, member: &str) -> Value {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().expect("a reference ends in a name");
            return self.example(&self.document["components"]["schemas"][name], member);
        }
        for either in ["oneOf", "anyOf", "allOf"] {
            let choices = schema[either].as_array().into_iter().flatten();
            if let Some(choice) = choices.into_iter().find(|choice| choice["type"] != "null") {
                return self.example(choice, member);
            }
        }
        if let Some(value) = schema["enum"].as_array().and_then(|values| values.first()) {
            return value.clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned(),
            kind => Some(kind.clone()),
        };
        match kind.as_ref().and_then(Value::as_str) {
            Some("string") => self.string(schema["format"].as_str(), member),
            Some("integer" | "number") => schema["minimum"].as_u64().unwrap_or(0).max(1253).into(),
            Some("boolean") => true.into(),
            Some("array") => self.array(schema, member),
            _ => self.object(schema),
        }
    }

    fn string(&self, format: Option<&str>, member: &str) -> Value {
        match (format, member) {
            (Some("uuid"), _) => {
                self.next_id.set(self.next_id.get() + 1);
                format!("0190b5a0-0000-7000-8000-{:012x}", self.next_id.get()).into()
            }
            (Some("date-time"), _) => "2026-01-02T03:04:05Z".into(),
            // The end of a list.
            (_, "next") => Value::Null,
            _ => self.text().into(),
        }
    }

    fn text(&self) -> String {
        let at = self.next_text.get();
        self.next_text.set(at + 1);
        self.texts[at % self.texts.len()].clone()
    }

    /// Three of them; the first one of a list can be found by its name.
    fn array(&self, schema: &Value, member: &str) -> Value {
        let mut items: Vec<Value> = (0..3).map(|_| self.example(&schema["items"], "")).collect();
        if member == "items" {
            for name in ["name", "source"] {
                if items[0][name].is_string() {
                    items[0][name] = NAME.into();
                }
            }
        }
        items.into()
    }

    fn object(&self, schema: &Value) -> Value {
        let Some(properties) = schema["properties"].as_object() else {
            return self.anything();
        };
        let members = properties
            .iter()
            .map(|(name, schema)| (name.clone(), self.example(schema, name)));
        members.collect::<Map<String, Value>>().into()
    }

    /// An object of which nothing is promised, with what the commands look for in one.
    fn anything(&self) -> Value {
        let package = || json!({ "name": self.text(), "architecture": self.text(), "version": self.text(), "source": self.text() });
        json!({
            "packages": [package(), package()],
            "system": { "os_name": self.text() },
            "kernel": { "running": self.text() },
            "virtualisation": self.text(),
            "failure": self.text(),
            self.text(): self.text(),
        })
    }
}
